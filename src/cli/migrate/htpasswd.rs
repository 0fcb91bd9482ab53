//! An htpasswd file → a token for each of its users.

use std::collections::BTreeMap;
use std::path::Path;

use super::outcome::{Outcome, bcrypt, token_name};
use crate::policy::origin::Origin;
use crate::policy::problem::Problem;

/// Reads the `text` of `file`, for the registry of this name. All users get the same scope map.
pub(super) fn migrate(file: &Path, text: &str, registry: &str, scope_map: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut seen: BTreeMap<&str, Origin> = BTreeMap::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let origin = Origin::new(file.to_string_lossy(), number, 1);
        let user = line.split_once(':').ok_or_else(|| {
            let problem = Problem::new(&origin, "this line has no `:`");
            problem.hint("a line is a user name, `:` and a hash")
        });
        let token = user.and_then(|(name, hash)| {
            unique(name, &origin, &mut seen, &mut outcome)?;
            token_name(name, &origin, registry)?;
            bcrypt(hash, &origin, name)?;
            Ok((name, hash))
        });
        match token {
            Ok((name, hash)) => outcome.add_token(name, scope_map, hash),
            Err(problem) => {
                outcome.left_out += 1;
                outcome.problems.push(problem);
            }
        }
    }
    outcome
}

/// Of two lines for one user some servers believe the first and some the last, so neither is taken over.
fn unique<'a>(
    name: &'a str,
    origin: &Origin,
    seen: &mut BTreeMap<&'a str, Origin>,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let Some(first) = seen.get(name) else {
        seen.insert(name, origin.clone());
        return Ok(());
    };
    if outcome.tokens.remove(name).is_some() {
        outcome.left_out += 1;
    }
    let problem =
        Problem::new(origin, format!("user `{name}` is there twice, first at {first}; neither is taken over"));
    Err(problem.hint("remove the line with the password that is not valid any more"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    const GOOD: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

    fn migrated(text: &str) -> Outcome {
        migrate(Path::new("htpasswd"), text, "myregistry", "_repositories_push")
    }

    #[test]
    fn users_with_bcrypt_become_tokens() {
        let text = format!(
            "# people\n\nalice:{GOOD}\r\njane.doe@example.com:{GOOD}\n12345:{GOOD}\nnull:{GOOD}\ntrue:{GOOD}\n-x:{GOOD}\n@y:{GOOD}\n"
        );
        let outcome = migrated(&text);
        assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
        assert_eq!(outcome.tokens.len(), 7);
        check(&outcome);
    }

    #[test]
    fn whatever_cannot_be_used_is_named_with_its_line_and_without_its_hash() {
        let text = format!(
            "md5:$apr1$hunter2\nold:$1$hunter2\nsha:{{SHA}}hunter2\ncrypt:$6$hunter2\nclear:hunter2\nbroken:$2y$05$hunter2\n\
             costly:{}\nnohash\nwith space:{GOOD}\n:{GOOD}\nmyregistry:{GOOD}\ntwice:{GOOD}\nfine:{GOOD}\ntwice:{GOOD}\ntwice:{GOOD}\n",
            GOOD.replace("$05$", "$17$")
        );
        let outcome = migrated(&text);
        assert_eq!(outcome.tokens.keys().collect::<Vec<_>>(), ["fine"]);
        assert_eq!(outcome.left_out, 14);
        let problems = outcome.problems.clone().sorted();
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(texts.iter().all(|text| !text.contains("hunter2") && !text.contains("LO.vz")), "{texts:?}");
        for (line, what) in [
            (1, "is kept as MD5"),
            (2, "is kept as MD5"),
            (3, "is kept as SHA-1"),
            (4, "is kept as SHA-2 crypt"),
            (5, "is kept as something else"),
            (6, "malformed or costs too much"),
            (7, "malformed or costs too much"),
            (8, "has no `:`"),
            (9, "`with space` is not a token name"),
            (10, "`` is not a token name"),
            (11, "has the registry's name"),
            (14, "is there twice, first at htpasswd:12:1"),
            (15, "is there twice"),
        ] {
            let prefix = format!("htpasswd:{line}:1: ");
            assert!(
                texts.iter().any(|text| text.starts_with(&prefix) && text.contains(what)),
                "{line} {what}: {texts:?}"
            );
        }
        check(&outcome);
    }
}
