//! Why, asked of the server: by the policy in force, with what the API has set.

use serde_json::json;

use super::desk::{Desk, REGISTRY};

#[tokio::test]
async fn an_explanation_counts_what_the_api_has_set() {
    let desk = Desk::start().await;
    let pull = json!({
        "registry": "myregistry", "source": "192.0.2.7", "action": "pull", "repository": "declared/app:v1",
        "token": "declared-token",
    });
    let refused = desk.post("/seawall/v1/explain", pull.clone()).await.expect(200);
    assert_eq!((&refused["allowed"], &refused["code"]), (&json!(false), &json!("network_refused")));
    let rules = json!({ "defaultAction": "Deny", "ipRules": [{ "action": "Allow", "value": "192.0.2.0/24" }] });
    // The file declares the default action, and the rules are still free.
    desk.patch(REGISTRY, json!({ "networkRuleSet": rules })).await.expect(200);
    let admitted = desk.post("/seawall/v1/explain", pull).await.expect(200);
    assert_eq!(admitted["code"], "password_replaced", "{admitted:#}");
    let steps = admitted["steps"].as_array().unwrap();
    assert!(
        steps.iter().any(|step| step["rule"] == "ip rule 192.0.2.0/24" && step["effect"] == "allows"),
        "{admitted:#}"
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_told() {
    let desk = Desk::start().await;
    let ask = |body| desk.post("/seawall/v1/explain", body);
    let table = [
        (json!({ "registry": "nowhere", "source": "192.0.2.7", "action": "catalog" }), 404),
        (json!({ "registry": "myregistry", "source": "nowhere", "action": "catalog" }), 400),
        (json!({ "registry": "myregistry", "source": "192.0.2.7", "action": "fly", "repository": "a" }), 400),
        (json!({ "registry": "myregistry", "source": "192.0.2.7", "action": "catalog", "token": "nobody" }), 404),
        (
            json!({ "registry": "myregistry", "source": "192.0.2.7", "action": "catalog", "identities": ["nobody"] }),
            404,
        ),
        (
            json!({
                "registry": "myregistry", "source": "192.0.2.7", "action": "catalog", "network": "private endpoint nowhere",
            }),
            404,
        ),
        (
            json!({ "registry": "myregistry", "source": "192.0.2.7", "action": "catalog", "admin": true, "token": "a" }),
            400,
        ),
    ];
    for (body, status) in table {
        ask(body).await.expect(status);
    }
    desk.get("/seawall/v1/denials/0123456789ab").await.refused(404, "DenialNotFound");
}
