//! Which of many identities one provider's assertion means, without asking every rule: there may be tens of thousands, and
//! every request of somebody who signed in asks.

use std::collections::HashMap;
use std::sync::Arc;

use super::claims::{ClaimName, ClaimRule, texts};
use super::identity::{Assertion, Identity};

/// The identities that rules about one provider make.
#[derive(Debug, Default)]
pub(super) struct Described {
    /// By a claim that has to have exactly this text.
    exact: HashMap<ClaimName, HashMap<Box<str>, Vec<Arc<Identity>>>>,
    /// By patterns alone.
    others: Vec<Arc<Identity>>,
}

impl Described {
    /// Adds `identity` by its `rule`, one of perhaps several.
    pub(super) fn add(&mut self, rule: &ClaimRule, identity: &Arc<Identity>) {
        // All claims must hold, so whoever matches has the first of them.
        let exact = rule.claims.iter().find_map(|(name, pattern)| Some((name, pattern.exact()?)));
        let found = match exact {
            Some((name, text)) => self.exact.entry(name.clone()).or_default().entry(text.into()).or_default(),
            None => &mut self.others,
        };
        found.push(Arc::clone(identity));
    }

    /// The identities of which some rule matches, by name.
    pub(super) fn meant_by(&self, assertion: &Assertion) -> Vec<&Arc<Identity>> {
        let exact = self.exact.iter().flat_map(|(name, by_text)| {
            let said = name.find(&assertion.claims).into_iter().flat_map(texts);
            said.filter_map(|text| by_text.get(&*text)).flatten()
        });
        let mut meant: Vec<_> = exact.chain(&self.others).filter(|one| one.is_meant_by(assertion)).collect();
        meant.sort_by(|one, other| one.name.cmp(&other.name));
        meant.dedup_by(|one, other| one.name == other.name);
        meant
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::policy::claims::ClaimPattern;
    use crate::policy::credential::PrincipalId;
    use crate::policy::document::TokenStatus;
    use crate::policy::identity::IdentityKind;
    use crate::policy::origin::Origin;
    use crate::secret::HashKey;

    /// One rule: texts, by claim.
    type Rule = Vec<(String, String)>;

    fn identity(number: usize, rules: &[Rule]) -> Arc<Identity> {
        let name = format!("identity-{number}");
        let id = PrincipalId::derive(&HashKey::from_bytes([1; 32]), "test", &[name.as_bytes()]);
        let claim =
            |(name, text): &(String, String)| (ClaimName::parse(name).unwrap(), ClaimPattern::parse(text).unwrap());
        let rule = |rule: &Rule| ClaimRule { provider: "corp".into(), claims: rule.iter().map(claim).collect() };
        Arc::new(Identity {
            name: name.into(),
            id,
            kind: IdentityKind::Group,
            client_id: None,
            principal_id: id.into(),
            tenant_id: None,
            rules: rules.iter().map(rule).collect(),
            secrets: Box::default(),
            verified_by: None,
            status: TokenStatus::Enabled,
            networks: None,
            origin: Origin::built_in(),
        })
    }

    proptest! {
        #[test]
        fn it_finds_whom_asking_every_rule_finds(
            all in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(("a|b|/c/d", "[xy]{1,2}|x\\*|\\*"), 0..3), 0..3), 0..8,
            ),
            a in "[xy]{0,2}", b in proptest::collection::vec("[xy]{1,2}", 0..3), d in any::<Option<bool>>(),
        ) {
            let all: Vec<_> = all.iter().enumerate().map(|(number, rules)| identity(number, rules)).collect();
            let mut described = Described::default();
            for one in &all {
                one.rules.iter().for_each(|rule| described.add(rule, one));
            }
            let assertion = Assertion {
                provider: "corp".into(),
                issuer: "https://corp.example".into(),
                subject: "x".to_owned(),
                claims: json!({ "a": a, "b": b, "c": { "d": d } }).as_object().unwrap().clone(),
            };
            let expected: Vec<_> = all.iter().filter(|one| one.is_meant_by(&assertion)).map(|one| &one.name).collect();
            let found: Vec<_> = described.meant_by(&assertion).into_iter().map(|one| &one.name).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
