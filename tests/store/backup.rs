//! Backups: out of one database and into another, whole or not at all.

use seawall::policy::credential::CredentialId;
use seawall::policy::stored::StoredRegistry;
use seawall::store::backup::{self, BackupError};
use seawall::store::{Contents, Database, Existing, Expected, Kind, LastUse, Object, Store, Write};

use crate::place::{Place, at, delete, key, on_both, put, scope_map};

on_both!(restores_what_it_saved, a_restore_is_another_history, keeps_what_is_there_unless_told, restores_many);

fn saved(contents: &Contents) -> String {
    let mut file = Vec::new();
    backup::write(contents, at(60), &mut file).unwrap();
    String::from_utf8(file).unwrap()
}

fn credential() -> CredentialId {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

async fn fill(store: &Database) {
    let tags = [("team".to_owned(), "a\nb".to_owned())].into();
    let registry = Object::Registry(StoredRegistry { tags, ..StoredRegistry::default() });
    let registry = Write { key: key(Kind::Registry, ""), object: Some(registry), expected: Expected::Absent };
    store.write(&[registry, put("b", "zwei \"2\""), put("a", "one"), put("gone", "")], at(1)).await.unwrap();
    store.write(&[delete("gone")], at(2)).await.unwrap();
    let last_use = LastUse { credential: credential(), at: at(3), address: "2001:db8::1".parse().unwrap() };
    store.note_uses(&[last_use]).await.unwrap();
}

/// Into the other kind of database, since that is how people move from one machine to replicas, and back.
async fn restores_what_it_saved(place: Place) {
    let store = place.open().await;
    fill(&store).await;
    let contents = store.contents().await.unwrap();
    let text = saved(&contents);
    let read = backup::read(text.as_bytes()).unwrap();
    assert_eq!(read, contents);

    let other_place = if matches!(place, Place::Sqlite(_)) { Place::postgres() } else { Place::sqlite() };
    let other = other_place.open().await;
    let revision = other.replace_contents(&read, Existing::Keep).await.unwrap().unwrap();
    let copy = other.contents().await.unwrap();
    assert_eq!(copy.uses, contents.uses);
    let told = |contents: &Contents| {
        let records = contents.records.iter();
        records.map(|record| (record.key.clone(), record.object.clone(), record.written_at)).collect::<Vec<_>>()
    };
    assert_eq!(told(&copy), told(&contents));
    assert_eq!(other.get(&key(Kind::ScopeMap, "a")).await.unwrap().unwrap().revision, revision);
    assert!(revision > contents.position.revision, "nobody has waited for it before");
}

async fn a_restore_is_another_history(place: Place) {
    let (store, reader) = (place.open().await, place.open().await);
    fill(&store).await;
    let contents = store.contents().await.unwrap();
    store.write(&[put("later", ""), delete("a")], at(4)).await.unwrap();
    let before = reader.changes(None).await.unwrap().position;
    let mut hints = store.hints();
    hints.mark_unchanged();
    let revision = store.replace_contents(&contents, Existing::Replace).await.unwrap().unwrap();
    assert!(hints.has_changed().unwrap());
    assert!(revision > before.revision);
    let all = reader.changes(Some(&before)).await.unwrap();
    let names: Vec<_> = all.changes.iter().map(|change| &*change.key.name).collect();
    assert!(all.everything);
    assert_eq!(names, ["", "a", "b"]);
    store.write(&[put("a", "again")], at(5)).await.unwrap();
    assert_eq!(reader.changes(Some(&all.position)).await.unwrap().changes.len(), 1, "and goes on from there");
}

async fn keeps_what_is_there_unless_told(place: Place) {
    let store = place.open().await;
    fill(&store).await;
    let contents = store.contents().await.unwrap();
    store.write(&[put("a", "changed")], at(4)).await.unwrap();
    let before = store.contents().await.unwrap();
    assert_eq!(store.replace_contents(&contents, Existing::Keep).await.unwrap(), None);
    assert_eq!(store.contents().await.unwrap(), before);
    assert_eq!(store.get(&key(Kind::ScopeMap, "a")).await.unwrap().unwrap().object, scope_map("changed"));
}

async fn restores_many(place: Place) {
    let store = place.open().await;
    let batch: Vec<Write> = (0..2_500).map(|number| put(&format!("map-{number:05}"), "one of many")).collect();
    store.write(&batch, at(0)).await.unwrap();
    let contents = backup::read(saved(&store.contents().await.unwrap()).as_bytes()).unwrap();
    store.replace_contents(&contents, Existing::Replace).await.unwrap();
    assert_eq!(store.contents().await.unwrap().records.len(), 2_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_or_changed_is_refused_wherever_that_happened() {
    let place = Place::sqlite();
    let store = place.open().await;
    fill(&store).await;
    let text = saved(&store.contents().await.unwrap());
    assert!(backup::read(text.as_bytes()).is_ok());
    for length in 0..text.len() {
        let cut = backup::read(&text.as_bytes()[..length]);
        assert!(cut.is_err(), "{length} of {} bytes", text.len());
    }
    for position in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[position] ^= 1;
        assert!(backup::read(&*bytes).is_err(), "byte {position} is another one");
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for left_out in 0..lines.len() {
        let rest: String =
            lines.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, line)| *line).collect();
        assert!(backup::read(rest.as_bytes()).is_err(), "without line {left_out}");
    }
    assert!(backup::read(format!("{text}\n").as_bytes()).is_err(), "something follows");
}

#[test]
fn other_files_are_told_apart() {
    let refused = |text: &[u8]| backup::read(text).unwrap_err();
    assert!(matches!(refused(b""), BackupError::NotOurs));
    assert!(matches!(refused(b"\xff\xfe\x00"), BackupError::NotOurs));
    assert!(matches!(refused(&b"a".repeat(100_000)), BackupError::NotOurs));
    assert!(matches!(refused(br#"{"format":"others","version":1}"#), BackupError::NotOurs));
    assert!(matches!(refused(br#"{"format":"seawall-backup","version":2,"x":1}"#), BackupError::Newer(2)));
}

/// One line each, so that the format does not change unnoticed.
#[tokio::test(flavor = "multi_thread")]
async fn the_format_is_this() {
    let place = Place::sqlite();
    let store = place.open().await;
    store.write(&[put("a", "one")], at(1)).await.unwrap();
    let last_use = LastUse { credential: credential(), at: at(3), address: "192.0.2.1".parse().unwrap() };
    store.note_uses(&[last_use]).await.unwrap();
    let contents = store.contents().await.unwrap();
    let text = saved(&contents).replace(&contents.position.generation, "GENERATION");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            r#"{"format":"seawall-backup","version":1,"createdAt":"2023-11-14T22:14:20Z","generation":"GENERATION","revision":1,"records":1,"uses":1}"#,
            r#"{"record":{"registry":"myregistry","kind":"scopeMap","name":"a","revision":1,"writtenAt":"2023-11-14T22:13:21Z","object":{"actions":["repositories/samples/*/content/read"],"creationDate":"2023-11-14T22:13:20Z","description":"one"}}}"#,
            r#"{"use":{"credential":"0123456789abcdef0123456789abcdef","at":"2023-11-14T22:13:23Z","address":"192.0.2.1"}}"#,
        ]
    );
    assert!(lines[3].starts_with(r#"{"sha256":""#) && lines.len() == 4, "{text}");
}
