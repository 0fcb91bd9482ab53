use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT, REGISTRY};
use super::identities::{assign, desk, identity};

const PATH: &str = "/seawall/v1/servicePrincipals";

fn named(name: &str) -> String {
    format!("{PATH}/{name}")
}

async fn secret(desk: &Desk, name: &str, body: Value) -> Value {
    desk.post(&format!("{PATH}/{name}/credentials"), body).await.expect(200)
}

fn credentials(body: &Value) -> Vec<(&str, &str)> {
    let all = body["properties"]["credentials"].as_array().unwrap().iter();
    all.map(|one| (one["name"].as_str().unwrap(), one["expiry"].as_str().unwrap_or("never"))).collect()
}

/// S1-6: two secrets, each for a year unless something else is said.
#[tokio::test]
async fn a_service_principal_has_two_secrets_of_a_year() {
    let desk = desk().await;
    let made = desk.put(&named("deployer"), json!({})).await.expect(201);
    assert_eq!((&made["id"], &made["type"]), (&json!(named("deployer")), &json!("Seawall/servicePrincipals")));
    assert_eq!(made["properties"]["creationDate"], NOW_TEXT);
    let client_id = made["properties"]["clientId"].as_str().unwrap();
    let first = secret(&desk, "deployer", json!({})).await;
    assert_eq!((first["clientId"].as_str(), first["name"].as_str()), (Some(client_id), Some("password1")));
    assert_eq!(first["expiry"], "2028-01-15T08:00:00.000000+00:00");
    assert_eq!(first["tenantId"], made["properties"]["tenantId"]);
    let second = secret(&desk, "deployer", json!({ "expiry": "9999-12-31T23:59:59.999999+00:00" })).await;
    assert_eq!((&second["name"], &second["expiry"]), (&json!("password2"), &Value::Null));
    let third = desk.post(&format!("{PATH}/deployer/credentials"), json!({})).await;
    third.refused(409, "QuotaExceeded");
    let shown = desk.get(&named("deployer")).await.expect(200);
    let both = [("password1", "2028-01-15T08:00:00.000000+00:00"), ("password2", "never")];
    assert_eq!(credentials(&shown), both);
    assert!(!shown.to_string().contains(first["value"].as_str().unwrap()));
    let short = secret(&desk, "deployer", json!({ "name": "password1", "expiry": "2027-02-01T00:00:00Z" })).await;
    assert_ne!(short["value"], first["value"]);
    let only = secret(&desk, "deployer", json!({ "replaceAll": true })).await;
    assert_eq!(only["name"], "password1");
    assert_eq!(credentials(&desk.get(&named("deployer")).await.expect(200)).len(), 1);
    desk.delete(&format!("{PATH}/deployer/credentials/password1")).await.expect(200);
    desk.delete(&format!("{PATH}/deployer/credentials/password1")).await.expect(204);
    let records = Value::from(desk.records()).to_string();
    for made in [&first, &second, &short, &only] {
        assert!(!records.contains(made["value"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn names_are_shared_with_identities_and_what_files_declare_stays() {
    let desk = desk().await;
    desk.put(&named("deployer"), json!({})).await.expect(201);
    desk.put(&identity("deployer"), json!({})).await.refused(409, "AlreadyExists");
    desk.get(&identity("deployer")).await.refused(404, "ResourceNotFound");
    desk.delete(&identity("deployer")).await.refused(404, "ResourceNotFound");
    desk.put(&identity("agent"), json!({})).await.expect(201);
    desk.put(&named("agent"), json!({})).await.refused(409, "AlreadyExists");
    desk.get(&named("agent")).await.refused(404, "ResourceNotFound");
    desk.delete(&named("agent")).await.refused(404, "ResourceNotFound");
    let all = desk.get(PATH).await.expect(200);
    let names: Vec<_> = all["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["declared-app", "deployer"]);
    let declared = desk.get(&named("declared-app")).await.expect(200);
    assert_eq!(declared["properties"]["clientId"], "6f9619ff-8b86-d011-b42d-00c04fc964ff");
    assert_eq!(declared["properties"]["matches"][0]["claims"], json!({ "azp/x": "app" }));
    desk.post(&format!("{PATH}/declared-app/credentials"), json!({})).await.refused(409, "DeclaredInFile");
    desk.delete(&named("declared-app")).await.refused(409, "DeclaredInFile");
    let past = desk.post(&format!("{PATH}/deployer/credentials"), json!({ "expiry": "2020-01-01T00:00:00Z" })).await;
    past.refused(400, "InvalidRequestContent");
    let name = desk.post(&format!("{PATH}/deployer/credentials"), json!({ "name": "password3" })).await;
    name.refused(400, "InvalidRequestContent");
    desk.post(&format!("{PATH}/nobody/credentials"), json!({})).await.refused(404, "ResourceNotFound");
}

/// It manages by its secret what its roles say, until the secret is replaced, it is disabled, or it is gone.
#[tokio::test]
async fn a_service_principal_manages_by_its_secret() {
    let desk = desk().await;
    let made = desk.put(&named("deployer"), json!({})).await.expect(201);
    let principal = made["properties"]["principalId"].as_str().unwrap();
    let assignment = assign(&desk, REGISTRY, principal, "Reader").await;
    let client_id = made["properties"]["clientId"].as_str().unwrap().to_uppercase();
    let value = secret(&desk, "deployer", json!({})).await["value"].as_str().unwrap().to_owned();
    let look = async |password: &str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{}{REGISTRY}", desk.url)).basic_auth(&client_id, Some(password));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((look(&value).await, look("wrong").await, look("").await), (200, 401, 401));
    desk.delete(&assignment).await.expect(200);
    assert_eq!(look(&value).await, 403);
    assign(&desk, REGISTRY, principal, "Reader").await;
    // From outside its networks a right secret is told from a wrong one by nothing.
    desk.patch(&named("deployer"), json!({ "networks": { "allow": ["203.0.113.0/24"] } })).await.expect(200);
    assert_eq!((look(&value).await, look("wrong").await), (401, 401));
    desk.patch(&named("deployer"), json!({ "networks": { "allow": ["127.0.0.0/8", "192.0.2.0/24"] } }))
        .await
        .expect(200);
    assert_eq!(look(&value).await, 200);
    desk.patch(&named("deployer"), json!({ "status": "disabled" })).await.expect(200);
    assert_eq!(look(&value).await, 401);
    desk.patch(&named("deployer"), json!({ "status": "enabled" })).await.expect(200);
    assert_eq!(look(&value).await, 200);
    secret(&desk, "deployer", json!({ "replaceAll": true, "expiry": "2027-01-15T08:10:00Z" })).await;
    assert_eq!(look(&value).await, 401);
    let other = secret(&desk, "deployer", json!({ "expiry": "2027-01-15T08:10:00Z" })).await;
    let other = other["value"].as_str().unwrap();
    assert_eq!(look(other).await, 200);
    desk.clock.advance(600);
    assert_eq!(look(other).await, 401, "it has expired");
    desk.delete(&named("deployer")).await.expect(200);
    assert_eq!(look(other).await, 401);
}

const CLIENT_ID: &str = "b7f1c0de-12b4-4abc-8def-0123456789ab";

fn verified(provider: &str) -> Value {
    let rule = json!({ "provider": "corp", "claims": { "azp": CLIENT_ID } });
    json!({ "clientId": CLIENT_ID.to_uppercase(), "verifiedBy": provider, "matches": [rule] })
}

#[tokio::test]
async fn a_secret_that_a_provider_verifies_is_not_kept_here() {
    let desk = desk().await;
    let made = desk.put(&named("deployer"), verified("corp")).await.expect(201);
    let properties = &made["properties"];
    assert_eq!((&properties["clientId"], &properties["verifiedBy"]), (&json!(CLIENT_ID), &json!("corp")));
    assert_eq!(desk.put(&named("deployer"), verified("corp")).await.expect(200)["properties"], *properties);
    let secret = desk.post(&format!("{PATH}/deployer/credentials"), json!({})).await;
    secret.refused(409, "VerifiedByProvider");
    let shown = desk.get(&named("deployer")).await.expect(200);
    assert_eq!((credentials(&shown), &shown["properties"]["verifiedBy"]), (vec![], &json!("corp")));

    // The provider publishes no token endpoint: that is neither a yes nor a no.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("{}{REGISTRY}", desk.url)).basic_auth(CLIENT_ID, Some("any"));
    assert_eq!(request.send().await.unwrap().status().as_u16(), 503);

    // In place of secrets: never beside them, and never without a rule.
    desk.patch(&named("deployer"), json!({ "matches": [] })).await.refused(400, "InvalidRequestContent");
    desk.patch(&named("deployer"), json!({ "verifiedBy": "" })).await.expect(200);
    desk.patch(&named("deployer"), json!({ "matches": [] })).await.expect(200);
    desk.post(&format!("{PATH}/deployer/credentials"), json!({})).await.expect(200);
    let rules = verified("corp")["matches"].clone();
    let both = json!({ "verifiedBy": "corp", "matches": rules });
    desk.patch(&named("deployer"), both.clone()).await.refused(409, "VerifiedByProvider");
    desk.delete(&format!("{PATH}/deployer/credentials/password1")).await.expect(200);
    let again = desk.patch(&named("deployer"), both).await.expect(200);
    assert_eq!(again["properties"]["verifiedBy"], "corp");
}

#[tokio::test]
async fn a_client_id_is_chosen_once_and_where_a_provider_knows_it_only() {
    let desk = desk().await;
    desk.put(&named("deployer"), verified("corp")).await.expect(201);
    desk.put(&named("another"), verified("corp")).await.refused(409, "AlreadyExists");
    let changed = |key: &str, value: Value| {
        let mut sent = verified("corp");
        sent[key] = value;
        sent
    };
    let declared = json!("6f9619ff-8b86-d011-b42d-00c04fc964ff");
    desk.put(&named("another"), changed("clientId", declared)).await.refused(409, "AlreadyExists");
    let free = json!("7d0f4a3e-5f0b-4c1e-9a51-2f6d0a1b2c3d");
    for sent in [
        changed("clientId", json!("ci-bot")),
        changed("clientId", json!("00000000-0000-0000-0000-000000000000")),
        json!({ "clientId": free }),
        json!({ "verifiedBy": "corp" }),
        json!({ "clientId": free, "verifiedBy": "nobody", "matches": verified("corp")["matches"] }),
    ] {
        desk.put(&named("another"), sent).await.refused(400, "InvalidRequestContent");
    }
    desk.patch(&named("deployer"), json!({ "clientId": free })).await.refused(400, "InvalidRequestContent");
    desk.get(&named("another")).await.refused(404, "ResourceNotFound");
}
