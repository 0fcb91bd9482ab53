use seawall::policy::credential::Verifier;
use seawall::secret::Secret;
use seawall::store::Store;
use serde_json::json;

use super::desk::{Desk, REGISTRY, values};

fn opens(desk: &Desk, value: &str) -> bool {
    let admin = desk.registry().admin.clone();
    let text = Verifier::of_secret(&desk.hash_key, &Secret::new(value)).hash_text();
    admin.enabled && admin.passwords.iter().any(|password| password.verifier.hash_text() == text)
}

/// S1-43, S1-51 … S1-53, S1-55.
#[tokio::test]
async fn enabling_makes_two_passwords_and_each_is_replaced_alone() {
    let desk = Desk::start().await;
    let list = format!("{REGISTRY}/listCredentials");
    let (message, _) = desk.post(&list, json!({})).await.refused(400, "AdminUserDisabled");
    assert_eq!(message, "Run 'seawall update -n myregistry --admin-enabled true' to enable admin first.");
    desk.post(&format!("{REGISTRY}/regenerateCredential"), json!({ "name": "password" }))
        .await
        .refused(400, "AdminUserDisabled");

    let body = desk.patch(REGISTRY, json!({ "adminUserEnabled": true })).await.expect(200);
    assert_eq!(body["properties"]["adminUserEnabled"], true);
    let listed = desk.post(&list, json!({})).await.expect(200);
    assert_eq!(listed["username"], "myregistry");
    let [(first, Some(one)), (second, Some(two))] = &values(&listed)[..] else { panic!("{listed}") };
    assert_eq!((first.as_str(), second.as_str()), ("password", "password2"));
    assert!(opens(&desk, one) && opens(&desk, two));
    assert_eq!(desk.post(&list, json!({})).await.expect(200), listed, "they can be read again, as in ACR");

    let again =
        desk.post(&format!("{REGISTRY}/regenerateCredential"), json!({ "name": "password2" })).await.expect(200);
    let [(_, Some(same)), (_, Some(new))] = &values(&again)[..] else { panic!("{again}") };
    assert_eq!(same, one);
    assert!(opens(&desk, one) && opens(&desk, new) && !opens(&desk, two));
    desk.post(&format!("{REGISTRY}/regenerateCredential"), json!({ "name": "password1" }))
        .await
        .refused(400, "InvalidRequestContent");

    desk.patch(REGISTRY, json!({ "adminUserEnabled": false })).await.expect(200);
    assert!(!opens(&desk, one));
    desk.patch(REGISTRY, json!({ "adminUserEnabled": true })).await.expect(200);
    assert!(opens(&desk, one) && opens(&desk, new), "switching off and on keeps them");
    let stored = format!("{:?}", desk.store.changes(None).await.unwrap());
    assert!(!stored.contains(one.as_str()) && !stored.contains(new.as_str()));
}

#[tokio::test]
async fn passwords_in_a_file_are_named_not_shown() {
    let desk = Desk::start().await;
    let other = REGISTRY.replace("myregistry", "other1");
    let listed = desk.post(&format!("{other}/listCredentials"), json!({})).await.expect(200);
    assert_eq!(values(&listed), [("password".to_owned(), None)]);
    assert!(listed["declaredIn"].as_str().unwrap().contains("seawall.yaml:20:"), "{listed}");
    desk.post(&format!("{other}/regenerateCredential"), json!({ "name": "password" }))
        .await
        .refused(409, "DeclaredInFile");
}
