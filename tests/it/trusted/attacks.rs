//! What is not heard from where only a trusted service may come from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seawall::auth::access_token::{AccessClaims, AccessTokens};
use seawall::auth::keys::Keyring;
use seawall::clock::{Clock, SystemClock, Timestamp};
use seawall::policy::credential::PrincipalId;

use super::world::{MANIFEST, PASSWORD, World};
use crate::harness::http::Response;
use crate::harness::keys::{leave_keys, make_keys};
use crate::harness::provider::NULL_GUID;
use crate::harness::seawall::Place;
use crate::harness::sources::record_of;

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Refused as everybody is there, whatever was asked.
fn expect_refused(world: &World, answer: &Response, what: &str) {
    assert_eq!(answer.status, 403, "{what}: {}", answer.text());
    let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("client with IP '127.0.0.9' is not allowed access."), "{what}: {message}");
    assert_eq!(record_of(&world.seawall, answer)["reason"], "network_refused", "{what}");
}

/// A password is refused without being looked at: no hash is computed, and a right one gets the same answer.
#[test]
fn passwords_are_not_heard() {
    let world = World::start();
    let host = world.host();
    for password in [PASSWORD, "wrong"] {
        let authorization = basic("myregistry", password);
        let token = format!("/oauth2/token?service={host}&scope=repository:samples/app:pull");
        for (method, target) in [("GET", "/v2/"), ("GET", MANIFEST), ("PUT", MANIFEST), ("GET", &token)] {
            expect_refused(&world, &world.ask(method, target, &authorization, b""), target);
        }
        let form =
            format!("grant_type=password&service={host}&username=myregistry&password={}", password.replace(' ', "+"));
        expect_refused(&world, &world.form("/oauth2/token", &form), "grant_type=password");
    }
    for name in ["hits", "misses"] {
        let metrics = crate::harness::http::get(world.seawall.place().metrics(), "/metrics").unwrap().text();
        let line = format!("seawall_credential_cache_{name}_total{{cache=\"password\"}}");
        let counted = metrics.lines().find_map(|one| one.strip_prefix(&line)).map_or("0", str::trim).to_owned();
        assert_eq!(counted, "0", "{metrics}");
    }
}

/// Nobody in particular is invited to log in, as clients need it, and has nothing else.
#[test]
fn nobody_in_particular_is_invited_and_not_let_in() {
    let world = World::start();
    for (method, target) in [("GET", "/v2/"), ("HEAD", MANIFEST), ("GET", MANIFEST), ("GET", "/v2/no/such/tags/list")] {
        let answer = world.ask(method, target, "", b"").expect(401);
        assert!(answer.expect_header("WWW-Authenticate").starts_with("Bearer realm="), "{target}");
    }
    let host = world.host();
    let token = format!("/oauth2/token?service={host}&scope=repository:samples/app:pull");
    for (method, target) in [
        ("PUT", MANIFEST),
        ("DELETE", MANIFEST),
        ("POST", "/v2/samples/app/blobs/uploads/"),
        ("GET", &token),
        ("GET", "/.well-known/jwks.json"),
    ] {
        expect_refused(&world, &world.ask(method, target, "", b""), target);
    }
    for form in ["grant_type=password&username=&password=", "grant_type=refresh_token&refresh_token="] {
        expect_refused(&world, &world.form("/oauth2/token", &format!("{form}&service={host}")), form);
    }
}

/// Tokens that are none, and credentials that cannot be read.
#[test]
fn what_proves_nothing_is_refused_as_the_network_is() {
    let world = World::start();
    let nobodys = world.provider.token("ci-bot").replace('.', "x");
    for authorization in [
        "Bearer nonsense".to_owned(),
        format!("Bearer {nobodys}"),
        basic(NULL_GUID, "nonsense"),
        "Digest a=b".to_owned(),
        "Basic ?".to_owned(),
    ] {
        expect_refused(&world, &world.ask("GET", MANIFEST, &authorization, b""), &authorization);
    }
    let host = world.host();
    let form = format!("grant_type=refresh_token&service={host}&refresh_token=nonsense");
    expect_refused(&world, &world.form("/oauth2/token", &form), "refresh_token");
    let form = format!("grant_type=access_token&service={host}&access_token=nonsense");
    expect_refused(&world, &world.form("/oauth2/exchange", &form), "exchange");
    let large = format!("grant_type=access_token&service={host}&access_token={}", "a".repeat(70_000));
    world.form("/oauth2/exchange", &large).expect(413);
    world.form("/oauth2/exchange", "no=form&grant_type").expect(400);
}

/// Its owner has to learn that he needs another one: clients do not ask for one without a challenge.
#[test]
fn an_access_token_that_has_expired_gets_the_challenge() {
    let place = Place::new();
    let keys = leave_keys(&place.path().join("keys"));
    let world = World::start_in(place);
    let mint = |keys: &Arc<Keyring>, age: i64| {
        let claims = AccessClaims {
            subject: "anybody".to_owned(),
            audience: world.host(),
            principal: PrincipalId::derive(keys.hash_key(), "principal", &[b"anybody"]),
            credential: None,
            access: Vec::new(),
            identity: None,
        };
        let issued = Timestamp::from_second(SystemClock.now().as_second() - age).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let minted = runtime.block_on(AccessTokens::new(Arc::clone(keys), "seawall").mint(claims, issued)).unwrap();
        format!("Bearer {}", minted.token.expose())
    };
    let day = 24 * 3600;
    let answer = world.ask("GET", MANIFEST, &mint(&keys, day), b"").expect(401);
    assert!(answer.expect_header("WWW-Authenticate").contains("invalid_token"));
    expect_refused(&world, &world.ask("PUT", MANIFEST, &mint(&keys, day), b""), "nothing is changed so");
    expect_refused(&world, &world.ask("GET", MANIFEST, &mint(&keys, 0), b""), "nobody's");
    expect_refused(&world, &world.ask("GET", MANIFEST, &mint(&make_keys(), day), b""), "somebody else's key");
}
