use reqwest::Method;
use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT, REGISTRY, scope_map, token};

#[tokio::test]
async fn nobody_gets_in_without_the_credential() {
    let desk = Desk::start().await;
    let wrong = format!("Bearer {}x", desk.owner.expose());
    for headers in [vec![], vec![("authorization", wrong.as_str())]] {
        for path in ["/openapi.json", REGISTRY, "/nowhere"] {
            let answer = desk.send_raw(&desk.url, Method::GET, path, Vec::new(), headers.clone()).await;
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
            answer.refused(401, "AuthenticationFailed");
        }
    }
    let records = desk.records();
    assert_eq!(records.len(), 6, "each attempt is on record");
    assert_eq!((records[0]["actor"].as_str(), records[0]["status"].as_u64()), (Some("unknown"), Some(401)));
}

#[tokio::test]
async fn a_user_of_the_socket_is_named_and_needs_no_credential() {
    let desk = Desk::start().await;
    let url = desk.serve_on_socket().await;
    let sent = serde_json::to_vec(&json!({ "properties": { "adminUserEnabled": true } })).unwrap();
    desk.send_raw(&url, Method::PATCH, REGISTRY, sent, vec![]).await.expect(200);
    let records = desk.records();
    assert_eq!(records[0]["actor"], "uid 1000");
    assert_eq!(records[0].get("sourceAddress"), None);
}

#[tokio::test]
async fn changes_and_looks_at_secrets_are_on_record_without_secrets() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    desk.get(&token("MyToken")).await.expect(200);
    let sent = json!({ "tokenId": token("MyToken") });
    let made = desk.post(&format!("{REGISTRY}/generateCredentials"), sent).await.expect(200);
    desk.patch(REGISTRY, json!({ "adminUserEnabled": true })).await.expect(200);
    let listed = desk.post(&format!("{REGISTRY}/listCredentials"), json!({})).await.expect(200);
    desk.patch(&token("declared-token"), json!({ "status": "disabled" })).await.expect(409);
    desk.delete(&token("MyToken")).await.expect(200);
    let records = desk.records();
    let rows: Vec<_> = records
        .iter()
        .map(|record| {
            let changes = record["changes"]
                .as_array()
                .map(|changes| changes.iter().map(|change| change.as_str().unwrap()).collect::<Vec<_>>().join(" "));
            (
                record["operation"].as_str().unwrap(),
                record["status"].as_u64().unwrap(),
                record["reason"].as_str(),
                changes.unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("scopeMaps/write", 201, None, "actions creationDate".to_owned()),
            ("tokens/write", 201, None, "creationDate id scopeMap status".to_owned()),
            (
                "registries/generateCredentials/action",
                200,
                None,
                "credentials/password1 credentials/password2".to_owned()
            ),
            ("registries/write", 200, None, "adminPasswords adminUserEnabled".to_owned()),
            ("registries/listCredentials/action", 200, None, String::new()),
            ("tokens/write", 409, Some("DeclaredInFile"), String::new()),
            ("tokens/delete", 200, None, "deleted".to_owned()),
        ]
    );
    let first = &records[0];
    assert_eq!(first["kind"], "management");
    assert_eq!(first["time"], NOW_TEXT.replace("+00:00", "Z"));
    assert_eq!((first["actor"].as_str(), first["method"].as_str()), (Some("owner"), Some("PUT")));
    assert_eq!(first["target"], scope_map("samples-map"));
    assert_eq!(first["sourceAddress"], "192.0.2.7:40000");
    let text = Value::from(records.clone()).to_string();
    for answer in [&made, &listed] {
        for password in answer["passwords"].as_array().unwrap() {
            assert!(!text.contains(password["value"].as_str().unwrap()));
        }
    }
    assert!(!text.contains(desk.owner.expose()));
    let metrics = desk.metrics.render().unwrap();
    for line in [
        "seawall_management_requests_total{code=\"201\",operation=\"tokens/write\"} 1",
        "seawall_management_requests_total{code=\"409\",operation=\"tokens/write\"} 1",
        "seawall_management_requests_total{code=\"200\",operation=\"tokens/read\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn every_answer_names_its_request_and_errors_have_arms_shape() {
    let desk = Desk::start().await;
    let answer = desk.send(Method::POST, &token("x"), None).await;
    assert_eq!(answer.headers["x-ms-request-id"].len(), 36);
    assert_eq!(answer.headers["allow"], "GET, PUT, PATCH, DELETE");
    assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
    answer.refused(405, "MethodNotAllowed");
    desk.get("/subscriptions/s/nothing").await.refused(404, "InvalidResourceType");
    let raw = async |body: &[u8]| {
        let bearer = format!("Bearer {}", desk.owner.expose());
        desk.send_raw(&desk.url, Method::PATCH, REGISTRY, body.to_vec(), vec![("authorization", &bearer)]).await
    };
    for body in [
        &b""[..],
        b"{",
        b"{} {}",
        b"[]",
        b"\xff",
        b"{\"properties\":{\"adminUserEnabled\":true,\"adminUserEnabled\":false}}",
    ] {
        assert_eq!(raw(body).await.status, 400, "{}", String::from_utf8_lossy(body));
    }
    raw(&vec![b' '; 1024 * 1024 + 1]).await.refused(413, "RequestTooLarge");
    desk.get(&format!("{REGISTRY}?a;b")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn conditions_protect_from_lost_updates() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let etag = desk.get(&token("MyToken")).await.headers["etag"].to_str().unwrap().to_owned();
    let patch = async |header: (&str, &str), status: &str| {
        let sent = Some(json!({ "properties": { "status": status } }));
        desk.send_with(Method::PATCH, &token("MyToken"), sent, &[header]).await
    };
    patch(("if-match", &etag), "disabled").await.expect(200);
    patch(("if-match", &etag), "enabled").await.refused(412, "PreconditionFailed");
    patch(("if-match", "W/\"1\""), "enabled").await.refused(412, "PreconditionFailed");
    patch(("if-none-match", "*"), "enabled").await.refused(412, "PreconditionFailed");
    patch(("if-match", "*"), "enabled").await.expect(200);
    let put = Some(json!({ "properties": { "scopeMapId": scope_map("samples-map") } }));
    desk.send_with(Method::PUT, &token("MyToken"), put.clone(), &[("if-none-match", "*")])
        .await
        .refused(412, "PreconditionFailed");
    desk.send_with(Method::PUT, &token("Another"), put.clone(), &[("if-match", "*")])
        .await
        .refused(412, "PreconditionFailed");
    desk.send_with(Method::PUT, &token("Another"), put, &[("if-none-match", "*")]).await.expect(201);

    let registry = desk.get(REGISTRY).await;
    assert_eq!(registry.headers["etag"], "\"0\"", "nothing of it was set yet");
    let sent = Some(json!({ "properties": { "adminUserEnabled": true } }));
    desk.send_with(Method::PATCH, REGISTRY, sent.clone(), &[("if-match", "\"0\"")]).await.expect(200);
    desk.send_with(Method::PATCH, REGISTRY, sent, &[("if-match", "\"0\"")]).await.refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn saying_the_same_again_writes_nothing() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let etag = |answer: &super::desk::Answered| answer.headers["etag"].to_str().unwrap().to_owned();
    let before = etag(&desk.get(&token("MyToken")).await);
    let again = desk.patch(&token("MyToken"), json!({ "status": "enabled" })).await;
    assert_eq!(etag(&again), before);
}

#[tokio::test]
async fn the_document_describes_every_path() {
    let desk = Desk::start().await;
    let document = desk.get("/openapi.json").await.expect(200);
    assert!(document["paths"].as_object().unwrap().len() > 12);
    assert_eq!(document["components"]["securitySchemes"]["owner"]["scheme"], "bearer");
}

/// To ignore it would leave the token enabled and say 200.
#[tokio::test]
async fn a_property_in_another_case_is_refused() {
    let desk = Desk::start().await;
    desk.make_token("MyToken").await;
    let answer = desk.patch(&token("MyToken"), json!({ "Status": "disabled" })).await;
    let (message, target) = answer.refused(400, "InvalidRequestContent");
    assert_eq!((&*message, target.as_deref()), ("write `status`, not `Status`", Some("properties.Status")));
    let rules = json!({ "networkRuleSet": { "ipRules": [{ "value": "203.0.113.66", "Action": "Deny" }] } });
    desk.patch(REGISTRY, rules).await.expect(400);
    let rules = json!({ "networkRuleSet": { "ipRules": [{ "value": "203.0.113.66", "effect": "Deny" }] } });
    desk.patch(REGISTRY, rules).await.expect(400);
}

#[tokio::test]
async fn a_stranger_keeps_no_connection() {
    let desk = Desk::start().await;
    let answer = desk.send_raw(&desk.url, Method::GET, REGISTRY, Vec::new(), vec![]).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["connection"]), (401, &"close".parse().unwrap()));
}
