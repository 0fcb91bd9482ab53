//! Attributes come, and go with what they are of.

use super::*;

#[tokio::test]
async fn attributes_are_kept_where_they_are_not_all_on() {
    let house = House::new().await;
    let digest = house.world().push(&["v1"], &image(1));
    let off = AttributesChange { write_enabled: Some(false), ..AttributesChange::default() };
    for target in [
        LockTarget::Repository(repository()),
        LockTarget::Tag(repository(), tag("v1")),
        LockTarget::Manifest(repository(), digest),
    ] {
        house.set(&target, &off).await.unwrap();
        let now = house.clock.now();
        let expected = Attributes { write_enabled: false, ..Attributes::default() };
        assert_eq!(house.registry().locks().effective(&target, now), expected, "in force when it is answered");
        let more = AttributesChange { list_enabled: Some(false), ..AttributesChange::default() };
        house.set(&target, &more).await.unwrap();
        let expected = Attributes { list_enabled: false, ..expected };
        assert_eq!(house.registry().locks().effective(&target, now), expected, "the other one stays");
        assert_eq!(house.records().await, [target.to_string()]);
        let on =
            AttributesChange { write_enabled: Some(true), list_enabled: Some(true), ..AttributesChange::default() };
        house.set(&target, &on).await.unwrap();
        assert_eq!(house.registry().locks().effective(&target, now), Attributes::default());
        assert!(house.records().await.is_empty(), "what is as it always is needs no record");
    }
    let unknown = LockTarget::Tag(repository(), tag("none"));
    assert_eq!(house.set(&unknown, &off).await, Err(MetadataError::Unknown(ErrorCode::ManifestUnknown)));
}

#[tokio::test]
async fn an_unlock_ends_by_itself_or_when_it_is_told_to() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    let target = LockTarget::Tag(repository(), tag("v1"));
    let unlock = |unlock| AttributesChange { unlock: Some(unlock), ..AttributesChange::default() };
    let half_an_hour = || Some((Duration::from_mins(30), "a fix".to_owned()));
    let is_open = |house: &House| house.registry().locks().effective(&target, house.clock.now()).write_enabled;
    let off = AttributesChange { write_enabled: Some(false), ..AttributesChange::default() };
    house.set(&target, &off).await.unwrap();
    house.set(&target, &unlock(half_an_hour())).await.unwrap();
    assert!(is_open(&house));
    let stored = house.registry().locks().stored(&target).unwrap().unlock.clone().unwrap();
    assert_eq!((stored.by.as_str(), stored.reason.as_str()), ("alice", "a fix"));
    house.clock.advance(1_800);
    assert!(!is_open(&house));
    house.set(&target, &unlock(half_an_hour())).await.unwrap();
    assert!(is_open(&house));
    house.set(&target, &unlock(None)).await.unwrap();
    assert!(!is_open(&house));
    let too_long = Some((Duration::from_hours(25), "a fix".to_owned()));
    for wrong in [too_long, Some((Duration::from_mins(1), " ".to_owned()))] {
        let answer = house.set(&target, &unlock(wrong)).await;
        assert!(matches!(answer, Err(MetadataError::Invalid(_))), "{answer:?}");
    }
}

/// Else what comes under the name next would be locked, and nobody could say why.
#[tokio::test]
async fn attributes_go_with_what_they_are_of_and_can_be_changed_when_it_is_gone() {
    let house = House::new().await;
    house.world().push(&["v1", "v2"], &image(1));
    let hidden = AttributesChange { list_enabled: Some(false), ..AttributesChange::default() };
    let (one, other) = (LockTarget::Tag(repository(), tag("v1")), LockTarget::Tag(repository(), tag("v2")));
    house.set(&one, &hidden).await.unwrap();
    house.set(&other, &hidden).await.unwrap();
    house.untag("v1").await.unwrap();
    assert_eq!(house.records().await, ["samples/a:v2"]);
    let digest = house.world().tags.remove("v2").unwrap();
    let on = AttributesChange { list_enabled: Some(true), ..AttributesChange::default() };
    house.set(&other, &on).await.unwrap();
    assert!(house.records().await.is_empty());
    house.world().tags.insert("v2".to_owned(), digest);
    house.set(&other, &hidden).await.unwrap();
    house.set(&LockTarget::Repository(repository()), &hidden).await.unwrap();
    house.delete().await.unwrap();
    assert!(house.records().await.is_empty());
}

#[tokio::test]
async fn writers_of_the_same_attributes_do_not_lose_each_other() {
    let house = House::new().await;
    house.world().push(&["v1"], &image(1));
    let target = LockTarget::Tag(repository(), tag("v1"));
    let off = |which: usize| AttributesChange {
        delete_enabled: (which == 0).then_some(false),
        write_enabled: (which == 1).then_some(false),
        read_enabled: (which == 2).then_some(false),
        list_enabled: (which == 3).then_some(false),
        unlock: None,
    };
    let changes = [off(0), off(1), off(2), off(3)];
    let [a, b, c, d] = &changes;
    let all = tokio::join!(house.set(&target, a), house.set(&target, b), house.set(&target, c), house.set(&target, d));
    assert_eq!(all, (Ok(()), Ok(()), Ok(()), Ok(())));
    assert_eq!(house.registry().locks().effective(&target, house.clock.now()), Attributes::NONE);
}
