//! Whom an identity provider vouches for: from its token to a caller, to our tokens, and to a caller again.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm};
use seawall::auth::{Authenticator, Failure, MintError, SignIn};
use seawall::oci::Scope;
use seawall::policy::credential::PrincipalId;
use seawall::policy::principal::NotAccepted;
use seawall::policy::{Caller, Denial, PolicySnapshot, Registry};
use seawall::secret::Secret;
use seawall::telemetry::metrics::Metrics;
use serde_json::{Map, Value, json};

use super::policy::{compiled_with, hash_key, now, snapshot};

const ISSUER: &str = "https://login.example.com";
const DOCUMENT: &str = "identityProviders:
  corp: { issuer: https://login.example.com, audiences: [seawall], nameClaim: email, jwks: { file: KEYS } }
identities:
  builders: { type: Group, matches: [ { provider: corp, claims: { groups: builders } } ] }
registries:
  myregistry:
    loginServer: one.example.com
    upstream: { url: http://localhost:5000 }
    roleAssignments: [ { identity: builders, role: AcrPull } ]
  other: { loginServer: two.example.com, upstream: { url: http://localhost:5001 } }
";

struct House {
    authenticator: Authenticator,
    signing: EncodingKey,
    policy: PolicySnapshot,
    /// `KEYS` in documents.
    keys: String,
    _folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let key = || KeyMaterial::generate(SigningAlgorithm::Es256, now()).unwrap();
        let keys = Arc::new(Keyring::new(&[key()], hash_key()).unwrap());
        let theirs = key();
        let signing = EncodingKey::from_ec_pem(theirs.private_key_pem.expose().as_bytes()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, Keyring::new(&[theirs], hash_key()).unwrap().jwks(now()).to_string()).unwrap();
        let keys_file = path.display().to_string();
        Self {
            authenticator: Authenticator::new(keys, "seawall", Arc::new(Metrics::new().unwrap())),
            signing,
            policy: snapshot(&DOCUMENT.replace("KEYS", &keys_file)),
            keys: keys_file,
            _folder: folder,
        }
    }

    /// Another policy is in force.
    fn reload(&mut self, document: &str) {
        self.policy = snapshot(&document.replace("KEYS", &self.keys));
    }

    fn one(&self) -> &Registry {
        self.policy.registry_for_host("one.example.com").unwrap()
    }

    /// A token of the provider.
    fn said(&self, changes: &Value) -> Secret {
        let time = now().as_second();
        let mut claims = json!({
            "iss": ISSUER, "sub": "alice", "aud": "seawall", "exp": time + 600, "email": "alice@example.com",
            "groups": ["staff", "builders"], "noise": "x".repeat(5000),
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Secret::new(jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.signing).unwrap())
    }

    async fn sign_in(&self, changes: &Value) -> Result<SignIn, Failure> {
        self.authenticator.by_provider_token(self.one(), &self.said(changes), now()).await
    }

    async fn tokens(&self, sign_in: &SignIn) -> (Secret, Secret) {
        let scopes = [Scope::new("repository", "team/app", ["pull"])];
        let access = self.authenticator.issue(self.one(), sign_in, &scopes, now()).await.unwrap().token;
        let refresh = self.authenticator.issue_refresh(self.one(), sign_in, now()).await.unwrap().unwrap().token;
        (access, refresh)
    }
}

fn payload(token: &Secret) -> Value {
    let payload = token.expose().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_provider_token_leads_to_tokens_that_keep_what_rules_look_at() {
    let house = House::new();
    let sign_in = house.sign_in(&json!({})).await.unwrap();
    assert_eq!((sign_in.caller.principal.name(), sign_in.caller.credential), ("alice@example.com", None));
    let (access, refresh) = house.tokens(&sign_in).await;
    let identity = json!({
        "provider": "corp", "issuer": ISSUER, "subject": "alice",
        "claims": {
            "email": "alice@example.com", "groups": ["builders"],
        },
    });
    let id = PrincipalId::derive(&hash_key(), "subject", &[b"corp", ISSUER.as_bytes(), b"alice"]).to_string();
    for token in [&access, &refresh] {
        let payload = payload(token);
        assert_eq!((&payload["identity"], &payload["pid"], payload.get("cid")), (&identity, &json!(id), None));
    }
    let by_access = house.authenticator.by_access_token(house.one(), &access, now(), 0).unwrap().caller;
    assert_eq!((by_access.principal.name(), by_access.credential), ("alice@example.com", None));
    let again = house.authenticator.by_refresh_token(house.one(), &refresh, now()).unwrap();
    assert_eq!(again.assertion, sign_in.assertion);
    let (access, _) = house.tokens(&again).await;
    assert_eq!(payload(&access)["identity"], identity, "refreshed tokens keep it, too");
}

/// Threat class I: nothing of the first mapping is remembered, neither by us nor by the tokens.
#[tokio::test]
async fn who_it_is_is_decided_anew_at_each_use() {
    let mut house = House::new();
    let (access, refresh) = house.tokens(&house.sign_in(&json!({})).await.unwrap()).await;
    let uses = |house: &House| {
        let by_access = house.authenticator.by_access_token(house.one(), &access, now(), 0).map(|_| ());
        (by_access, house.authenticator.by_refresh_token(house.one(), &refresh, now()).map(|_| ()))
    };
    assert_eq!(uses(&house), (Ok(()), Ok(())));
    let gone = || Err(Failure::Denied(Denial::PrincipalGone));
    for other in [
        DOCUMENT.replace("type: Group", "type: Group, status: disabled"),
        DOCUMENT.replace("groups: builders", "groups: others"),
        DOCUMENT.replace("https://login.example.com", "https://elsewhere.example.com"),
    ] {
        house.reload(&other);
        assert_eq!(uses(&house), (gone(), gone()), "{other}");
        let as_password = house.authenticator.by_access_token_as_password(house.one(), &access, now());
        assert_eq!(as_password.map(|_| ()), gone());
        assert!(house.sign_in(&json!({})).await.is_err());
    }
    // A sign-in without any role is refused, also by what was issued before.
    house.reload(&DOCUMENT.replace("{ identity: builders, role: AcrPull }", ""));
    let no_role = || Failure::Denied(Denial::NoRole);
    assert_eq!(house.sign_in(&json!({})).await.unwrap_err(), no_role());
    assert_eq!(uses(&house).1, Err(no_role()));
    house.reload(DOCUMENT);
    assert_eq!(uses(&house), (Ok(()), Ok(())));
}

#[tokio::test]
async fn what_proves_nothing_is_no_caller() {
    let house = House::new();
    let time = now().as_second();
    for (changes, expected) in [
        (json!({ "groups": ["staff"] }), Denial::IdentityUnknown),
        (json!({ "groups": null }), Denial::IdentityUnknown),
        (json!({ "aud": "other" }), Denial::IdentityTokenInvalid("audience")),
        (json!({ "exp": time - 60 }), Denial::IdentityTokenInvalid("expired")),
        (json!({ "iss": "https://LOGIN.example.com" }), Denial::IdentityTokenInvalid("unknown_issuer")),
    ] {
        assert_eq!(house.sign_in(&changes).await.unwrap_err(), Failure::Denied(expected), "{changes}");
    }
    let mut nowhere = House::new();
    nowhere.reload(&DOCUMENT.replace("{ file: KEYS }", "{ url: 'http://127.0.0.1:1/keys' }"));
    let undecided = nowhere.sign_in(&json!({})).await.unwrap_err();
    assert!(matches!(undecided, Failure::Unavailable(_)), "{undecided:?}");
}

/// Without a policy that knows identities, nobody is one.
#[tokio::test]
async fn without_identities_nobody_signs_in() {
    let mut house = House::new();
    house.reload(
        "registries:\n  myregistry: { loginServer: one.example.com, upstream: { url: http://localhost:5000 } }\n",
    );
    let refused = Failure::Denied(Denial::IdentityTokenInvalid("unknown_issuer"));
    assert_eq!(house.sign_in(&json!({})).await.unwrap_err(), refused);
}

/// Threat classes E and H: the tokens of one registry are worth nothing at another, whoever the subject is there.
#[tokio::test]
async fn tokens_are_for_one_registry_and_for_their_time() {
    let house = House::new();
    let (access, refresh) = house.tokens(&house.sign_in(&json!({})).await.unwrap()).await;
    let two = house.policy.registry_for_host("two.example.com").unwrap();
    let denied = |denial| Some(Failure::Denied(denial));
    let authenticator = &house.authenticator;
    assert_eq!(authenticator.by_access_token(two, &access, now(), 0).err(), denied(Denial::AccessTokenInvalid));
    assert_eq!(authenticator.by_refresh_token(two, &refresh, now()).err(), denied(Denial::RefreshTokenInvalid));
    assert_eq!(
        authenticator.by_access_token(house.one(), &refresh, now(), 0).err(),
        denied(Denial::AccessTokenInvalid)
    );
    assert_eq!(authenticator.by_refresh_token(house.one(), &access, now()).err(), denied(Denial::RefreshTokenInvalid));
    let later = now() + SignedDuration::from_secs(11_700);
    assert_eq!(authenticator.by_refresh_token(house.one(), &refresh, later).err(), denied(Denial::RefreshTokenInvalid));
    // Our own tokens are no provider's.
    for own in [access, refresh] {
        let found = authenticator.by_provider_token(house.one(), &own, now()).await.err();
        assert_eq!(found, denied(Denial::IdentityTokenInvalid("own_token")));
    }
}

/// Rule R6 of the clients' ways to look into refresh tokens, with claims that are not ours to choose.
#[tokio::test]
async fn payloads_can_be_read_as_standard_base64_whatever_a_provider_says() {
    let house = House::new();
    for text in ["a>b?c~d", "\u{7f}\u{7f}\u{7f}", "äöü ÿÿÿ", "日本語 😀", "\"\\\n\u{0}"] {
        let groups = json!({ "sub": format!("x{text}"), "groups": ["builders", text], "email": format!("é{text}") });
        let (access, refresh) = house.tokens(&house.sign_in(&groups).await.unwrap()).await;
        for token in [access, refresh] {
            let payload = token.expose().split('.').nth(1).unwrap();
            assert!(!payload.contains(['-', '_']), "{text:?}");
            let read: Map<String, Value> = serde_json::from_slice(&STANDARD_NO_PAD.decode(payload).unwrap()).unwrap();
            assert_eq!(read["identity"]["claims"]["email"], json!(format!("é{text}")));
        }
    }
}

/// A provider that says too much cannot make every request large.
#[tokio::test]
async fn what_has_no_room_in_a_token_ends_the_sign_in() {
    let house = House::new();
    let sign_in = house.sign_in(&json!({ "sub": "é".repeat(1000) })).await.unwrap();
    let access = house.authenticator.issue(house.one(), &sign_in, &[], now()).await;
    assert!(matches!(access, Err(MintError::IdentityTooLarge)));
    let refresh = house.authenticator.issue_refresh(house.one(), &sign_in, now()).await;
    assert!(matches!(refresh, Err(MintError::IdentityTooLarge)));
}

/// What the installation vouches for is a managed identity of the policy, at every use anew; nobody's token can say it.
#[tokio::test]
async fn a_managed_identity_has_tokens_of_ours_which_end_with_it() {
    let managed = "identities:\n  agent: { type: UserAssigned, principalId: 11111111-2222-3333-4444-555555555555 }\n";
    let with = DOCUMENT
        .replace("identities:\n", managed)
        .replace("roleAssignments: [ {", "roleAssignments: [ { identity: agent, role: AcrPush }, {");
    let mut house = House::new();
    let load = |house: &mut House, document: &str| {
        let document = document.replace("KEYS", &house.keys);
        house.policy = compiled_with(&hash_key(), &document).0.unwrap();
    };
    load(&mut house, &with);
    let vouched = |house: &House, host: &str| {
        let registry = house.policy.registry_for_host(host).unwrap();
        house.authenticator.vouch_for(registry, registry.identities().named("agent").unwrap(), now())
    };
    let sign_in = vouched(&house, "one.example.com").unwrap();
    assert_eq!(vouched(&house, "two.example.com").unwrap_err(), Failure::Denied(Denial::NoRole));
    let (access, refresh) = house.tokens(&sign_in).await;
    let again = |house: &House| house.authenticator.by_refresh_token(house.one(), &refresh, now());
    assert_eq!(again(&house).unwrap().caller.principal.name(), "agent");
    let elsewhere = house.policy.registry_for_host("two.example.com").unwrap();
    assert!(house.authenticator.by_refresh_token(elsewhere, &refresh, now()).is_err());
    for (document, denial) in [
        (with.replace("type: UserAssigned,", "type: UserAssigned, status: disabled,"), Denial::PrincipalGone),
        (with.replace("UserAssigned", "User"), Denial::PrincipalGone),
        (with.replace("  agent:", "  renamed:").replace("identity: agent", "identity: renamed"), Denial::PrincipalGone),
        (with.replace("identity: agent", "identity: builders"), Denial::NoRole),
    ] {
        load(&mut house, &document.replace("{ identity: builders, role: AcrPush }, ", ""));
        assert_eq!(again(&house).unwrap_err(), Failure::Denied(denial.clone()), "{document}");
        let by_access = house.authenticator.by_access_token(house.one(), &access, now(), 0);
        assert_eq!(by_access.is_ok(), denial == Denial::NoRole, "without a role it is denied whatever it asks for");
    }
    load(&mut house, &with);
    for issuer in ["seawall", "seawall/"] {
        let claims = json!({ "iss": issuer, "sub": "11111111-2222-3333-4444-555555555555", "identity": "any" });
        assert!(matches!(
            house.sign_in(&claims).await,
            Err(Failure::Denied(Denial::IdentityTokenInvalid(_) | Denial::IdentityUnknown))
        ));
    }
}

const CLIENT: &str = "b7f1c0de-12b4-4abc-8def-0123456789ab";

/// Answers every question for a token with `token`, and says itself where to ask.
fn give(listener: &TcpListener, issuer: &str, token: &Secret) {
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.unwrap());
        let (mut head, mut length) = (String::new(), 0);
        while stream.read_line(&mut head).unwrap() > 2 {
            let field = head.lines().last().unwrap().strip_prefix("content-length: ");
            length = field.map_or(length, |value| value.parse().unwrap());
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        let answer = if head.starts_with("POST /token ") {
            json!({ "access_token": token.expose() })
        } else {
            json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") })
        };
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        stream.get_mut().write_all((head + &answer).as_bytes()).unwrap();
    }
}

/// From there on it is a sign-in like any other of that provider, and ends like one.
#[tokio::test]
async fn a_secret_that_a_provider_verifies_signs_in_as_its_token_does() {
    let mut house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let token = house.said(&json!({ "iss": issuer, "sub": "the client", "azp": CLIENT }));
    let at = issuer.clone();
    std::thread::spawn(move || give(&listener, &at, &token));
    let deployer = format!(
        "  deployer: {{ type: ServicePrincipal, clientId: {CLIENT}, verifiedBy: corp, matches: [ {{ provider: corp, claims: {{ \
         azp: {CLIENT} }} }} ] }}\n"
    );
    let document = DOCUMENT
        .replace(ISSUER, &issuer)
        .replace("identities:\n", &format!("identities:\n{deployer}"))
        .replace("identity: builders", "identity: deployer");
    house.reload(&document);
    let log_in = async |house: &House, host: &str| {
        let registry = house.policy.registry_for_host(host).unwrap();
        let (user, secret, mut recognised) = (CLIENT.to_uppercase(), Secret::new("secret"), None);
        let sign_in = house.authenticator.by_password(registry, &user, &secret, now(), &mut recognised).await;
        if !matches!(sign_in, Err(Failure::Denied(Denial::IdentityUnknown))) {
            assert!(recognised.is_some(), "whatever he may: {sign_in:?}");
        }
        sign_in
    };
    let sign_in = log_in(&house, "one.example.com").await.unwrap();
    let Caller { principal, credential, .. } = &sign_in.caller;
    assert_eq!((principal.kind(), principal.name(), credential), ("identity", "alice@example.com", &None));
    assert_eq!(sign_in.assertion.as_ref().unwrap().subject, "the client");
    assert_eq!(log_in(&house, "two.example.com").await.unwrap_err(), Failure::Denied(Denial::NoRole));
    let (access, refresh) = house.tokens(&sign_in).await;
    for (other, denial) in [
        (
            document.replace("ServicePrincipal,", "ServicePrincipal, status: disabled,"),
            Denial::NotAccepted(NotAccepted::IdentityDisabled),
        ),
        (document.replace(&format!("azp: {CLIENT}"), "azp: other"), Denial::IdentityUnknown),
        // Another one, of which the same token speaks, does not make it this one.
        (
            document
                .replace(&format!("azp: {CLIENT}"), "azp: other")
                .replace("identity: deployer", "identity: builders"),
            Denial::IdentityUnknown,
        ),
    ] {
        house.reload(&other);
        assert_eq!(log_in(&house, "one.example.com").await.unwrap_err(), Failure::Denied(denial), "{other}");
    }
    house.reload(&document);
    assert!(house.authenticator.by_refresh_token(house.one(), &refresh, now()).is_ok());
    // Disabled, or not meant by anything that the provider said.
    let alone = document.replace("groups: builders", "groups: others");
    for other in [
        document.replace("ServicePrincipal,", "ServicePrincipal, status: disabled,"),
        alone.replace(&format!("azp: {CLIENT}"), "azp: other"),
    ] {
        house.reload(&other);
        let gone = Err(Failure::Denied(Denial::PrincipalGone));
        assert_eq!(house.authenticator.by_refresh_token(house.one(), &refresh, now()).map(|_| ()), gone);
        assert_eq!(house.authenticator.by_access_token(house.one(), &access, now(), 0).map(|_| ()), gone);
    }
}

#[tokio::test]
async fn an_anonymous_caller_has_no_refresh_token() {
    let house = House::new();
    let anonymous = SignIn::from(Caller::anonymous(house.one()));
    assert!(house.authenticator.issue_refresh(house.one(), &anonymous, now()).await.unwrap().is_none());
}
