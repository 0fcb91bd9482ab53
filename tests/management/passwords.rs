use std::net::IpAddr;

use reqwest::Method;
use seawall::clock::{Clock, Timestamp};
use seawall::policy::credential::Verifier;
use seawall::secret::Secret;
use seawall::store::{LastUse, Store};
use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT, REGISTRY, token, values};

async fn generate(desk: &Desk, body: Value) -> Value {
    desk.post(&format!("{REGISTRY}/generateCredentials"), body).await.expect(200)
}

/// Whether `value` opens the token now.
fn opens(desk: &Desk, value: &str) -> bool {
    let principal = desk.principal("MyToken").unwrap();
    let text = Verifier::of_secret(&desk.hash_key, &Secret::new(value)).hash_text();
    let now = desk.clock.now();
    principal
        .passwords()
        .iter()
        .any(|password| password.verifier.hash_text() == text && principal.accepts(password.id, now).is_ok())
}

/// S3-30, S3-31, B.2-6.
#[tokio::test]
async fn both_are_made_unless_one_is_named_and_shown_once() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let both = generate(&desk, json!({ "tokenId": token("MyToken") })).await;
    assert_eq!(both["username"], "MyToken");
    assert_eq!(both["passwords"][0]["creationTime"], NOW_TEXT);
    assert_eq!(both["passwords"][0]["expiry"], Value::Null);
    let [(first, Some(one)), (second, Some(two))] = &values(&both)[..] else { panic!("{both}") };
    assert_eq!((first.as_str(), second.as_str()), ("password1", "password2"));
    assert!(opens(&desk, one) && opens(&desk, two));
    assert_eq!(one.len(), 43);

    let again = generate(&desk, json!({ "tokenId": token("MyToken"), "name": "password1" })).await;
    let [(_, Some(new)), (_, None)] = &values(&again)[..] else { panic!("{again}") };
    assert!(opens(&desk, new) && opens(&desk, two));
    assert!(!opens(&desk, one), "D1: the old one is refused at once");

    let shown = desk.get(&token("MyToken")).await.expect(200);
    assert!(!shown.to_string().contains(new.as_str()));
    assert_eq!(shown["properties"]["credentials"]["passwords"][0].get("value"), None);
}

#[tokio::test]
async fn an_expiry_is_kept_and_the_end_of_time_is_none() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let until = "2027-02-14T08:00:00Z";
    let sent = json!({ "tokenId": token("MyToken"), "name": "password1", "expiry": until });
    let made = generate(&desk, sent).await;
    assert_eq!(made["passwords"][0]["expiry"], "2027-02-14T08:00:00.000000+00:00");
    let value = values(&made)[0].1.clone().unwrap();
    assert!(opens(&desk, &value));
    desk.clock.advance(30 * 86_400);
    assert!(!opens(&desk, &value));
    let never = json!({ "tokenId": token("MyToken"), "expiry": "9999-12-31T23:59:59.999999+00:00" });
    assert_eq!(generate(&desk, never).await["passwords"][0]["expiry"], Value::Null);
    let past = json!({ "tokenId": token("MyToken"), "expiry": until });
    let answer = desk.post(&format!("{REGISTRY}/generateCredentials"), past).await;
    assert_eq!(answer.refused(400, "InvalidRequestContent").1.as_deref(), Some("expiry"));
}

#[tokio::test]
async fn a_replaced_password_may_overlap_but_never_lives_longer() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let sent = json!({ "tokenId": token("MyToken"), "name": "password1", "expiry": "2027-01-15T08:20:00Z" });
    let old = values(&generate(&desk, sent).await)[0].1.clone().unwrap();
    let sent = json!({ "tokenId": token("MyToken"), "name": "password1", "overlap": "10m" });
    let made = generate(&desk, sent).await;
    assert_eq!(made["passwords"][0]["replaced"]["validUntil"], "2027-01-15T08:10:00.000000+00:00");
    let new = values(&made)[0].1.clone().unwrap();
    assert!(opens(&desk, &old) && opens(&desk, &new));
    desk.clock.advance(600);
    assert!(!opens(&desk, &old) && opens(&desk, &new));

    let sent = json!({ "tokenId": token("MyToken"), "name": "password2", "expiry": "2027-01-15T08:20:00Z" });
    generate(&desk, sent).await;
    let sent = json!({ "tokenId": token("MyToken"), "name": "password2", "overlap": "P1D" });
    let made = generate(&desk, sent).await;
    assert_eq!(made["passwords"][1]["replaced"]["validUntil"], "2027-01-15T08:20:00.000000+00:00");
    for overlap in ["0s", "-10m", "P31D", "soon"] {
        let sent = json!({ "tokenId": token("MyToken"), "overlap": overlap });
        let answer = desk.post(&format!("{REGISTRY}/generateCredentials"), sent).await;
        assert_eq!(answer.refused(400, "InvalidRequestContent").1.as_deref(), Some("overlap"), "{overlap}");
    }
}

/// D11.
#[tokio::test]
async fn a_token_may_have_named_passwords_besides_its_two() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let made = generate(&desk, json!({ "tokenId": token("MyToken"), "name": "laptop.jane" })).await;
    assert_eq!(made["passwords"], json!([]));
    let value = made["additionalPasswords"][0]["value"].as_str().unwrap().to_owned();
    assert!(opens(&desk, &value));
    for name in ["password", "a b", ""] {
        let sent = json!({ "tokenId": token("MyToken"), "name": name });
        desk.post(&format!("{REGISTRY}/generateCredentials"), sent).await.refused(400, "InvalidRequestContent");
    }
    let gone = json!({ "credentials": { "additionalPasswords": [] } });
    let body = desk.patch(&token("MyToken"), gone).await.expect(200);
    assert!(body["properties"]["credentials"].get("additionalPasswords").is_none());
    assert!(!opens(&desk, &value));
}

/// wire.md 5: passwords that are not named are deleted.
#[tokio::test]
async fn patching_keeps_the_passwords_that_it_names() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let made = generate(&desk, json!({ "tokenId": token("MyToken") })).await;
    let [(_, Some(one)), (_, Some(two))] = &values(&made)[..] else { panic!("{made}") };
    let kept = json!({ "credentials": { "passwords": [{ "name": "password2" }] } });
    let body = desk.patch(&token("MyToken"), kept).await.expect(200);
    assert_eq!(body["properties"]["credentials"]["passwords"].as_array().unwrap().len(), 1);
    assert!(!opens(&desk, one) && opens(&desk, two));
    let unknown = json!({ "credentials": { "passwords": [{ "name": "password1" }] } });
    let (message, _) = desk.patch(&token("MyToken"), unknown).await.refused(400, "InvalidRequestContent");
    assert_eq!(message, "there is no password1: `generateCredentials` makes passwords");
    let other = json!({ "credentials": { "passwords": [{ "name": "password2", "expiry": "2030-01-01T00:00:00Z" }] } });
    desk.patch(&token("MyToken"), other).await.refused(400, "InvalidRequestContent");
    desk.patch(&token("MyToken"), json!({ "credentials": { "passwords": [] } })).await.expect(200);
    assert!(!opens(&desk, two));
}

#[tokio::test]
async fn credentials_of_no_token_of_this_registry_are_not_found() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    for id in [token("nobody"), token("MyToken").replace("myregistry", "other1"), "MyToken".to_owned()] {
        let answer = desk.post(&format!("{REGISTRY}/generateCredentials"), json!({ "tokenId": id })).await;
        answer.refused(404, "ResourceNotFound");
    }
}

/// D11, D12.
#[tokio::test]
async fn the_last_use_of_a_password_is_shown() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    generate(&desk, json!({ "tokenId": token("MyToken"), "name": "password1" })).await;
    let credential = desk.principal("MyToken").unwrap().passwords()[0].id;
    let at: Timestamp = "2027-01-15T07:59:00Z".parse().unwrap();
    let address = IpAddr::from([203, 0, 113, 9]);
    desk.store.note_uses(&[LastUse { credential, at, address }]).await.unwrap();
    let shown = |body: Value| {
        let password = &body["properties"]["credentials"]["passwords"][0];
        assert_eq!(password["lastUsedTime"], "2027-01-15T07:59:00.000000+00:00", "{body}");
        assert_eq!(password["lastUsedAddress"], "203.0.113.9");
    };
    shown(desk.get(&token("MyToken")).await.expect(200));
    let list = desk.get(&format!("{REGISTRY}/tokens")).await.expect(200);
    shown(list["value"].as_array().unwrap().iter().find(|token| token["name"] == "MyToken").unwrap().clone());
    let sent = json!({ "tokenId": token("MyToken"), "name": "password1", "overlap": "PT1H" });
    generate(&desk, sent).await;
    let body = desk.get(&token("MyToken")).await.expect(200);
    let password = &body["properties"]["credentials"]["passwords"][0];
    assert_eq!(password.get("lastUsedTime"), None, "the new one was not used yet");
    assert_eq!(password["replaced"]["lastUsedAddress"], "203.0.113.9");
}

#[tokio::test]
async fn concurrent_rotations_of_one_token_both_count() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let path = format!("{REGISTRY}/generateCredentials");
    let one = |name: &str| Some(json!({ "tokenId": token("MyToken"), "name": name }));
    let (first, second) = tokio::join!(
        desk.send(Method::POST, &path, one("password1")),
        desk.send(Method::POST, &path, one("password2"))
    );
    let value = |answer: Value, position: usize| {
        let name = ["password1", "password2"][position];
        values(&answer).into_iter().find(|(found, _)| found == name).and_then(|(_, value)| value).unwrap()
    };
    assert!(opens(&desk, &value(first.expect(200), 0)));
    assert!(opens(&desk, &value(second.expect(200), 1)));
}

/// A client that only tries again must not end the overlap of what is in use.
#[tokio::test]
async fn a_second_overlap_waits_for_the_end_of_the_first() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let first = values(&generate(&desk, json!({ "tokenId": token("MyToken"), "name": "password1" })).await);
    let in_use = first[0].1.clone().unwrap();
    let overlap = json!({ "tokenId": token("MyToken"), "name": "password1", "overlap": "1h" });
    generate(&desk, overlap.clone()).await;
    let again = desk.post(&format!("{REGISTRY}/generateCredentials"), overlap.clone()).await;
    let (message, _) = again.refused(409, "OverlapNotOver");
    assert!(message.contains("password1") && opens(&desk, &in_use), "{message}");
    desk.clock.advance(3601);
    generate(&desk, overlap).await;
    assert!(!opens(&desk, &in_use));
}
