//! What anybody may pull: everything, or some repositories.

use std::sync::Arc;

use seawall::oci::Scope;
use seawall::policy::problem::Problems;
use seawall::policy::stored::StoredRegistry;
use seawall::policy::{Caller, Denial, PolicySnapshot, Registry, StoredPolicy, grant};

use super::identities::may;
use super::policy::{anywhere, compiled, declared, texts};

const FILE: &str = "myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
";

fn registry(more: &str, set: Option<&StoredRegistry>) -> (Arc<Registry>, String) {
    let declared = declared(&format!("{FILE}{more}"));
    let (mut stored, mut told) = (StoredPolicy::default(), Problems::new());
    stored.set_registry("myregistry", set, &mut told);
    let policy = PolicySnapshot::assemble(1, &declared, &stored, None);
    told.extend(declared.warnings_beside(&stored));
    (Arc::clone(&policy.registries()[0]), texts(told))
}

fn stored(enabled: Option<bool>, repositories: Option<&[&str]>) -> StoredRegistry {
    StoredRegistry {
        anonymous_pull_enabled: enabled,
        anonymous_pull_repositories: repositories.map(|all| all.iter().map(ToString::to_string).collect()),
        ..StoredRegistry::default()
    }
}

/// Which of `public/app` and `private/app` anybody may pull, and by which rule.
fn open(registry: &Registry) -> [Option<String>; 2] {
    ["public/app", "private/app"].map(|repository| {
        let caller = Caller::anonymous(registry);
        for line in ["PUT", "DELETE"].map(|method| format!("{method} /v2/{repository}/manifests/v1")) {
            assert!(may(registry, &caller, &line).is_err());
        }
        assert!(may(registry, &caller, "GET /v2/_catalog").is_err());
        let listed = may(registry, &caller, &format!("GET /v2/{repository}/tags/list"));
        let pulled = may(registry, &caller, &format!("GET /v2/{repository}/manifests/v1"));
        assert_eq!(listed, pulled.clone().map_err(|_| listed.clone().unwrap_err()));
        pulled.ok()
    })
}

#[test]
fn anonymous_pull_is_of_all_repositories_or_of_some() {
    let rule = |place: &str| Some(format!("anonymous pull is enabled ({place})"));
    let cases: [(&str, StoredRegistry, [Option<String>; 2]); 9] = [
        ("", stored(None, None), [None, None]),
        ("", stored(None, Some(&["*"])), [None, None]),
        ("", stored(Some(true), None), [rule("store"), rule("store")]),
        ("", stored(Some(true), Some(&["public/*"])), [rule("store"), None]),
        ("", stored(Some(true), Some(&[])), [None, None]),
        ("  anonymousPullEnabled: true\n", stored(None, Some(&["public/app"])), [rule("store"), None]),
        ("  anonymousPullEnabled: true\n", stored(None, Some(&["*"])), [rule("store"), rule("store")]),
        ("  anonymousPullRepositories: [public/*, x]\n", stored(Some(true), None), [rule("policy.yaml:4:30"), None]),
        (
            "  anonymousPullRepositories: [public/*]\n",
            stored(Some(true), Some(&["*"])),
            [rule("policy.yaml:4:30"), None],
        ),
    ];
    for (more, set, expected) in cases {
        assert_eq!(open(&registry(more, Some(&set)).0), expected, "{more}{set:?}");
    }
    let (one, _) = registry("  anonymousPullEnabled: true\n  anonymousPullRepositories: [public/*]\n", None);
    let asked = Scope::parse_list("repository:public/app:pull,push repository:private/app:pull registry:catalog:*");
    let granted = grant(&one.anonymous(), &asked.unwrap(), &anywhere());
    assert_eq!(granted.iter().map(ToString::to_string).collect::<Vec<_>>(), ["repository:public/app:pull"]);
    let refused = may(&one, &Caller::anonymous(&one), "GET /v2/private/app/manifests/v1").unwrap_err();
    assert_eq!(refused.code(), "action_not_granted", "a challenge, as for any other repository");
    let shown = one.properties().anonymous_pull_repositories.value.as_deref().unwrap();
    assert_eq!(shown.iter().map(ToString::to_string).collect::<Vec<_>>(), ["public/*"]);
}

#[test]
fn what_cannot_be_read_opens_nothing() {
    let (one, told) = registry("", Some(&stored(Some(true), Some(&["public*", "private/app"]))));
    assert_eq!(open(&one), [None, Some("anonymous pull is enabled (store)".to_owned())]);
    assert!(told.contains("registry `myregistry`: `public*`: the wildcard must be the last segment"), "{told}");

    // A record of which nothing is known may have confined what the file opens.
    let declared = declared(&format!("{FILE}  anonymousPullEnabled: true\n"));
    let mut unreadable = StoredPolicy::default();
    unreadable.keep_registry("myregistry", &StoredPolicy::default());
    let policy = PolicySnapshot::assemble(1, &declared, &unreadable, None);
    assert_eq!(open(&policy.registries()[0]), [None, None]);
    let mut known = StoredPolicy::default();
    known.set_registry("myregistry", Some(&stored(None, Some(&["public/*"]))), &mut Problems::new());
    let mut kept = StoredPolicy::default();
    kept.keep_registry("myregistry", &known);
    let policy = PolicySnapshot::assemble(1, &declared, &kept, None);
    assert_eq!(open(&policy.registries()[0]).map(|one| one.is_some()), [true, false]);
}

#[test]
fn what_a_file_says_of_it_is_checked() {
    let (_, warnings) = registry("  anonymousPullRepositories: [public/*]\n", None);
    assert_eq!(
        warnings,
        "policy.yaml:4:30: warning: `anonymousPullRepositories` has no effect while `anonymousPullEnabled` is off
  hint: set `anonymousPullEnabled` to true, or remove it\n"
    );
    let (_, warnings) = registry(
        "  anonymousPullEnabled: true\n  anonymousPullRepositories: [public/*]\n",
        Some(&stored(None, Some(&["*"]))),
    );
    assert!(warnings.contains("policy.yaml:5:30: warning: `anonymousPullRepositories` has another value in the store"));
    for (list, problem) in [("[]", "nobody could pull"), ("[a*]", "`a*`: the wildcard must be the last segment")] {
        let (policy, problems) = compiled(&format!("{FILE}  anonymousPullRepositories: {list}\n"));
        assert!(policy.is_none() && problems.contains(problem), "{problems}");
    }
    assert_eq!(Denial::AnonymousNotAllowed.code(), "anonymous_not_allowed");
}
