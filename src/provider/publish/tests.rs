use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::policy::document::{NetworkAction, PolicyDocument, RegistryDocuments};
use crate::policy::locks::{Attributes, LockTarget, StoredAttributes};
use crate::policy::network::Source;
use crate::policy::stored::{StoredIdentity, StoredRegistry, StoredRoleAssignment, StoredScopeMap, StoredToken};
use crate::policy::{Principal, Registry};
use crate::provider::testing::{change, changes, key, scope_map, token};
use crate::provider::{reader, yaml};
use crate::store::{Revision, Unreadable};

const FILE: &str = "myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
";

/// A provider whose file is whatever the text says now.
struct House {
    file: Arc<Mutex<String>>,
    current: Arc<Current>,
    provider: PolicyProvider,
}

/// A whole policy where the text has that key, else what stands under it.
fn document(text: &str, problems: &mut Problems) -> Option<PolicyDocument> {
    let tree = yaml::parse("policy.yaml", text, problems)?;
    if text.contains("registries:") {
        return reader::draft::<PolicyDocument>(tree, problems)?.whole();
    }
    let registries = reader::draft::<RegistryDocuments>(tree, problems)?.whole()?;
    Some(PolicyDocument { registries, ..PolicyDocument::default() })
}

impl House {
    fn new(file: &str) -> Self {
        let file = Arc::new(Mutex::new(file.to_owned()));
        let (current, read) = (Arc::new(Current::new()), Arc::clone(&file));
        let read = move || {
            let mut problems = Problems::new();
            match document(&read.lock().unwrap(), &mut problems) {
                Some(document) => Ok(Described { document, files: Vec::new() }),
                None => Err(Refused { problems, files: Vec::new() }),
            }
        };
        let clock = Arc::new(ManualClock::at(0));
        let key = HashKey::from_bytes([0; 32]);
        let provider = PolicyProvider::new(Box::new(read), key, Arc::clone(&current), clock);
        Self { file, current, provider }
    }

    fn edit(&self, text: &str) {
        text.clone_into(&mut self.file.lock().unwrap());
    }

    fn one(&self) -> Arc<Registry> {
        Arc::clone(&self.current.load().unwrap().registries()[0])
    }

    fn knows(&self, user: &str) -> bool {
        self.one().principal_named(user).is_some()
    }
}

fn token_change(revision: u64, name: &str, token: Option<StoredToken>) -> Change {
    change(revision, key("myregistry", Kind::Token, name), token.map(Object::Token))
}

fn map_change(revision: u64, name: &str, map: Option<StoredScopeMap>) -> Change {
    change(revision, key("myregistry", Kind::ScopeMap, name), map.map(Object::ScopeMap))
}

#[test]
fn what_the_store_has_waits_for_the_first_files() {
    let house = House::new(FILE);
    let applied = house.provider.apply(&changes(3, true, vec![token_change(3, "ci-push", Some(token("team-a")))]));
    assert_eq!((applied.version, applied.revision), (None, 3));
    assert!(house.current.load().is_none());
    assert_eq!(house.provider.reload().unwrap().version, 1);
    assert!(house.knows("ci-push"));
    assert_eq!(house.current.load().unwrap().stored_revision(), 3);
}

#[test]
fn changes_of_the_store_and_reloads_of_the_files_follow_one_another() {
    let house = House::new(FILE);
    house.provider.reload().unwrap();
    let added = vec![
        map_change(1, "team-a", Some(scope_map(&["repositories/a/content/read"]))),
        token_change(2, "ci-push", Some(token("team-a"))),
    ];
    assert_eq!(house.provider.apply(&changes(2, false, added)).version, Some(2));
    assert!(house.knows("ci-push"));

    house.edit(&format!("{FILE}  tokens: {{ in-file: {{ scopeMap: _repositories_pull }} }}\n"));
    assert_eq!(house.provider.reload().unwrap().version, 3);
    assert!(house.knows("ci-push") && house.knows("in-file"));

    let applied = house.provider.apply(&changes(5, false, vec![token_change(5, "ci-push", None)]));
    assert_eq!(applied.version, Some(4));
    assert!(!house.knows("ci-push") && house.knows("in-file"));
    assert_eq!(house.current.load().unwrap().stored_revision(), 5);
}

/// The file's mistake must not keep a revocation out.
#[test]
fn a_file_with_a_mistake_leaves_the_files_as_they_were_and_the_store_goes_on() {
    let house = House::new(&format!("{FILE}  tokens: {{ in-file: {{ scopeMap: _repositories_pull }} }}\n"));
    house.provider.reload().unwrap();
    house.provider.apply(&changes(1, false, vec![token_change(1, "ci-push", Some(token("_repositories_pull")))]));
    house.edit("myregistry: 1");
    assert!(house.provider.reload().is_err());
    assert!(house.knows("ci-push") && house.knows("in-file"));
    house.provider.apply(&changes(2, false, vec![token_change(2, "ci-push", None)]));
    assert!(!house.knows("ci-push") && house.knows("in-file"));
}

/// After a restore the history is another one, and its revisions may be lower.
#[test]
fn everything_anew_forgets_what_was_there() {
    let house = House::new(FILE);
    house.provider.reload().unwrap();
    house.provider.apply(&changes(9, false, vec![token_change(9, "old-one", Some(token("_repositories_pull")))]));
    house.provider.apply(&changes(4, true, vec![token_change(4, "new-one", Some(token("_repositories_pull")))]));
    assert!(!house.knows("old-one") && house.knows("new-one"));
    assert_eq!(house.current.load().unwrap().stored_revision(), 4);
}

#[test]
fn nothing_new_publishes_nothing_and_a_key_alone_moves_the_revision() {
    let house = House::new(FILE);
    house.provider.reload().unwrap();
    let before = house.one();
    assert_eq!(house.provider.apply(&changes(0, false, Vec::new())).version, Some(1));
    let of_key = change(1, key("", Kind::Key, "hash"), None);
    assert_eq!(house.provider.apply(&changes(1, false, vec![of_key])).version, Some(2));
    assert!(Arc::ptr_eq(&before, &house.one()), "the registry is the same one");
    assert_eq!(house.current.load().unwrap().stored_revision(), 1);
}

fn is_open(house: &House) -> bool {
    house.one().network.admit(Source::public("192.0.2.1".parse::<std::net::IpAddr>().unwrap())).is_ok()
}

fn unreadable(revision: u64, kind: Kind, name: &str) -> Changes {
    let one = Unreadable {
        key: key("myregistry", kind, name),
        revision: Revision(revision),
        reason: "unknown field `newer`".to_owned(),
    };
    Changes { unreadable: vec![one], ..changes(revision, false, Vec::new()) }
}

/// The last thing that was known of the registry is the best that there is, whether it is read anew or not.
#[test]
fn an_unreadable_registry_stays_as_it_was_and_everything_else_goes_on() {
    let house = House::new(FILE);
    house.provider.reload().unwrap();
    let registry = |revision, action| {
        let set = StoredRegistry { default_action: Some(action), ..StoredRegistry::default() };
        change(revision, key("myregistry", Kind::Registry, ""), Some(Object::Registry(set)))
    };
    house.provider.apply(&changes(1, false, vec![registry(1, NetworkAction::Deny)]));
    assert!(!is_open(&house));
    house.provider.apply(&changes(2, false, vec![registry(2, NetworkAction::Allow)]));
    assert!(is_open(&house));
    for everything in [false, true] {
        let others = vec![token_change(3, "ci-push", Some(token("_repositories_pull")))];
        let news = Changes { everything, changes: others, ..unreadable(3, Kind::Registry, "") };
        assert_eq!(house.provider.apply(&news).revision, 3);
        assert!(is_open(&house) && house.knows("ci-push"), "everything: {everything}");
    }
    house.provider.apply(&changes(4, false, vec![registry(4, NetworkAction::Deny)]));
    assert!(!is_open(&house));
    house.provider.apply(&unreadable(5, Kind::Registry, ""));
    assert!(!is_open(&house));
}

/// What the record says may be a restriction; the rest of the file's registry does not change that.
#[test]
fn an_unreadable_registry_of_which_nothing_was_known_admits_nobody() {
    let house = House::new(&format!("{FILE}  networkRuleSet: {{ ipRules: [{{ value: 192.0.2.1 }}] }}\n"));
    house.provider.apply(&Changes { everything: true, ..unreadable(1, Kind::Registry, "") });
    house.provider.reload().unwrap();
    assert!(!is_open(&house));
    house.provider.apply(&Changes { everything: true, ..unreadable(1, Kind::Registry, "") });
    assert!(!is_open(&house), "reading it anew makes nothing known");
    house.provider.apply(&changes(2, false, vec![change(2, key("myregistry", Kind::Registry, ""), None)]));
    assert!(is_open(&house), "it was deleted");
}

#[test]
fn an_unreadable_token_or_scope_map_grants_nothing() {
    let house = House::new(FILE);
    house.provider.reload().unwrap();
    let both = vec![
        map_change(1, "team-a", Some(scope_map(&["repositories/a/content/read"]))),
        token_change(1, "ci-push", Some(token("team-a"))),
    ];
    house.provider.apply(&changes(1, false, both));
    house.provider.apply(&unreadable(2, Kind::ScopeMap, "team-a"));
    assert!(house.knows("ci-push") && house.one().scope_map("team-a").is_none());
    house.provider.apply(&unreadable(3, Kind::Token, "ci-push"));
    assert!(!house.knows("ci-push"));
}

/// It may have switched off anything; a reload of the files changes neither.
#[test]
fn unreadable_attributes_are_all_off_until_they_can_be_read() {
    let house = House::new(FILE);
    house.provider.reload().unwrap();
    let target = LockTarget::parse("a/b:v1").unwrap();
    let in_force = || house.one().locks().effective(&target, Timestamp::UNIX_EPOCH);
    let record = |off: bool| StoredAttributes {
        attributes: Attributes { read_enabled: !off, ..Attributes::default() },
        unlock: None,
        last_update_time: Timestamp::UNIX_EPOCH,
    };
    let attributes = |revision, set: Option<StoredAttributes>| {
        changes(
            revision,
            false,
            vec![change(revision, key("myregistry", Kind::Attributes, "a/b:v1"), set.map(Object::Attributes))],
        )
    };
    house.provider.apply(&attributes(1, Some(record(true))));
    assert_eq!(in_force(), record(true).attributes);
    house.provider.apply(&unreadable(2, Kind::Attributes, "a/b:v1"));
    house.edit(&format!("{FILE}  locks: [{{ repositories: a/b, tags: v1, listEnabled: true }}]\n"));
    house.provider.reload().unwrap();
    let now = in_force();
    assert!(!now.read_enabled && !now.write_enabled && !now.delete_enabled && !now.list_enabled);
    house.provider.apply(&attributes(3, Some(record(true))));
    assert_eq!(in_force(), record(true).attributes);
    house.provider.apply(&attributes(4, None));
    assert_eq!(in_force(), Attributes::default());
}

const WITH_PROVIDER: &str = "identityProviders: { corp: { issuer: https://corp.example, audiences: [a] } }
identities: { in-file: { type: User, matches: [{ provider: corp, claims: { sub: x } }] } }
registries: { myregistry: { loginServer: one.example.com, upstream: { url: http://127.0.0.1:5000 } } }
";

fn joe(id: &str) -> StoredIdentity {
    serde_json::from_value(serde_json::json!({
        "id": id, "kind": "User", "principalId": "00000000-0000-0000-0000-000000000001",
        "clientId": "00000000-0000-0000-0000-000000000002", "creationDate": Timestamp::UNIX_EPOCH,
        "matches": [{ "provider": "corp", "claims": { "sub": "joe" } }],
    }))
    .unwrap()
}

fn pulls() -> StoredRoleAssignment {
    serde_json::from_value(serde_json::json!({
        "principalId": "00000000-0000-0000-0000-000000000001", "grants": { "role": "AcrPull" },
        "createdBy": "owner", "creationDate": Timestamp::UNIX_EPOCH,
    }))
    .unwrap()
}

/// How much of what is assigned joe has; `None` when nobody is joe.
fn rights_of_joe(house: &House) -> Option<usize> {
    let registry = house.one();
    let joe = registry.identities().named("joe").filter(|joe| joe.is_enabled())?;
    Some(registry.assignments(joe).len())
}

/// What the store says of people counts with the next request, and so does that it says nothing any more.
#[test]
fn identities_and_assignments_of_the_store_come_and_go() {
    const ID: &str = "0123456789abcdef0123456789abcdef";
    const ASSIGNED: &str = "00000000-0000-0000-0000-00000000000a";
    let house = House::new(WITH_PROVIDER);
    house.provider.reload().unwrap();
    let identity = |revision, name: &str, set: Option<StoredIdentity>| {
        changes(revision, false, vec![change(revision, key("", Kind::Identity, name), set.map(Object::Identity))])
    };
    let assignment = |revision, registry: &str, set: Option<StoredRoleAssignment>| {
        let key = key(registry, Kind::RoleAssignment, ASSIGNED);
        changes(revision, false, vec![change(revision, key, set.map(Object::RoleAssignment))])
    };
    assert!(house.provider.apply(&identity(1, "joe", Some(joe(ID)))).warnings.is_empty());
    assert_eq!(rights_of_joe(&house), Some(0));
    house.provider.apply(&assignment(2, "myregistry", Some(pulls())));
    house.provider.apply(&assignment(3, "", Some(pulls())));
    assert_eq!(rights_of_joe(&house), Some(2));
    house.provider.reload().unwrap();
    assert_eq!(rights_of_joe(&house), Some(2), "whatever the files say");
    house.provider.apply(&assignment(4, "myregistry", None));
    assert_eq!(rights_of_joe(&house), Some(1));
    let unreadable = |revision, kind, name: &str| Changes {
        unreadable: vec![Unreadable { key: key("", kind, name), revision: Revision(revision), reason: String::new() }],
        ..changes(revision, false, Vec::new())
    };
    house.provider.apply(&unreadable(5, Kind::RoleAssignment, ASSIGNED));
    assert_eq!(rights_of_joe(&house), Some(0));
    house.provider.apply(&unreadable(6, Kind::Identity, "joe"));
    assert_eq!(rights_of_joe(&house), None);
    assert!(house.one().identities().named("joe").is_some(), "known, so that whoever is joe is nobody");
    house.provider.apply(&identity(7, "joe", Some(joe(ID))));
    assert_eq!(rights_of_joe(&house), Some(0));
    let hidden = house.provider.apply(&identity(8, "in-file", Some(joe("1123456789abcdef0123456789abcdef"))));
    let told: Vec<_> = hidden.warnings.iter().map(|one| one.what.clone()).collect();
    assert_eq!(told, ["identity `in-file` of the store has the name of another one"]);
    assert!(house.provider.apply(&identity(9, "other", None)).warnings.is_empty(), "it was told");
    house.provider.apply(&identity(10, "joe", None));
    assert!(house.one().identities().named("joe").is_none());
}

#[test]
fn what_is_in_both_is_told_once_and_at_every_reload() {
    let house = House::new(&format!("{FILE}  tokens: {{ ci-push: {{ scopeMap: _repositories_pull }} }}\n"));
    let texts = |problems: Problems| problems.iter().map(|one| one.what.clone()).collect::<Vec<_>>();
    house.provider.reload().unwrap();
    let of_other = || change(1, key("gone", Kind::Token, "ci-push"), Some(Object::Token(token("team-a"))));
    let both = vec![of_other(), token_change(1, "ci-push", Some(token("team-a")))];
    let expected =
        ["token `ci-push` is in the store too", "the store has objects of registry `gone`, which no file declares"];
    assert_eq!(texts(house.provider.apply(&changes(1, false, both)).warnings), expected);
    assert!(texts(house.provider.apply(&changes(2, false, vec![of_other()])).warnings).is_empty());
    assert_eq!(texts(house.provider.reload().unwrap().warnings), expected);
    house.provider.apply(&changes(3, false, vec![token_change(3, "ci-push", None)]));
    let again = house.provider.apply(&changes(4, false, vec![token_change(4, "ci-push", Some(token("team-a")))]));
    assert_eq!(texts(again.warnings), expected[..1], "it is news again");
}

/// A request keeps the policy that it began with.
#[test]
fn a_pinned_snapshot_is_not_changed_by_later_writes() {
    let house = House::new(FILE);
    house.provider.reload().unwrap();
    house.provider.apply(&changes(1, false, vec![token_change(1, "ci-push", Some(token("_repositories_pull")))]));
    let pinned = house.one();
    house.provider.apply(&changes(2, false, vec![token_change(2, "ci-push", None)]));
    assert!(matches!(pinned.principal_named("ci-push"), Some(Principal::Token(_))));
    assert!(house.one().principal_named("ci-push").is_none());
}
