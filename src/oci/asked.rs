//! What a registry asks for in the 401 of a request: its `WWW-Authenticate` (RFC 9110 11.6.1), read leniently.

/// The largest value that is looked at, in bytes.
const LIMIT: usize = 8 * 1024;

/// Which credential a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Access tokens of a token service.
    Bearer(Bearer),
    /// A user name and a password with every request.
    Basic,
    /// Something else, or nothing that can be read.
    Unknown,
}

/// Where a registry's access tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The URL of the token service, as the registry wrote it.
    pub realm: String,
    pub service: Option<String>,
}

/// What the values of all `WWW-Authenticate` lines ask for; Bearer where there is a choice.
pub fn asked<'h>(values: impl Iterator<Item = &'h [u8]>) -> Asked {
    let mut basic = false;
    for value in values.filter(|value| value.len() <= LIMIT).filter_map(|value| std::str::from_utf8(value).ok()) {
        for challenge in challenges(value) {
            if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = challenge.parameter("realm")
            {
                return Asked::Bearer(Bearer { realm, service: challenge.parameter("service") });
            }
            basic |= challenge.scheme.eq_ignore_ascii_case("basic");
        }
    }
    if basic { Asked::Basic } else { Asked::Unknown }
}

struct Challenge<'v> {
    scheme: &'v str,
    parameters: Vec<(&'v str, String)>,
}

impl Challenge<'_> {
    fn parameter(&self, name: &str) -> Option<String> {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

/// All challenges of one value: a word that no `=` follows is a scheme, every other one is a parameter.
fn challenges(mut rest: &str) -> Vec<Challenge<'_>> {
    let mut found: Vec<Challenge<'_>> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        match behind.trim_start().strip_prefix('=') {
            None => {
                found.push(Challenge { scheme: word, parameters: Vec::new() });
                rest = behind;
            }
            Some(behind) => {
                let (text, behind) = value(behind.trim_start());
                if let Some(challenge) = found.last_mut() {
                    challenge.parameters.push((word, text));
                }
                rest = behind;
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (token.to_owned(), rest);
    };
    let mut plain = String::new();
    let mut characters = quoted.chars();
    while let Some(one) = characters.next() {
        match one {
            '"' => break,
            '\\' => plain.extend(characters.next()),
            _ => plain.push(one),
        }
    }
    (plain, characters.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Asked {
        asked(values.iter().map(|value| value.as_bytes()))
    }

    fn bearer(realm: &str, service: Option<&str>) -> Asked {
        Asked::Bearer(Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    }

    #[test]
    fn the_challenges_of_registries_are_understood() {
        let harbor = r#"Bearer realm="https://h/service/token",service="harbor-registry",scope="repository:a/b:pull""#;
        assert_eq!(read(&[harbor]), bearer("https://h/service/token", Some("harbor-registry")));
        assert_eq!(read(&[r#"bearer  Realm = "https://h/t" , SERVICE=s"#]), bearer("https://h/t", Some("s")));
        assert_eq!(read(&[r#"Bearer realm="https://h/t""#]), bearer("https://h/t", None));
        assert_eq!(read(&[r#"Bearer realm="a\"b\\c",service="""#]), bearer("a\"b\\c", None));
        assert_eq!(read(&[r#"Basic realm="harbor""#]), Asked::Basic);
        assert_eq!(read(&[r#"Basic realm="x", Bearer realm="https://h/t""#]), bearer("https://h/t", None));
        assert_eq!(read(&[r#"Basic realm="x""#, r#"Bearer realm="https://h/t""#]), bearer("https://h/t", None));
        assert_eq!(read(&[r#"Negotiate, Bearer service="s""#]), Asked::Unknown);
        assert_eq!(read(&[]), Asked::Unknown);
        assert_eq!(asked([b"\xff".as_slice()].into_iter()), Asked::Unknown);
    }

    proptest! {
        #[test]
        fn nothing_a_registry_writes_stops_us(value in "\\PC{0,80}", tail in "[\"=, \\\\a]{0,20}") {
            let _ = read(&[&value, &tail, &format!("Bearer {tail}")]);
        }
    }
}
