//! Locks from the outside: the matrix of what is locked, by which attribute, and what may be done with it all the same
//! (requirements B.8-2, B.8-3, D23).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use seawall::clock::Timestamp;
use seawall::oci::{Digest, Reference, RepositoryName, Tag};
use seawall::policy::locks::{
    Attributes, Lock, LockTarget, Locks, StoredAttributes, TagFacts, Touch, Unlock, Verdict, WRITE_ONCE,
};
use seawall::policy::problem::Problems;
use seawall::policy::{PolicySnapshot, Registry, StoredPolicy};

use super::policy::{compiled, declared, now, texts};

const FILE: &str = "myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
";

fn repository() -> RepositoryName {
    RepositoryName::parse("team/app").unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

/// A digest, by a hexadecimal digit.
fn digest(digit: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap()
}

/// What the upstream has in the repository.
fn upstream() -> BTreeMap<Tag, Digest> {
    [(tag("v1"), digest("a")), (tag("v2"), digest("b"))].into()
}

fn attributes(off: &[&str]) -> Attributes {
    Attributes {
        delete_enabled: !off.contains(&"deleteEnabled"),
        write_enabled: !off.contains(&"writeEnabled"),
        read_enabled: !off.contains(&"readEnabled"),
        list_enabled: !off.contains(&"listEnabled"),
    }
}

fn record(off: &[&str]) -> StoredAttributes {
    StoredAttributes { attributes: attributes(off), unlock: None, last_update_time: now() }
}

fn unlocked(off: &[&str], until: Timestamp) -> StoredAttributes {
    let unlock = Unlock { until, reason: "a mistake in v1".to_owned(), by: "jane".to_owned() };
    StoredAttributes { unlock: Some(unlock), ..record(off) }
}

/// What the store has, by the names of its records.
fn stored<'a>(records: impl IntoIterator<Item = (&'a str, &'a StoredAttributes)>) -> StoredPolicy {
    let (mut stored, mut told) = (StoredPolicy::default(), Problems::new());
    for (name, set) in records {
        stored.set_attributes("myregistry", name, Some(set), &mut told);
    }
    assert_eq!(texts(told), "");
    stored
}

fn one(rules: &str, stored: &StoredPolicy) -> Arc<Registry> {
    let policy = PolicySnapshot::assemble(1, &declared(&format!("{FILE}  locks: [{rules}]\n")), stored, None);
    Arc::clone(policy.registry_named("myregistry").unwrap())
}

/// What becomes of a touch when everything that is asked for is known, and how often something was.
fn judged(locks: &Locks, touch: &Touch, pushed: Option<&Digest>, now: Timestamp) -> (Result<(), Lock>, usize) {
    let (there, mut facts) = (upstream(), TagFacts { pushed: pushed.cloned(), ..TagFacts::default() });
    for questions in 0..3 {
        match locks.judge(touch, &facts, now) {
            Verdict::Free => {
                let reads = match touch {
                    Touch::ReadManifest { reference: Reference::Tag(tag), .. } => there.get(tag),
                    _ => None,
                };
                let forbids = reads.and_then(|digest| locks.forbids_reading(&repository(), digest, now));
                return (forbids.map_or(Ok(()), Err), questions);
            }
            Verdict::Locked(lock) => return (Err(lock), questions),
            Verdict::NeedsNames => {
                assert_eq!(facts.names, None, "it is asked once");
                facts.names = Some(there.keys().cloned().collect());
            }
            Verdict::NeedsTags(tags) => {
                assert!(
                    !tags.is_empty() && tags.iter().all(|tag| !facts.tags.contains_key(tag)),
                    "they are asked once"
                );
                facts.tags.extend(tags.into_iter().map(|tag| (tag.clone(), there.get(&tag).cloned())));
            }
        }
    }
    panic!("{touch:?} is never decided");
}

fn write(digest: Option<&str>, tags: &[&str]) -> Touch {
    let tags = tags.iter().map(|text| tag(text)).collect();
    Touch::WriteManifest { repository: repository(), digest: digest.map(self::digest), tags }
}

/// Everything that a request can do, in the order of the table's columns.
fn touches() -> [Touch; 15] {
    let (repository, by_tag) = (repository(), |text: &str| Reference::Tag(tag(text)));
    let read = |reference| Touch::ReadManifest { repository: self::repository(), reference };
    let remove = |digit: &str| Touch::DeleteManifest { repository: self::repository(), digest: digest(digit) };
    let untag = |text: &str| Touch::Untag { repository: self::repository(), tag: tag(text) };
    [
        read(by_tag("v1")),
        read(Reference::Digest(digest("a"))),
        read(by_tag("v2")),
        Touch::ReadContent { repository: repository.clone() },
        write(None, &["v1"]),
        write(Some("a"), &[]),
        write(Some("c"), &["v1"]),
        write(None, &["new"]),
        Touch::WriteBlob { repository: repository.clone() },
        remove("a"),
        remove("b"),
        untag("v1"),
        untag("v2"),
        Touch::DeleteBlob { repository: repository.clone() },
        Touch::DeleteRepository { repository },
    ]
}

/// `x` for what is locked, `.` for the rest, of a push of the manifest `c`.
fn row(locks: &Locks) -> String {
    let letter = |touch: &Touch| if judged(locks, touch, Some(&digest("c")), now()).0.is_ok() { '.' } else { 'x' };
    touches().iter().map(letter).collect()
}

/// The tag `v1` is of the manifest `a`, `v2` of `b`.
const MATRIX: &str = "
                                    | get: v1 A v2 blob | push: v1 A C+v1 new blob | remove: A B v1 v2 blob all
team/app                write       |      .  .  .  .   |       x  x x    x   x    |         x x x  x  x    x
team/app                delete      |      .  .  .  .   |       .  . .    .   .    |         . . .  .  .    x
team/app                read        |      x  x  x  x   |       .  . .    .   .    |         . . .  .  .    .
team/app                list        |      .  .  .  .   |       .  . .    .   .    |         . . .  .  .    .
team/app:v1             write       |      .  .  .  .   |       x  . x    .   .    |         x . x  .  x    x
team/app:v1             delete      |      .  .  .  .   |       .  . .    .   .    |         x . x  .  x    x
team/app:v1             read        |      x  .  .  .   |       .  . .    .   .    |         . . .  .  .    .
team/app:v1             list        |      .  .  .  .   |       .  . .    .   .    |         . . .  .  .    .
team/app:new            write       |      .  .  .  .   |       .  . .    x   .    |         . . .  .  .    .
team/app:new            delete      |      .  .  .  .   |       .  . .    .   .    |         . . .  .  .    .
team/app@A              write       |      .  .  .  .   |       .  x .    .   .    |         x . .  .  x    x
team/app@A              delete      |      .  .  .  .   |       .  . .    .   .    |         x . .  .  x    x
team/app@A              read        |      x  x  .  .   |       .  . .    .   .    |         . . .  .  .    .
team/app@A              list        |      .  .  .  .   |       .  . .    .   .    |         . . .  .  .    .
team/other              write       |      .  .  .  .   |       .  . .    .   .    |         . . .  .  .    .
other/app:v1            write       |      .  .  .  .   |       .  . .    .   .    |         . . .  .  .    .
";

/// The rows of the table: what is locked, by which attribute, and the letters.
fn rows() -> impl Iterator<Item = (String, String, String)> {
    MATRIX.lines().filter(|line| !line.is_empty()).skip(1).map(|line| {
        let (head, letters) = line.split_once('|').unwrap();
        let mut words = head.split_whitespace();
        let name = words.next().unwrap().replace("@A", &format!("@{}", digest("a")));
        let attribute = format!("{}Enabled", words.next().unwrap());
        (name, attribute, letters.chars().filter(|letter| matches!(letter, 'x' | '.')).collect())
    })
}

/// S3-16, B.8-2, B.8-3.
#[test]
fn each_attribute_of_the_store_forbids_what_the_matrix_says() {
    for (name, attribute, letters) in rows() {
        let registry = one("", &stored([(name.as_str(), &record(&[&attribute]))]));
        assert_eq!(row(registry.locks()), letters, "{name} {attribute}");
        // Whatever else is there, nothing more is allowed.
        let others = [("team/app", record(&["listEnabled"])), ("team/app:v3", record(&["deleteEnabled"]))];
        let mut more: Vec<_> = others.iter().map(|(name, set)| (*name, set)).collect();
        let this = record(&[&attribute, "listEnabled"]);
        more.push((&name, &this));
        assert_eq!(row(one("", &stored(more)).locks()), letters, "{name} {attribute}");
    }
}

/// The same by files, of tags by their names and by patterns.
#[test]
fn each_attribute_of_a_file_forbids_the_same() {
    for (name, attribute, letters) in rows().filter(|(name, ..)| !name.contains('@')) {
        let rules = match name.split_once(':') {
            Some((name, tag)) => {
                let rule =
                    |pattern: &str| format!("{{ repositories: {name}, tags: \"{pattern}\", {attribute}: false }}");
                vec![rule(tag), rule(&format!("*{tag}")), rule(&tag.replacen('v', "*", 1))]
            }
            None => vec![format!("{{ repositories: {name}, {attribute}: false }}")],
        };
        for rule in rules {
            let registry = one(&rule, &StoredPolicy::default());
            assert_eq!(row(registry.locks()), letters, "{rule}");
        }
    }
}

/// What cannot be read may have switched off anything.
#[test]
fn a_lost_record_switches_everything_off() {
    for name in ["team/app".to_owned(), "team/app:v1".to_owned(), format!("team/app@{}", digest("a"))] {
        let mut lost = stored([(name.as_str(), &unlocked(&[], Timestamp::MAX))]);
        lost.lose_attributes("myregistry", &name, &mut Problems::new());
        let all = record(&["writeEnabled", "deleteEnabled", "readEnabled", "listEnabled"]);
        let (registry, locked) = (one("", &lost), one("", &stored([(name.as_str(), &all)])));
        assert_eq!(row(registry.locks()), row(locked.locks()), "{name}");
        let target = LockTarget::parse(&name).unwrap();
        assert_eq!(registry.locks().effective(&target, now()), all.attributes);
        assert_eq!(registry.locks().stored(&target), None);
        // It is mended by another record, or by none.
        lost.set_attributes("myregistry", &name, None, &mut Problems::new());
        assert!(one("", &lost).locks().is_empty());
    }
}

#[test]
fn a_record_of_nothing_that_there_can_be_is_told() {
    let mut policy = StoredPolicy::default();
    for name in ["Team/App", "team/app:", "team/app@sha256:0", "team//app", ""] {
        let mut told = Problems::new();
        policy.set_attributes("myregistry", name, Some(&record(&["readEnabled"])), &mut told);
        assert!(texts(told).contains("there is no repository, tag or manifest of this name"), "{name}");
        policy.set_attributes("myregistry", name, None, &mut Problems::new());
    }
    assert!(one("", &policy).locks().is_empty());
}

/// D23: written once, and pushed again as it is.
#[test]
fn a_write_once_tag_that_exists_is_not_moved() {
    let rule = "{ repositories: team/*, tags: \"v*\", writeOnce: true }";
    let registry = one(rule, &StoredPolicy::default());
    let locks = registry.locks();
    assert_eq!(row(locks), "....x.x........", "it may be deleted, and what was not there is pushed");
    let told = judged(locks, &write(None, &["v1"]), Some(&digest("c")), now()).0.unwrap_err();
    assert_eq!(told.attribute, WRITE_ONCE);
    assert_eq!(told.to_string(), "`team/app:v1` is locked: it is written once only (policy.yaml:4:11)");
    let pushed = |digit: Option<&str>, touch: &Touch| judged(locks, touch, digit.map(digest).as_ref(), now()).0.is_ok();
    assert!(pushed(Some("a"), &write(None, &["v1"])), "nothing moves");
    assert!(pushed(None, &write(Some("a"), &["v1"])), "the path says what it is");
    assert!(!pushed(None, &write(Some("a"), &["v1", "v2"])), "one of several moves");
    assert!(!pushed(None, &write(None, &["v1"])), "nobody knows what it is");
    assert!(pushed(None, &write(None, &["v3"])) && pushed(Some("c"), &write(None, &["latest"])));
    let also_kept = one(&format!("{rule}, {{ repositories: '*', tags: 'v*', deleteEnabled: false }}"), &stored([]));
    assert_eq!(row(also_kept.locks()), "....x.x..xxxxxx");
}

/// What is decided without the upstream asks nothing of it.
#[test]
fn the_upstream_is_asked_for_what_is_needed_only() {
    let questions = |rules: &str, stored: &StoredPolicy| {
        let registry = one(rules, stored);
        let asked = |touch: &Touch| judged(registry.locks(), touch, None, now()).1.to_string();
        touches().iter().map(asked).collect::<String>()
    };
    let locked_tag = stored([("team/app:v1", &record(&["deleteEnabled"]))]);
    assert_eq!(questions("", &StoredPolicy::default()), "000000000000000");
    assert_eq!(questions("", &stored([("team/app", &record(&["readEnabled"]))])), "000000000000000");
    assert_eq!(questions("", &locked_tag), "000000000110011");
    let pattern = "{ repositories: '*', tags: 'v*', deleteEnabled: false }";
    assert_eq!(questions(pattern, &StoredPolicy::default()), "000000000220011");
    let exact = "{ repositories: '*', tags: v1, deleteEnabled: false }";
    assert_eq!(questions(exact, &StoredPolicy::default()), "000000000110011");
    let once = "{ repositories: '*', tags: 'v*', writeOnce: true }";
    assert_eq!(questions(once, &StoredPolicy::default()), "000010100000000");
    let whole = stored([("team/app", &record(&["writeEnabled"])), ("team/app:v1", &record(&["writeEnabled"]))]);
    assert_eq!(questions("", &whole), "000000000000000");
}

#[test]
fn a_lock_says_what_it_is_of_and_where_it_was_set() {
    let records = [("team/app:v1", record(&["writeEnabled", "deleteEnabled"]))];
    let registry = one("{ repositories: team/*, deleteEnabled: false }", &stored(records.iter().map(|(n, r)| (*n, r))));
    let told = |touch: &Touch| judged(registry.locks(), touch, None, now()).0.unwrap_err().to_string();
    assert_eq!(told(&write(None, &["v1"])), "`team/app:v1` is locked: `writeEnabled` is off (store)");
    let all = Touch::DeleteRepository { repository: repository() };
    assert_eq!(told(&all), "`team/app` is locked: `deleteEnabled` is off (policy.yaml:4:11)");
}

#[test]
fn a_hidden_manifest_is_known_of_its_repository_alone() {
    let name = format!("team/app@{}", digest("a"));
    let registry =
        one("", &stored([(name.as_str(), &record(&["readEnabled"])), ("team/b:v1", &record(&["readEnabled"]))]));
    let hides = |name: &str| registry.locks().hides_manifests(&RepositoryName::parse(name).unwrap(), now());
    assert!(hides("team/app") && !hides("team/b") && !hides("team"));
    let open = stored([(name.as_str(), &unlocked(&["readEnabled"], now() + Duration::from_secs(1)))]);
    assert!(!one("", &open).locks().hides_manifests(&repository(), now()));
}

/// The store's attributes of one thing count as on until that moment; files' rules stay.
#[test]
fn an_unlock_ends_at_its_moment_and_is_of_one_thing() {
    let until = now() + Duration::from_mins(30);
    let before = until - Duration::from_nanos(1);
    let (open, closed) = (unlocked(&["writeEnabled"], until), record(&["writeEnabled"]));
    let push = write(None, &["v1"]);
    let target = LockTarget::parse("team/app:v1").unwrap();
    let registry = one("", &stored([("team/app:v1", &open)]));
    assert_eq!(judged(registry.locks(), &push, None, before).0, Ok(()));
    assert_eq!(registry.locks().effective(&target, before), Attributes::default());
    assert!(judged(registry.locks(), &push, None, until).0.is_err());
    assert_eq!(registry.locks().effective(&target, until), attributes(&["writeEnabled"]));
    assert_eq!(registry.locks().stored(&target), Some(&open), "what it will be again is there to see");

    let beside_repository = one("", &stored([("team/app:v1", &open), ("team/app", &closed)]));
    assert!(judged(beside_repository.locks(), &push, None, before).0.is_err());
    let beside_file = one("{ repositories: '*', tags: v1, writeEnabled: false }", &stored([("team/app:v1", &open)]));
    assert!(judged(beside_file.locks(), &push, None, before).0.is_err());
}

#[test]
fn files_and_store_change_apart_and_what_did_not_change_is_shared() {
    const MANY: usize = 50_000;
    let file = |rules: &str| declared(&format!("{FILE}  locks: [{rules}]\n"));
    let target = |number: usize| LockTarget::Tag(repository(), tag(&format!("v{number}")));
    let mut layer = StoredPolicy::default();
    for number in 0..MANY {
        let name = target(number).to_string();
        layer.set_attributes("myregistry", &name, Some(&record(&["writeEnabled"])), &mut Problems::new());
    }
    let first = PolicySnapshot::assemble(1, &file("{ repositories: a, readEnabled: false }"), &layer, None);
    layer.set_attributes("myregistry", "team/app:v7", Some(&record(&["readEnabled"])), &mut Problems::new());
    let second = PolicySnapshot::assemble(2, &file("{ repositories: b, readEnabled: false }"), &layer, Some(&first));
    let [before, after] = [&first, &second].map(|policy| policy.registry_named("myregistry").unwrap().locks());
    let place = |locks: &Locks, number| locks.stored(&target(number)).map(std::ptr::from_ref);
    let copied = (0..MANY).filter(|number| place(before, *number) != place(after, *number)).collect::<Vec<_>>();
    assert_eq!(copied, [7]);
    assert!(before.effective(&target(7), now()).read_enabled && !after.effective(&target(7), now()).read_enabled);
    let read = |locks: &Locks, name: &str| locks.effective(&LockTarget::parse(name).unwrap(), now()).read_enabled;
    assert_eq!([read(before, "a"), read(before, "b"), read(after, "a"), read(after, "b")], [false, true, true, false]);
}

#[test]
fn rules_that_cannot_be_meant_are_problems() {
    let rules = [
        ("{ repositories: 'a*', readEnabled: false }", "the wildcard must be the last segment"),
        ("{ repositories: a, tags: '', readEnabled: false }", "it is empty"),
        ("{ repositories: a, tags: '-v*', readEnabled: false }", "a tag does not begin with `.` or `-`"),
        ("{ repositories: a, tags: 'v/*', readEnabled: false }", "a tag has letters, digits"),
        ("{ repositories: a, writeOnce: true }", "`writeOnce` is about tags, and this rule is about repositories"),
    ];
    for (rule, sentence) in rules {
        let (policy, problems) = compiled(&format!("{FILE}  locks: [{rule}]\n"));
        assert!(policy.is_none() && problems.contains(sentence), "{rule}: {problems}");
    }
    assert!(compiled(&format!("{FILE}  locks: [{{ repositories: a, writeOnce: false }}]\n")).0.is_some());
}

/// Names of attributes, some of them.
fn off() -> impl Strategy<Value = Vec<&'static str>> {
    let names = vec!["writeEnabled", "deleteEnabled", "readEnabled", "listEnabled"];
    proptest::sample::subsequence(names, 0..=4)
}

fn names() -> impl Strategy<Value = String> {
    let [a, b] = ["a", "b"].map(|digit| format!("team/app@{}", digest(digit)));
    let names = ["team/app", "team/app:v1", "team/app:v2", "team/app:new", "team/other", "team/other:v1"];
    select(names.iter().map(ToString::to_string).chain([a, b]).collect::<Vec<_>>())
}

fn rule() -> impl Strategy<Value = String> {
    let repositories = select(vec!["'*'", "team/*", "team/app", "other"]);
    let tags = proptest::option::of(select(vec!["'*'", "v*", "v1", "'*2'", "new"]));
    (repositories, tags, off(), any::<bool>()).prop_map(|(repositories, tags, off, once)| {
        let mut text = format!("{{ repositories: {repositories}");
        if let Some(tags) = tags {
            write!(text, ", tags: {tags}, writeOnce: {once}").unwrap();
        }
        for name in off {
            write!(text, ", {name}: false").unwrap();
        }
        text + " }"
    })
}

fn records() -> impl Strategy<Value = BTreeMap<String, StoredAttributes>> {
    let one = (off(), proptest::option::weighted(0.2, Just(now() + Duration::from_mins(1))));
    let one = one.prop_map(|(off, until)| until.map_or_else(|| record(&off), |until| unlocked(&off, until)));
    proptest::collection::btree_map(names(), one, 0..5)
}

fn layer(records: &BTreeMap<String, StoredAttributes>) -> StoredPolicy {
    stored(records.iter().map(|(name, set)| (name.as_str(), set)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever is added, nothing is allowed that was not: neither by a rule, nor by a record, nor by its loss.
    #[test]
    fn a_lock_never_widens(
        rules in proptest::collection::vec(rule(), 0..3), more in rule(), records in records(),
        name in names(), off in off(),
    ) {
        let (fewer, all) = (rules.join(", "), [rules, vec![more]].concat().join(", "));
        let before = one(&fewer, &layer(&records));
        let mut locked = records.clone();
        let known = locked.entry(name.clone()).or_insert_with(|| record(&[]));
        known.attributes = known.attributes.and(attributes(&off));
        let mut lost = layer(&records);
        lost.lose_attributes("myregistry", &name, &mut Problems::new());
        for after in [one(&all, &layer(&records)), one(&fewer, &layer(&locked)), one(&fewer, &lost)] {
            for touch in touches() {
                let [was, is] = [&before, &after].map(|one| judged(one.locks(), &touch, None, now()).0.is_ok());
                prop_assert!(was || !is, "{touch:?}");
            }
        }
    }

    /// Attributes are those of the store, or all while it is unlocked, and those of every rule for it.
    #[test]
    fn the_attributes_in_force_are_those_that_are_on_everywhere(
        rules in proptest::collection::vec(rule(), 0..3), records in records(), name in names(),
    ) {
        let target = LockTarget::parse(&name).unwrap();
        let registry = one(&rules.join(", "), &layer(&records));
        let alone = |rule: &str| one(rule, &StoredPolicy::default()).locks().effective(&target, now());
        let of_store = records.get(&name).map_or_else(Attributes::default, |set| set.at(now()));
        let expected = rules.iter().fold(of_store, |attributes, rule| attributes.and(alone(rule)));
        prop_assert_eq!(registry.locks().effective(&target, now()), expected);
    }

    /// A record that was deleted leaves nothing, in whatever order they came.
    #[test]
    fn what_is_left_of_records_is_all_that_counts(records in records(), others in records()) {
        let mut policy = layer(&others);
        for (name, set) in &records {
            policy.set_attributes("myregistry", name, Some(set), &mut Problems::new());
        }
        for name in others.keys().filter(|name| !records.contains_key(*name)) {
            policy.set_attributes("myregistry", name, None, &mut Problems::new());
        }
        let (registry, expected) = (one("", &policy), one("", &layer(&records)));
        prop_assert_eq!(row(registry.locks()), row(expected.locks()));
        prop_assert_eq!(registry.locks().is_empty(), records.is_empty());
    }

    #[test]
    fn a_target_is_read_as_it_is_written(text in "[a-z]{1,3}(/[a-z]{1,3}){0,2}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,5})?", hash in "[0-9a-f]{64}") {
        let by_digest = format!("{}@sha256:{hash}", text.split(':').next().unwrap());
        for text in [text, by_digest] {
            prop_assert_eq!(LockTarget::parse(&text).map(|target| target.to_string()), Some(text));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = LockTarget::parse(&text);
    }
}
