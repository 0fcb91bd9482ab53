use serde_json::{Value, json};

use super::desk::{Desk, REGISTRY};
use super::identities::{PROVIDER, make};

fn trusted(body: &Value) -> &Value {
    &body["properties"]["trustedServices"]
}

/// S2-13, S2-15, S2-21, S2-5.
#[tokio::test]
async fn identities_are_trusted_as_services_of_the_catalogue() {
    let desk = Desk::start_saying(PROVIDER, None).await;
    let task = make(&desk, "build-task", json!({ "identityType": "SystemAssigned" })).await;
    let lab = make(&desk, "lab", json!({})).await;
    let sent = json!([{ "service": "tasks", "identity": "build-task" }, { "service": "scanner", "principalId": lab }]);
    let body = desk.patch(REGISTRY, json!({ "trustedServices": sent })).await.expect(200);
    let expected = json!([
        { "service": "tasks", "identity": "build-task", "principalId": task },
        { "service": "scanner", "identity": "lab", "principalId": lab },
    ]);
    assert_eq!(trusted(&body), &expected);
    assert_eq!(desk.registry().trusted_services().instances().len(), 2, "in force");
    // As it was shown, and by the principal id in place of the name.
    let body = desk.patch(REGISTRY, json!({ "trustedServices": expected })).await.expect(200);
    assert_eq!(trusted(&body), &expected);
    for (one, part, says) in [
        (json!({ "service": "appService", "identity": "lab" }), "service", "there is no service 'appService'"),
        (json!({ "service": "task", "identity": "lab" }), "service", "did you mean `tasks`?"),
        (json!({ "service": "tasks", "identity": "lab" }), "identity", "takes a systemAssigned identity only"),
        (json!({ "service": "tasks", "identity": "nobody" }), "identity", "there is no identity 'nobody'"),
        (json!({ "service": "tasks", "principalId": "x" }), "principalId", "there is no identity 'x'"),
    ] {
        let refused = desk.patch(REGISTRY, json!({ "trustedServices": [one] })).await;
        let (message, target) = refused.refused(400, "InvalidRequestContent");
        assert_eq!(target.as_deref(), Some(format!("properties.trustedServices[0].{part}").as_str()));
        assert!(message.contains(says), "{message}");
    }
    let twice = json!([{ "service": "scanner", "identity": "lab" }, { "service": "scanner", "principalId": lab }]);
    desk.patch(REGISTRY, json!({ "trustedServices": twice })).await.refused(400, "InvalidRequestContent");
    let off = desk.patch(REGISTRY, json!({ "networkRuleBypassAllowedForTasks": false })).await.expect(200);
    assert_eq!(off["properties"]["networkRuleBypassAllowedForTasks"], false);
    assert_eq!(trusted(&off), &expected, "what is not sent stays");
    let none = desk.patch(REGISTRY, json!({ "trustedServices": [] })).await.expect(200);
    assert_eq!(trusted(&none), &json!([]));
}
