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
