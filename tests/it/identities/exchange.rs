//! `/oauth2/exchange` and what comes of it (B.1-3 … B.1-9, R6, R12, S1-14, S1-31).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use super::world::{BASE, CLIENT_ID, CLIENT_SECRET, OWN, World};
use crate::harness::http::Response;
use crate::harness::provider::NULL_GUID;
use crate::harness::session::{Account, parameter};
use crate::harness::wait_until;

const PULL: &str = "repository:baseimages/node:pull";
const PUSH: &str = "repository:baseimages/node:pull,push";
const MANIFEST: &str = "/v2/baseimages/node/manifests/none";
const UPLOADS: &str = "/v2/baseimages/node/blobs/uploads/";

fn payload(token: &str) -> Value {
    let segment = token.split('.').nth(1).unwrap();
    assert!(!segment.contains(['-', '_']), "R6: {segment}");
    serde_json::from_slice(&STANDARD_NO_PAD.decode(segment).unwrap()).unwrap()
}

/// What the access token of an answer is for.
fn granted(answer: Response) -> String {
    answer.expect(200).json()["scope"].as_str().unwrap().to_owned()
}

/// S4-2, S4-16, S4-17: one identity, two registries, and in each what its role gives.
#[test]
fn one_identity_pulls_from_one_registry_and_pushes_to_another() {
    let world = World::start();
    let (at_base, at_own) = (world.refresh_token(BASE), world.refresh_token(OWN));
    let claims = payload(&at_base);
    assert_eq!(claims["aud"], BASE);
    assert_eq!(claims["grant_type"], "refresh_token");
    let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lives, 11_700, "S1-19, B.1-8");

    assert_eq!(granted(world.access_token(BASE, &at_base, PUSH)), PULL);
    let own = "repository:baseimages/node:pull,push";
    assert_eq!(granted(world.access_token(OWN, &at_own, own)), own);
    assert_eq!(granted(world.access_token(OWN, &at_own, "repository:baseimages/node:delete")), "", "B.5");
    assert_eq!(granted(world.access_token(BASE, &at_base, "registry:catalog:*")), "registry:catalog:*", "B.5");

    let bearer = |token: &str| format!("Bearer {token}");
    let pushing = world.log_in(OWN, PUSH);
    world.ask(OWN, "POST", UPLOADS, &bearer(&pushing), b"").expect(202);
    let pulling = world.log_in(BASE, PUSH);
    let refused = world.ask(BASE, "POST", UPLOADS, &bearer(&pulling), b"").expect(401);
    assert_eq!(parameter(refused.expect_header("WWW-Authenticate"), "error"), "insufficient_scope");
    // A token for one registry is nothing at the other.
    world.ask(BASE, "POST", UPLOADS, &bearer(&pushing), b"").expect(401);
    world.access_token(OWN, &at_base, PULL).expect(401);
}

/// R12, and what is not one of its grants.
#[test]
fn every_client_s_way_to_exchange() {
    let world = World::start();
    let token = world.provider.token("ci-bot");
    let exchange = |form: &str| world.form(OWN, "/oauth2/exchange?api-version=2021-07-01", form);
    for form in [
        format!("grant_type=access_token&service={OWN}&tenant=any&access_token={token}"),
        format!("grant_type=access_token&service={OWN}&access_token={token}"),
        format!("grant_type=access_token_refresh_token&service={OWN}&access_token={token}&refresh_token={token}"),
    ] {
        exchange(&form).expect(200);
    }
    let refresh_token = world.refresh_token(OWN);
    let again = exchange(&format!("grant_type=refresh_token&service={OWN}&refresh_token={refresh_token}"));
    // It does not last longer by being exchanged.
    let again = again.expect(200).json();
    assert_eq!(payload(again["refresh_token"].as_str().unwrap())["exp"], payload(&refresh_token)["exp"]);
    for (form, status) in [
        (format!("grant_type=access_token&service={BASE}&access_token={token}"), 400),
        (format!("grant_type=password&service={OWN}&access_token={token}"), 400),
        (format!("grant_type=access_token&service={OWN}"), 401),
        (format!("grant_type=access_token&service={OWN}&access_token=not-a-token"), 401),
        (format!("grant_type=access_token&service={OWN}&access_token={token}&access_token={token}"), 400),
        (format!("grant_type=access_token&service={OWN}&access_token={refresh_token}"), 401),
    ] {
        exchange(&form).expect(status);
    }
    let stranger = world.provider.token("stranger");
    world.exchange(OWN, &stranger).expect(401);
    wait_until("the audit log says why", || {
        let records = world.seawall.audit();
        let issued = records.iter().filter(|one| one["reason"] == "token_issued" && one["operation"] == "exchange");
        let vouched = serde_json::json!({"kind": "identity", "name": "ci-bot", "provider": "corp", "subject": "ci-bot",
            "identities": ["build-agent"]});
        let known = issued.filter(|one| one["principal"] == vouched).count();
        known == 5 && records.iter().any(|record| record["reason"] == "identity_unknown")
    });
}

/// S1-31: docker and helm log in with the null GUID and the refresh token; B.1-7: an access token too.
#[test]
fn the_null_guid_and_direct_uses_of_the_provider_s_token() {
    let world = World::start();
    let token = |host: &str, user: &str, password: &str| {
        let target = format!("/oauth2/token?service={host}&scope={PULL}");
        world.ask(host, "GET", &target, &Account::new(user, password).basic(), b"")
    };
    let refresh_token = world.refresh_token(OWN);
    assert_eq!(granted(token(OWN, NULL_GUID, &refresh_token)), PULL);
    assert_eq!(granted(token(OWN, NULL_GUID, &world.log_in(OWN, PULL))), PULL);
    let provided = world.provider.token("ci-bot");
    assert_eq!(granted(token(OWN, NULL_GUID, &provided)), PULL, "as the password");
    world.ask(OWN, "GET", "/v2/", &format!("Bearer {provided}"), b"").expect(200);
    world.ask(OWN, "POST", UPLOADS, &format!("Bearer {provided}"), b"").expect(202);
    world.ask(BASE, "POST", UPLOADS, &format!("Bearer {provided}"), b"").expect(401);
    world.ask(OWN, "GET", "/v2/", &format!("Bearer {}", world.provider.token("stranger")), b"").expect(401);
    token(BASE, NULL_GUID, &refresh_token).expect(401);
}

/// S1-6, S1-35, B.6-1.
#[test]
fn a_service_principal_logs_in_with_its_client_id() {
    let world = World::start();
    let token = |host: &str, secret: &str| {
        let target = format!("/oauth2/token?service={host}&scope={PUSH}");
        world.ask(host, "GET", &target, &Account::new(CLIENT_ID, secret).basic(), b"")
    };
    assert_eq!(granted(token(OWN, CLIENT_SECRET)), PULL);
    token(OWN, "wrong").expect(401);
    token(BASE, CLIENT_SECRET).expect(401);
    let basic = Account::new(CLIENT_ID, CLIENT_SECRET).basic();
    world.ask(OWN, "GET", "/v2/", &basic, b"").expect(200);
    world.ask(OWN, "GET", "/v2/baseimages/node/tags/list", &basic, b"").expect(404);
    world.ask(OWN, "POST", UPLOADS, &basic, b"").expect(401);
}

/// D5: a role that is taken away ends with the next request, for what was issued before, too.
#[test]
fn a_role_that_is_taken_away_is_gone_at_once() {
    let world = World::start();
    let refresh_token = world.refresh_token(OWN);
    let access_token = format!("Bearer {}", world.log_in(OWN, PUSH));
    world.ask(OWN, "POST", UPLOADS, &access_token, b"").expect(202);
    world.assign(["", "{ identity: build-agent, role: AcrPull }"]);
    world.ask(OWN, "POST", UPLOADS, &access_token, b"").expect(401);
    world.ask(OWN, "GET", MANIFEST, &access_token, b"").expect(404);
    assert_eq!(granted(world.access_token(OWN, &refresh_token, PUSH)), PULL);
    world.assign(["", ""]);
    world.ask(OWN, "GET", MANIFEST, &access_token, b"").expect(401);
    world.access_token(OWN, &refresh_token, PULL).expect(401);
    world.exchange(OWN, &world.provider.token("ci-bot")).expect(401);
}
