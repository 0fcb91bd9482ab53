//! Claim rules: which of a provider's subjects is an identity.
//!
//! A rule names every claim that must hold and the text it must have. `*` stands for any run of characters and has to be
//! written; no other character is special. What is missing, or of a kind that has no text, does not match.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::identity::{Assertion, CERTIFICATE_CLAIMS, CERTIFICATE_PROVIDER};

/// One way to be an identity: a provider, and what it must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRule {
    /// The provider's name.
    pub provider: Arc<str>,
    /// At least one; all must hold.
    pub claims: Box<[(ClaimName, ClaimPattern)]>,
}

impl ClaimRule {
    /// Whether everything that the rule asks for is in `assertion`, of the provider that it names.
    pub fn matches(&self, assertion: &Assertion) -> bool {
        let holds = |(name, pattern): &(ClaimName, ClaimPattern)| {
            name.find(&assertion.claims).is_some_and(|value| texts(value).any(|text| pattern.matches(&text)))
        };
        // A rule that asks for nothing would match everybody; compiling refuses it, and so does this.
        !self.claims.is_empty() && *self.provider == *assertion.provider && self.claims.iter().all(holds)
    }
}

/// Which claim: a key of the payload, or with a leading `/` a JSON pointer into it (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimName(Box<[Box<str>]>);

impl ClaimName {
    /// Reads `sub` or `/kubernetes.io/namespace`.
    ///
    /// # Errors
    /// A phrase that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(pointer) = text.strip_prefix('/') else {
            return if text.is_empty() { Err("a claim has a name") } else { Ok(Self([text.into()].into())) };
        };
        pointer.split('/').map(segment).collect::<Result<_, _>>().map(Self)
    }

    /// The same, of a claim that `provider` may make: of certificates it is known what they say.
    ///
    /// # Errors
    /// A phrase that says what is wrong.
    pub fn of(provider: &str, text: &str) -> Result<Self, &'static str> {
        let name = Self::parse(text)?;
        if provider == CERTIFICATE_PROVIDER && !CERTIFICATE_CLAIMS.contains(&name.to_string().as_str()) {
            return Err(
                "a certificate says `uri`, `dns`, `subject`, `issuer`, `serial` and `sha256`, and nothing else",
            );
        }
        Ok(name)
    }

    /// The claim's value, if there is one.
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(&**first)?, |value, key| value.as_object()?.get(&**key))
    }

    /// Puts `value` where [`ClaimName::find`] finds it.
    pub(super) fn put(&self, value: Value, claims: &mut Map<String, Value>) {
        let Some((last, before)) = self.0.split_last() else { return };
        let mut place = claims;
        for key in before {
            let below = place.entry(&**key).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(below) = below else { return };
            place = below;
        }
        place.insert(last.to_string(), value);
    }
}

/// As it is written, and read again.
impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            [name] if !name.starts_with('/') => f.write_str(name),
            steps => steps.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1"))),
        }
    }
}

fn segment(text: &str) -> Result<Box<str>, &'static str> {
    if text.is_empty() {
        return Err("an empty step in a JSON pointer");
    }
    if text.replace("~0", "").replace("~1", "").contains('~') {
        return Err("in a JSON pointer `~` is written `~0`, and `/` within a name `~1`");
    }
    Ok(text.replace("~1", "/").replace("~0", "~").into())
}

/// The text that a claim must have, with `*` for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPattern(Box<str>);

impl ClaimPattern {
    /// Any text but the empty one is a pattern.
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The only text that it matches, if there is only one.
    pub(super) fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&*self.0)
    }

    /// Whether it asks for nothing but that the claim is there.
    pub fn matches_everything(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether all of `text` is what the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        let Some((before, rest)) = self.0.split_once('*') else { return *self.0 == *text };
        let Some(mut left) = text.strip_prefix(before) else { return false };
        let (between, after) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The earliest place is as good as any: what stands after it only becomes longer.
        for part in between.split('*').filter(|part| !part.is_empty()) {
            let Some((_, behind)) = left.split_once(part) else { return false };
            left = behind;
        }
        left.ends_with(after)
    }
}

impl fmt::Display for ClaimPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The texts of a claim: its own, or one for each element of a list. Truth values and whole numbers have one.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = Cow<'_, str>> {
    let elements = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    elements.iter().filter_map(text)
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Number(number) if !number.is_f64() => Some(Cow::Owned(value.to_string())),
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What rules ask of one claim.
#[derive(Default)]
struct Asked<'a> {
    texts: HashSet<&'a str>,
    /// Those with a `*`.
    patterns: Vec<&'a ClaimPattern>,
}

impl<'a> Asked<'a> {
    fn add(&mut self, pattern: &'a ClaimPattern) {
        match pattern.exact() {
            Some(text) => {
                self.texts.insert(text);
            }
            None => self.patterns.push(pattern),
        }
    }

    fn any_matches(&self, text: &str) -> bool {
        self.texts.contains(text) || self.patterns.iter().any(|pattern| pattern.matches(text))
    }
}

/// What of `claims` the `rules` look at, where they find it, so that each of them matches this as it matches `claims`.
///
/// Of a list only the elements that some rule asks for: a person may be in thousands of groups.
pub(super) fn looked_at(rules: &[&ClaimRule], claims: &Map<String, Value>) -> Map<String, Value> {
    // By claim: thousands of rules may ask for the same one, and somebody is in hundreds of groups.
    let mut asked: HashMap<&ClaimName, Asked<'_>> = HashMap::new();
    for (name, pattern) in rules.iter().flat_map(|rule| &rule.claims) {
        asked.entry(name).or_default().add(pattern);
    }
    let mut kept = Map::new();
    for (name, asked) in asked {
        let wanted = |element: &&Value| text(element).is_some_and(|text| asked.any_matches(&text));
        let value = match name.find(claims) {
            Some(Value::Array(elements)) => Value::Array(elements.iter().filter(wanted).cloned().collect()),
            Some(value @ (Value::String(_) | Value::Bool(_) | Value::Number(_))) => value.clone(),
            Some(Value::Object(_) | Value::Null) | None => continue,
        };
        name.put(value, &mut kept);
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rule(claims: &[(&str, &str)]) -> ClaimRule {
        let claim =
            |(name, pattern): &(&str, &str)| (ClaimName::parse(name).unwrap(), ClaimPattern::parse(pattern).unwrap());
        ClaimRule { provider: "corp".into(), claims: claims.iter().map(claim).collect() }
    }

    fn assertion(claims: &Value) -> Assertion {
        Assertion {
            provider: "corp".into(),
            issuer: "https://corp.example".into(),
            subject: "jane".to_owned(),
            claims: claims.as_object().unwrap().clone(),
        }
    }

    fn matches(claims: &[(&str, &str)], said: &Value) -> bool {
        rule(claims).matches(&assertion(said))
    }

    #[test]
    fn a_name_is_written_as_it_is_read() {
        for text in ["sub", "/kubernetes.io/namespace", "/a~1b/c~0d", "/~1x", "https://example.com/groups"] {
            let name = ClaimName::parse(text).unwrap();
            assert_eq!(ClaimName::parse(&name.to_string()), Ok(name), "{text}");
        }
    }

    #[test]
    fn a_star_is_any_run_of_characters_and_nothing_else_is_special() {
        let matching = [
            ("repo:acme/*", "repo:acme/x"),
            ("repo:acme/*", "repo:acme/x:ref:refs/heads/main"),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:refs/heads/main"),
            ("*@example.com", "jane@example.com"),
            ("a*b*c", "abc"),
            ("a*b*c", "a-b-b-c-c"),
            ("*", ""),
            ("**", "anything"),
            ("a**b", "ab"),
            ("a.b", "a.b"),
            ("*ab", "aab"),
            ("*é*", "caffé latte"),
        ];
        for (pattern, text) in matching {
            assert!(ClaimPattern::parse(pattern).unwrap().matches(text), "{pattern} {text}");
        }
        let not_matching = [
            ("repo:acme/*", "repo:acmeevil/x"),
            ("repo:acme/*", "repo:acme"),
            ("repo:acme/*", "x-repo:acme/x"),
            ("repo:acme/*", "Repo:acme/x"),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:refs/heads/main2"),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:refs/heads/maim"),
            ("*@example.com", "jane@example.com.evil.net"),
            ("aba*aba", "aba"),
            ("a*b*b", "ab"),
            ("a*", "ba"),
            ("a.b", "axb"),
            ("a?", "ab"),
            ("[ab]", "a"),
            ("main", "main\n"),
            ("main", " main"),
            ("main", ""),
        ];
        for (pattern, text) in not_matching {
            assert!(!ClaimPattern::parse(pattern).unwrap().matches(text), "{pattern} {text}");
        }
        assert_eq!(ClaimPattern::parse(""), None);
        assert!(ClaimPattern::parse("**").unwrap().matches_everything());
        assert!(!ClaimPattern::parse("*a*").unwrap().matches_everything());
    }

    #[test]
    fn all_claims_of_a_rule_must_hold() {
        let said = json!({ "sub": "jane", "email_verified": true, "level": 3, "groups": ["dev", "ops"] });
        assert!(matches(&[("sub", "jane")], &said));
        assert!(matches(&[("sub", "jane"), ("groups", "ops")], &said));
        assert!(matches(&[("email_verified", "true"), ("level", "3")], &said));
        for claims in [
            &[("sub", "jane"), ("groups", "admin")][..],
            &[("sub", "jane"), ("missing", "*")],
            &[("groups", "dev,ops")],
            &[("groups", "[\"dev\",\"ops\"]")],
            &[("email_verified", "false")],
            &[],
        ] {
            assert!(!matches(claims, &said), "{claims:?}");
        }
    }

    #[test]
    fn a_value_without_a_text_never_matches() {
        for value in
            [json!(null), json!({}), json!([]), json!([["a"]]), json!([{ "a": "a" }]), json!([null]), json!(1.5)]
        {
            assert!(!matches(&[("claim", "*")], &json!({ "claim": value })), "{value}");
        }
    }

    #[test]
    fn a_pointer_finds_nested_claims_and_a_plain_name_does_not() {
        let said = json!({
            "kubernetes.io": { "namespace": "build", "serviceaccount": { "name": "ci" } },
            "https://example.com/groups": ["dev"],
            "a/b": { "~": "c" },
        });
        for (name, pattern) in [
            ("/kubernetes.io/namespace", "build"),
            ("/kubernetes.io/serviceaccount/name", "ci"),
            ("https://example.com/groups", "dev"),
            ("/a~1b/~0", "c"),
        ] {
            assert!(matches(&[(name, pattern)], &said), "{name}");
        }
        for name in
            ["kubernetes.io/namespace", "/kubernetes.io", "/kubernetes.io/namespace/x", "namespace", "/namespace"]
        {
            assert!(!matches(&[(name, "*")], &said), "{name}");
        }
        assert!(!matches(&[("/list/0", "a")], &json!({ "list": ["a"] })), "a list has no first place to rely on");
        for name in ["", "/", "/a//b", "/a/", "/~", "/~2", "/a~"] {
            assert!(ClaimName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_rule_is_about_one_provider() {
        let said = assertion(&json!({ "sub": "jane" }));
        assert!(rule(&[("sub", "jane")]).matches(&said));
        assert!(!rule(&[("sub", "jane")]).matches(&Assertion { provider: "other".into(), ..said }));
    }

    #[test]
    fn what_is_kept_of_the_claims_is_what_the_rules_look_at() {
        let rules = [rule(&[("groups", "dev*"), ("/k/n", "x")]), rule(&[("groups", "ops")]), rule(&[("/k/m", "*")])];
        let said = json!({
            "sub": "jane", "address": { "street": "s" }, "groups": ["a", "dev-1", "b", "ops", 7],
            "k": { "n": "y", "m": ["z"], "o": "o" },
        });
        let kept = looked_at(&rules.each_ref(), said.as_object().unwrap());
        assert_eq!(Value::Object(kept), json!({ "groups": ["dev-1", "ops"], "k": { "n": "y", "m": ["z"] } }));
    }

    fn patterns() -> impl Strategy<Value = String> {
        "[ab*]{1,6}"
    }

    /// Another implementation: try every length for every star.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|length| naive(rest, &text[length..])),
            Some((first, rest)) => text.split_first().is_some_and(|(one, left)| one == first && naive(rest, left)),
        }
    }

    fn said() -> impl Strategy<Value = Value> {
        let text = "[ab]{0,3}".prop_map(Value::String);
        let value =
            prop_oneof![text.clone(), proptest::collection::vec(text, 0..3).prop_map(Value::Array), Just(json!(7))];
        let nested = proptest::collection::btree_map("[xy]", value.clone(), 0..2)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        proptest::collection::btree_map("[xyz]", prop_oneof![3 => value, 1 => nested], 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn patterns_agree_with_trying_everything(pattern in patterns(), text in "[ab]{0,8}") {
            let matches = ClaimPattern::parse(&pattern).unwrap().matches(&text);
            prop_assert_eq!(matches, naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn a_pattern_without_a_star_is_the_text_itself(pattern in "\\PC{1,5}", text in "\\PC{0,5}") {
            prop_assume!(!pattern.contains('*'));
            let pattern_matches = ClaimPattern::parse(&pattern).unwrap().matches(&text);
            prop_assert_eq!(pattern_matches, pattern == text);
        }

        /// What a token carries of the claims means what all of them meant.
        #[test]
        fn what_is_kept_matches_as_everything_did(
            said in said(),
            rules in proptest::collection::vec(
                proptest::collection::vec(("[xyz]|/[xyz]/[xy]", patterns()), 1..3), 1..4,
            ),
        ) {
            let rules: Vec<ClaimRule> = rules
                .iter()
                .map(|claims| rule(&claims.iter().map(|(name, text)| (&**name, &**text)).collect::<Vec<_>>()))
                .collect();
            let whole = assertion(&said);
            let kept = Assertion { claims: looked_at(&rules.iter().collect::<Vec<_>>(), &whole.claims), ..whole.clone() };
            for rule in &rules {
                prop_assert_eq!(rule.matches(&kept), rule.matches(&whole));
            }
        }
    }
}
