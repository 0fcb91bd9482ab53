use reqwest::Method;
use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT};

const KEYS: &str = "/seawall/v1/keys";

async fn list(desk: &Desk) -> Vec<Value> {
    desk.get(KEYS).await.expect(200)["value"].as_array().unwrap().clone()
}

fn states(keys: &[Value], purpose: &str) -> Vec<String> {
    let of_purpose = keys.iter().filter(|key| key["purpose"] == purpose);
    let mut states: Vec<_> = of_purpose.map(|key| key["state"].as_str().unwrap().to_owned()).collect();
    states.sort_unstable();
    states
}

#[tokio::test]
async fn a_signing_key_is_rotated_and_the_old_one_revoked() {
    let desk = Desk::start().await;
    let keys = list(&desk).await;
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key["state"] == "active" && key["creationDate"] == NOW_TEXT), "{keys:?}");
    let old = keys.iter().find(|key| key["purpose"] == "signing").unwrap()["id"].as_str().unwrap().to_owned();
    assert!(!Value::from(keys.clone()).to_string().contains("PRIVATE"));

    let made = desk.post(&format!("{KEYS}/signing/rotate"), json!({})).await.expect(200);
    assert_eq!((made["state"].as_str(), made["algorithm"].as_str()), (Some("upcoming"), Some("ES256")));
    assert_eq!(states(&list(&desk).await, "signing"), ["active", "upcoming"]);
    desk.clock.advance(5);
    assert_eq!(states(&list(&desk).await, "signing"), ["active", "retiring"]);

    desk.post(&format!("{KEYS}/{old}/revoke"), json!({})).await.expect(204);
    assert_eq!(states(&list(&desk).await, "signing"), ["active"]);
    let new = made["id"].as_str().unwrap();
    let (message, _) = desk.post(&format!("{KEYS}/{new}/revoke"), json!({})).await.refused(409, "NotRevocable");
    assert!(message.contains("rotate first"), "{message}");
    desk.post(&format!("{KEYS}/{old}/revoke"), json!({})).await.refused(404, "ResourceNotFound");
    for id in ["hash", "management"] {
        desk.post(&format!("{KEYS}/{id}/revoke"), json!({})).await.refused(409, "NotRevocable");
    }
}

#[tokio::test]
async fn the_former_credential_is_refused_when_the_new_one_is_answered() {
    let desk = Desk::start().await;
    let made = desk.post(&format!("{KEYS}/management/rotate"), json!({})).await.expect(200);
    desk.get(KEYS).await.refused(401, "AuthenticationFailed");
    let bearer = format!("Bearer {}", made["value"].as_str().unwrap());
    let answer = desk.send_raw(&desk.url, Method::GET, KEYS, Vec::new(), vec![("authorization", &bearer)]).await;
    let keys = answer.expect(200);
    assert!(!keys.to_string().contains(made["value"].as_str().unwrap()), "shown once");
}
