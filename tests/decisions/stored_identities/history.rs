//! Random histories: whatever happened before, a policy says what its last records say.

use proptest::prelude::*;
use proptest::sample::select;
use seawall::policy::document::TokenStatus;
use seawall::policy::identity::IdentityKind;
use seawall::policy::problem::Problems;
use seawall::policy::stored::{StoredIdentity, StoredRoleAssignment};
use seawall::policy::{PolicySnapshot, Registry, StoredPolicy};
use serde_json::json;

use super::{FILE, House};
use crate::identities::{actions, asserted};
use crate::layers::records::{guid, identity, principal_id, role};

/// One write; names are few, so that they meet. The file has `jane`, and `vault` by its principal id.
#[derive(Debug, Clone)]
enum Step {
    /// Its name, whose rule and ids it has, and how it is.
    Identity(&'static str, Option<(&'static str, IdentityKind, TokenStatus)>),
    /// The registry, the assignment's name, whose it is, and the role.
    Assignment(&'static str, &'static str, Option<(&'static str, &'static str)>),
}

const IDENTITIES: [&str; 5] = ["joe", "ann", "bob", "jane", "vault"];
const REGISTRIES: [&str; 3] = ["", "myregistry", "mybaseregistry"];
const ASSIGNMENTS: [&str; 3] = ["a1", "a2", "a3"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = select(vec![IdentityKind::User, IdentityKind::Group, IdentityKind::KubernetesCluster]);
    let status = select(vec![TokenStatus::Enabled, TokenStatus::Enabled, TokenStatus::Disabled]);
    let set = proptest::option::weighted(0.7, (select(IDENTITIES.to_vec()), kind, status));
    let identity = (select(IDENTITIES.to_vec()), set).prop_map(|(name, set)| Step::Identity(name, set));
    let held = (select(IDENTITIES.to_vec()), select(vec!["AcrPull", "AcrPush", "AcrDelete", "Owner"]));
    let place = (select(REGISTRIES.to_vec()), select(ASSIGNMENTS.to_vec()));
    let assignment = (place, proptest::option::weighted(0.7, held))
        .prop_map(|((registry, name), set)| Step::Assignment(registry, name, set));
    proptest::collection::vec(prop_oneof![identity, assignment], 0..24)
}

impl Step {
    fn place(&self) -> (&'static str, &'static str) {
        match self {
            Self::Identity(name, _) => ("identity", name),
            Self::Assignment(registry, name, _) => (registry, name),
        }
    }

    fn apply(&self, stored: &mut StoredPolicy) {
        let told = &mut Problems::new();
        match self {
            Self::Identity(name, set) => {
                let set = set.map(|(who, kind, status)| StoredIdentity { status, ..identity(who, kind) });
                stored.set_identity(name, set.as_ref(), told);
            }
            Self::Assignment(registry, name, set) => {
                let set: Option<StoredRoleAssignment> = set.map(|(who, name)| role(who, name));
                stored.set_role_assignment(registry, guid(name).as_str(), set.as_ref(), told);
            }
        }
    }
}

/// Everything that a policy answers about the few names.
fn answers(policy: &PolicySnapshot) -> Vec<String> {
    let mut answers = Vec::new();
    for registry in policy.registries() {
        for subject in IDENTITIES {
            for groups in [json!([]), json!(["ops"])] {
                let caller = asserted(registry, "corp", &json!({ "sub": subject, "groups": groups }));
                let rights =
                    caller.map(|caller| (actions(&caller.principal, "a"), caller.principal.may_list_catalog()));
                answers.push(format!("{} {subject} {groups} {rights:?}", registry.name));
            }
            let found = registry.principal(principal_id(subject)).map(|one| one.name().to_owned());
            answers.push(format!("{subject} {found:?}"));
        }
        answers.extend(registry.role_assignments().map(|one| one.to_string()));
    }
    answers
}

/// What `subject` may do, from the last records alone.
fn oracle(last: &[&Step], registry: &Registry, subject: &str) -> Option<String> {
    // The file's `jane` and `vault` hide stored ones of their names, and of vault's principal id; the first by name wins.
    let mut known: Vec<_> = last
        .iter()
        .filter_map(|step| match step {
            Step::Identity(name, Some(set)) if !["jane", "vault"].contains(name) && set.0 != "vault" => {
                Some((*name, *set))
            }
            Step::Identity(..) | Step::Assignment(..) => None,
        })
        .collect();
    known.sort_by_key(|(name, _)| *name);
    let is_first = |at: usize, who: &str| known[..at].iter().all(|(_, (other, ..))| *other != who);
    let meant = (0..known.len()).find(|at| known[*at].1.0 == subject && is_first(*at, subject));
    let (_, (who, kind, status)) = known[meant?];
    if status == TokenStatus::Disabled {
        return None;
    }
    let held = last.iter().filter_map(|step| match step {
        Step::Assignment(place, _, Some((of, role))) if *of == who && [&registry.name, ""].contains(place) => {
            Some(*role)
        }
        Step::Assignment(..) | Step::Identity(..) => None,
    });
    let mut rights = std::collections::BTreeSet::new();
    for role in held {
        rights.extend(match role {
            _ if kind == IdentityKind::KubernetesCluster && role == "AcrDelete" => &[][..],
            _ if kind == IdentityKind::KubernetesCluster => &["0pull"],
            "AcrPull" => &["0pull", "3metadata_read"],
            "AcrPush" => &["0pull", "1push", "3metadata_read"],
            "AcrDelete" => &["2delete"],
            _ => &["0pull", "1push", "2delete", "3metadata_read", "4metadata_write"],
        });
    }
    Some(rights.into_iter().map(|word: &str| &word[1..]).collect::<Vec<_>>().join(","))
}

proptest! {
    #[test]
    fn a_policy_that_was_changed_is_the_policy_that_is_read_anew(history in steps()) {
        let house = House::new(FILE);
        let mut changed = StoredPolicy::default();
        let mut before = PolicySnapshot::assemble(1, &house.declared, &changed, None);
        for step in &history {
            step.apply(&mut changed);
            before = PolicySnapshot::assemble(2, &house.declared, &changed, Some(&before));
        }
        let mut last: Vec<&Step> = Vec::new();
        for step in history.iter().rev() {
            if !last.iter().any(|later| later.place() == step.place()) {
                last.push(step);
            }
        }
        let mut anew = StoredPolicy::default();
        for step in &last {
            step.apply(&mut anew);
        }
        let anew = PolicySnapshot::assemble(1, &house.declared, &anew, None);
        prop_assert_eq!(answers(&before), answers(&anew));
        for registry in before.registries() {
            for subject in ["joe", "ann", "bob"] {
                let caller = asserted(registry, "corp", &json!({ "sub": subject }));
                let rights = caller.map(|caller| actions(&caller.principal, "a"));
                prop_assert_eq!(rights, oracle(&last, registry, subject), "{} {}", registry.name, subject);
            }
        }
    }
}
