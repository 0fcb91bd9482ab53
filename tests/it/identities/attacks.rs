//! The table of attacks on identities (threat classes E, G, H, I, L and S), against the real provider's own key.
//!
//! Each row of [`TOKENS`] is a token that differs from a good one in one thing. It is presented in every way there is, and
//! opens nothing in any of them; the good one opens all, so that the table can fail.

use seawall::clock::{Clock, SystemClock};
use serde_json::{Map, Value, json};

use super::world::{BASE, OWN, World};
use crate::harness::http::Response;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::session::Account;
use crate::harness::wait_until;

const PULL: &str = "repository:baseimages/node:pull";
const UPLOADS: &str = "/v2/baseimages/node/blobs/uploads/";

/// What a row does to a good token. `null` removes a member.
struct Attack {
    class: &'static str,
    what: &'static str,
    header: &'static str,
    payload: &'static str,
    by: &'static str,
}

const fn header(class: &'static str, what: &'static str, header: &'static str, by: &'static str) -> Attack {
    Attack { class, what, header, payload: "{}", by }
}

const fn claims(class: &'static str, what: &'static str, payload: &'static str) -> Attack {
    Attack { class, what, header: "{}", payload, by: "own" }
}

const TOKENS: &[Attack] = &[
    header("G", "no algorithm", r#"{"alg":"none"}"#, "none"),
    header("G", "no algorithm, in other letters", r#"{"alg":"nOnE"}"#, "none"),
    header("G", "an algorithm and no signature", "{}", "none"),
    header("G", "a stranger's key under the provider's key id", "{}", "stranger"),
    header("G", "the public key as a shared secret", r#"{"alg":"HS256"}"#, "publicKey"),
    header("G", "the provider's key by an algorithm that is not declared", r#"{"alg":"PS256"}"#, "pss"),
    header("G", "a key in the header", r#"{"kid":null,"jwk":"EMBEDDED"}"#, "stranger"),
    header("G", "a key in the header under the known key id", r#"{"jwk":"EMBEDDED"}"#, "stranger"),
    header("G", "a link to keys", r#"{"jku":"http://127.0.0.1:9/keys"}"#, "stranger"),
    header("G", "a key id that is a path", r#"{"kid":"../../../dev/null"}"#, "own"),
    header("G", "a key id that is a statement", r#"{"kid":"x' UNION SELECT 'key"}"#, "own"),
    header("G", "an extension that must be understood", r#"{"crit":["exp"]}"#, "own"),
    header("G", "an extension that turns the encoding off", r#"{"b64":false,"crit":["b64"]}"#, "own"),
    header("H", "the token of a log-out", r#"{"typ":"logout+jwt"}"#, "own"),
    header("H", "an event", r#"{"typ":"secevent+jwt"}"#, "own"),
    claims("H", "another audience", r#"{"aud":"https://management.example"}"#),
    claims("H", "no audience", r#"{"aud":null}"#),
    claims("H", "audiences, none of them ours", r#"{"aud":["https://management.example","seawall"]}"#),
    claims(
        "H",
        "an audience that ends in ours",
        r#"{"aud":"https://evil.example/?https://containerregistry.azure.net"}"#,
    ),
    claims("H", "an audience with a slash more", r#"{"aud":"https://containerregistry.azure.net/"}"#),
    claims("H", "another issuer", r#"{"iss":"https://accounts.example"}"#),
    claims("H", "no issuer", r#"{"iss":null}"#),
    claims("H", "our own issuer", r#"{"iss":"seawall"}"#),
    claims("H", "the registry as the issuer", r#"{"iss":"myregistry.test"}"#),
    claims("G", "no end", r#"{"exp":null}"#),
    claims("G", "an end in words", r#"{"exp":"never"}"#),
    claims("G", "an end that no clock reaches", r#"{"exp":1e400}"#),
    claims("H", "it has ended", r#"{"exp":1700000000}"#),
    claims("H", "it has not begun", r#"{"nbf":4100000000}"#),
    claims("L", "nobody whom a rule names", r#"{"client_id":"somebody-else"}"#),
    claims("L", "no claim that a rule asks for", r#"{"client_id":null}"#),
    claims("L", "the claim in other letters", r#"{"client_id":"CI-BOT"}"#),
    claims("L", "the claim with more behind it", r#"{"client_id":"ci-bot "}"#),
    claims("L", "the claim as a part of another text", r#"{"client_id":"x,ci-bot"}"#),
    claims("L", "the claim with a letter that looks alike", r#"{"client_id":"сi-bot"}"#),
    claims("L", "the claim as an object", r#"{"client_id":{"ci-bot":true}}"#),
    claims("L", "the claim as a wildcard", r#"{"client_id":"*"}"#),
    claims("L", "a name in our own claims", r#"{"client_id":"x","identity":"build-agent","principal":"build-agent"}"#),
    claims("L", "no subject", r#"{"sub":null}"#),
    claims("L", "a subject that is a number", r#"{"sub":7}"#),
];

fn good(provider: &Provider) -> (Value, Value) {
    let now = SystemClock.now().as_second();
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": "key1"});
    let payload = json!({"iss": provider.issuer(), "sub": "ci-bot", "aud": AUDIENCE, "client_id": "ci-bot", "iat": now,
        "exp": now + 600});
    (header, payload)
}

fn with(good: &Value, changes: &str) -> String {
    // A number that JSON has and a clock has not: kept as it is written.
    let (changes, endless) = match changes.strip_suffix(r#""exp":1e400}"#) {
        Some(rest) => (format!(r#"{rest}"exp":123454321}}"#), true),
        None => (changes.to_owned(), false),
    };
    let mut all = good.as_object().unwrap().clone();
    for (name, value) in serde_json::from_str::<Map<String, Value>>(&changes).unwrap() {
        match value {
            Value::Null => drop(all.remove(&name)),
            value => drop(all.insert(name, value)),
        }
    }
    let text = Value::Object(all).to_string();
    if endless { text.replace("123454321", "1e400") } else { text }
}

/// Every way in which a provider's token can be presented.
fn presented(world: &World, token: &str) -> [(&'static str, Response); 4] {
    let basic = Account::new(NULL_GUID, token).basic();
    let target = format!("/oauth2/token?service={OWN}&scope={PULL}");
    let grant = format!("grant_type=refresh_token&service={OWN}&scope={PULL}&refresh_token={token}");
    [
        ("exchanged", world.exchange(OWN, token)),
        ("as Bearer", world.ask(OWN, "POST", UPLOADS, &format!("Bearer {token}"), b"")),
        ("as the password", world.ask(OWN, "GET", &target, &basic, b"")),
        ("as a refresh token", world.form(OWN, "/oauth2/token", &grant)),
    ]
}

#[test]
fn no_token_of_the_table_opens_anything() {
    let world = World::start();
    let (good_header, good_payload) = good(&world.provider);
    let described: Vec<_> = TOKENS
        .iter()
        .map(|row| {
            let (header, payload) = (with(&good_header, row.header), with(&good_payload, row.payload));
            json!({"header": header, "payload": payload, "by": row.by})
        })
        .chain([json!({"header": good_header.to_string(), "payload": good_payload.to_string(), "by": "own"})])
        .collect();
    let mut tokens = world.provider.sign(&Value::Array(described));
    let accepted = tokens.pop().unwrap();
    let statuses = presented(&world, &accepted).map(|(_, answer)| answer.status);
    assert_eq!(statuses, [200, 202, 200, 401], "the good one, which is no refresh token");
    for (row, token) in TOKENS.iter().zip(tokens) {
        for (way, answer) in presented(&world, &token) {
            assert!(matches!(answer.status, 400 | 401), "class {}: {} {way}: {answer:?}", row.class, row.what);
        }
    }
    // And it says why: each refusal is one of a known kind.
    wait_until("all refusals are in the audit log, with their reasons", || {
        let records = world.seawall.audit();
        let reason = |reason: &str| records.iter().filter(|record| record["reason"] == reason).count();
        reason("identity_unknown") > 5 && records.iter().all(|record| record["reason"].is_string())
    });
}

/// Classes G and H: what the bytes of a good token become when somebody touches them.
#[test]
fn no_changed_copy_of_a_good_token_opens_anything() {
    let world = World::start();
    let token = world.provider.token("ci-bot");
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("{token}") };
    let (header, payload) = good(&world.provider);
    let twice = payload.to_string().replacen('{', r#"{"client_id":"x","#, 1);
    let signed = world.provider.sign(&json!([{"header": header.to_string(), "payload": twice, "by": "own"}]));
    let other = if &signature[9..10] == "A" { 'B' } else { 'A' };
    let changed = [
        ("a member that is named twice", signed[0].clone()),
        ("no signature", format!("{head}.{body}.")),
        ("no dot", format!("{head}.{body}")),
        ("a part more", format!("{head}.{body}.{signature}.{signature}")),
        ("five parts, as if encrypted", format!("{head}..{body}.{signature}.{signature}")),
        ("another signature", format!("{head}.{body}.{}{other}{}", &signature[..9], &signature[10..])),
        ("a padded signature", format!("{head}.{body}.{signature}%3D%3D")),
        ("another body", format!("{head}.{}.{signature}", &body[..body.len() - 4])),
        ("the signature of nothing", format!("{head}.{body}.AA")),
        ("longer than any token", format!("{head}.{body}.{}", "A".repeat(20_000))),
    ];
    for (what, token) in changed {
        for (way, answer) in presented(&world, &token) {
            assert!((400..500).contains(&answer.status), "{what} {way}: {answer:?}");
        }
    }
}

/// Class E: an exchange narrows, and never widens.
#[test]
fn nothing_that_was_obtained_is_worth_more_elsewhere() {
    let world = World::start();
    let (at_base, at_own) = (world.refresh_token(BASE), world.refresh_token(OWN));
    let pulling = world.log_in(BASE, PULL);
    for (what, answer, status) in [
        ("a refresh token of another registry", world.access_token(OWN, &at_base, PULL), 401),
        ("a refresh token as an identity token", world.exchange(BASE, &at_own), 401),
        ("an access token as an identity token", world.exchange(OWN, &pulling), 401),
        ("an access token as a refresh token", world.access_token(BASE, &pulling, PULL), 401),
        ("a refresh token as Bearer", world.ask(OWN, "GET", "/v2/", &format!("Bearer {at_own}"), b""), 401),
        (
            "an access token of another registry",
            world.ask(OWN, "POST", UPLOADS, &format!("Bearer {pulling}"), b""),
            401,
        ),
        ("a pull token that pushes", world.ask(BASE, "POST", UPLOADS, &format!("Bearer {pulling}"), b""), 401),
    ] {
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    let wide = "repository:baseimages/node:pull,push,delete,metadata_read,metadata_write";
    let granted = world.access_token(BASE, &at_base, wide).expect(200).json();
    let granted = granted["scope"].as_str().unwrap();
    assert!(!granted.contains("push") && !granted.contains("delete") && !granted.contains("write"), "{granted}");
}

/// Class L: nothing but a credential says who somebody is.
#[test]
fn no_header_and_no_name_makes_an_identity() {
    let world = World::start();
    let host = ("Host", OWN);
    for (name, value) in [
        ("X-Remote-User", "build-agent"),
        ("X-Forwarded-User", "build-agent"),
        ("X-Forwarded-Access-Token", "build-agent"),
        ("X-Ms-Client-Principal-Name", "build-agent"),
        ("X-Ms-Client-Principal", "eyJ1c2VySWQiOiJidWlsZC1hZ2VudCJ9"),
        ("Remote-User", "build-agent"),
        ("Forwarded", "for=127.0.0.1;by=build-agent"),
        ("Cookie", "identity=build-agent"),
    ] {
        let answer = crate::harness::sources::ask(
            "127.0.0.1",
            world.seawall.address(),
            "POST",
            UPLOADS,
            &[host, (name, value)],
            b"",
        );
        answer.unwrap().expect(401);
    }
    for user in ["build-agent", "ci-bot", "corp", "corp/ci-bot", ""] {
        for password in ["", "ci-bot-secret", "build-agent"] {
            let target = format!("/oauth2/token?service={OWN}&scope={PULL}");
            world.ask(OWN, "GET", &target, &Account::new(user, password).basic(), b"").expect(401);
        }
    }
}

/// Class I: what was obtained ends with the role, the identity, its status and the provider; each refused at once.
#[test]
fn what_was_obtained_ends_with_what_it_was_obtained_for() {
    type Edit = fn(&str) -> String;
    let edits: [(&str, Edit); 4] = [
        ("the role is gone", |text| text.replace("{ identity: build-agent, role: AcrPush },", "")),
        ("the identity is disabled", |text| {
            text.replace("type: UserAssigned,", "type: UserAssigned, status: disabled,")
        }),
        ("the rule asks for something else", |text| text.replace("client_id: ci-bot", "client_id: other-bot")),
        ("the provider is for another audience", |text| text.replace(AUDIENCE, "https://other.example")),
    ];
    let world = World::start();
    let text = std::fs::read_to_string(world.seawall.place().path().join("seawall.yaml")).unwrap();
    for (what, edit) in edits {
        let (provided, refresh_token) = (world.provider.token("ci-bot"), world.refresh_token(OWN));
        let access_token = format!("Bearer {}", world.log_in(OWN, PULL));
        let edited = edit(&text);
        assert_ne!(edited, text, "{what}");
        world.seawall.edit(&edited);
        let still_valid = what == "the provider is for another audience";
        if !still_valid {
            world.ask(OWN, "POST", UPLOADS, &access_token, b"").expect(401);
            world.access_token(OWN, &refresh_token, PULL).expect(401);
        }
        assert_eq!(world.exchange(OWN, &provided).status, 401, "{what}");
        assert_eq!(world.ask(OWN, "GET", "/v2/", &format!("Bearer {provided}"), b"").status, 401, "{what}");
        world.seawall.edit(&text);
    }
}

/// Class S: who cannot be asked has not said yes.
#[test]
fn a_provider_that_cannot_be_asked_vouches_for_nobody() {
    let mut provider = Provider::start();
    let token = provider.token("ci-bot");
    provider.stop();
    let world = World::of(provider);
    for (way, answer) in presented(&world, &token) {
        assert!(!(200..300).contains(&answer.status), "{way}: {answer:?}");
    }
    world.exchange(OWN, &token).expect(503);
    // Those whom it does not vouch for are refused by their own faults, and let in by their own credentials.
    let service_principal = Account::new(super::world::CLIENT_ID, super::world::CLIENT_SECRET).basic();
    let target = format!("/oauth2/token?service={OWN}&scope={PULL}");
    world.ask(OWN, "GET", &target, &service_principal, b"").expect(200);
}
