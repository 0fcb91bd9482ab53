//! Tokens of ours presented at the token endpoint: refresh tokens, and access tokens as passwords.
//!
//! Nothing issues refresh tokens yet: they are made here by the library, with keys that the running seawall found at its
//! first start.

use std::sync::Arc;

use seawall::auth::keys::Keyring;
use seawall::auth::refresh_token::{RefreshClaims, RefreshTokens};
use seawall::clock::{Clock, SystemClock, Timestamp};
use seawall::policy::credential::{CredentialId, PrincipalId, Verifier};
use seawall::secret::{HashKey, Secret};

use super::desk::{Desk, Document, NULL_GUID, PASSWORD, access, builder, desk, read, token};
use crate::harness::http::Response;
use crate::harness::keys::{leave_keys, make_keys};
use crate::harness::seawall::Place;
use crate::harness::session::Account;

const SCOPE: &str = "repository:team/app:pull,push";

/// What a refresh token says, to be made wrong in one place.
struct Wanted {
    keys: Arc<Keyring>,
    issuer: &'static str,
    audience: String,
    password: &'static str,
    issued: Timestamp,
}

/// A desk, and the keys that it found.
fn desk_with_keys() -> (Desk, Arc<Keyring>) {
    let place = Place::new();
    let keys = leave_keys(&place.path().join("keys"));
    (Document::default().start_in(place), keys)
}

impl Wanted {
    fn good((desk, keys): &(Desk, Arc<Keyring>)) -> Self {
        Self {
            keys: Arc::clone(keys),
            issuer: "seawall",
            audience: desk.server(),
            password: PASSWORD,
            issued: SystemClock.now(),
        }
    }

    /// For the token `builder`, obtained by its password `password1`.
    fn mint(&self, key: &HashKey) -> String {
        let verifier = Verifier::of_secret(key, &Secret::new(self.password)).hash_text();
        let credential = ["myregistry", "token", "builder", "password1", &verifier].map(str::as_bytes);
        let claims = RefreshClaims {
            subject: "builder".to_owned(),
            audience: self.audience.clone(),
            principal: PrincipalId::derive(key, "principal", &[b"myregistry", b"token", b"builder"]),
            credential: Some(CredentialId::derive(key, "credential", &credential)),
            identity: None,
        };
        let tokens = RefreshTokens::new(Arc::clone(&self.keys), self.issuer);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(tokens.mint(claims, self.issued)).unwrap().token.expose().to_owned()
    }
}

/// Every way to present a refresh token.
fn present(desk: &Desk, refresh: &str) -> Vec<(&'static str, Response)> {
    let guid = Account::new(NULL_GUID, refresh);
    let query = format!("&scope={SCOPE}");
    vec![
        ("grant", desk.post(&[("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", SCOPE)])),
        ("Basic", desk.get(&query, &guid)),
        (
            "form",
            desk.post(&[("grant_type", "password"), ("username", NULL_GUID), ("password", refresh), ("scope", SCOPE)]),
        ),
    ]
}

/// S1-31, B.1-3, B.1-4, B.1-7, wire contract 2.3 and 2.4.
#[test]
fn a_refresh_token_gets_access_tokens_by_its_grant_and_under_the_null_guid() {
    let found = desk_with_keys();
    let (desk, keys) = &found;
    let refresh = Wanted::good(&found).mint(keys.hash_key());
    for (way, answer) in present(desk, &refresh) {
        let answer = answer.expect(200);
        assert_eq!(access(&answer), [SCOPE], "{way}");
        assert!(answer.json().get("refresh_token").is_none(), "{way}");
        assert_eq!(read(answer.json()["token"].as_str().unwrap()).1["sub"], "builder", "{way}");
    }
}

/// Threat classes G, H, I.
#[test]
fn a_refresh_token_that_is_foreign_expired_or_for_something_else_is_refused() {
    let found = desk_with_keys();
    let (desk, keys) = &found;
    let (own, elsewhere) = (keys.hash_key(), make_keys());
    let long_ago = SystemClock.now() - jiff::SignedDuration::from_secs(11_701);
    let access_token = token(desk.get(&format!("&scope={SCOPE}"), &builder()));
    let table = [
        ("signed by somebody else", Wanted { keys: Arc::clone(&elsewhere), ..Wanted::good(&found) }.mint(own)),
        ("of another issuer", Wanted { issuer: "somebody", ..Wanted::good(&found) }.mint(own)),
        ("for another registry", Wanted { audience: super::desk::PUBLIC.into(), ..Wanted::good(&found) }.mint(own)),
        ("expired", Wanted { issued: long_ago, ..Wanted::good(&found) }.mint(own)),
        ("of a password that is gone", Wanted { password: "older", ..Wanted::good(&found) }.mint(own)),
        ("of a principal of other keys", Wanted::good(&found).mint(elsewhere.hash_key())),
        ("no token at all", "abc".to_owned()),
    ];
    for (what, refresh) in table {
        for (way, answer) in present(desk, &refresh) {
            assert_eq!(answer.status, 401, "{what}, by {way}: {}", answer.text());
        }
    }
    // An access token is no refresh token, and a refresh token is no access token.
    desk.post(&[("grant_type", "refresh_token"), ("refresh_token", &access_token)]).expect(401);
    let refresh = Wanted::good(&found).mint(own);
    desk.bearer(&refresh, "GET /v2/").expect(401);
    // The null GUID's password is a token and never a password.
    desk.get("", &Account::new(NULL_GUID, PASSWORD)).expect(401);
}

/// S3-93: the principal is looked at on every use.
#[test]
fn a_refresh_token_of_a_disabled_token_is_refused() {
    let found = desk_with_keys();
    let (desk, keys) = &found;
    let refresh = Wanted::good(&found).mint(keys.hash_key());
    let disabled = Document { builder_status: "disabled", ..Document::default() };
    desk.seawall.edit(&disabled.text(desk.seawall.place()));
    for (way, answer) in present(desk, &refresh) {
        assert_eq!(answer.status, 401, "{way}");
    }
}

/// B.1-7: a token for one repository is a password for that repository.
#[test]
fn an_access_token_logs_in_under_the_null_guid() {
    let desk = desk();
    let own = token(desk.get("&scope=repository:team/app:pull", &builder()));
    let guid = Account::new(NULL_GUID, &own);
    desk.get("", &guid).expect(200);
    desk.get("&scope=repository:team/app:pull", &guid).expect(200);
    let (head, _) = own.rsplit_once('.').unwrap();
    desk.get("", &Account::new(NULL_GUID, &format!("{head}.AAAA"))).expect(401);
}

/// B.1-7: it is answered with itself, so that nobody makes more of it than it is, or makes it last.
#[test]
fn an_access_token_as_a_password_can_neither_be_widened_nor_renewed() {
    let desk = desk();
    let own = token(desk.get("&scope=repository:team/app:pull", &builder()));
    let more = "repository:team/app:pull,push repository:shared:pull";
    let guid = Account::new(NULL_GUID, &own);
    let form = [("grant_type", "password"), ("username", NULL_GUID), ("password", own.as_str()), ("scope", more)];
    for answer in [desk.get(&format!("&scope={}", more.replace(' ', "&scope=")), &guid), desk.post(&form)] {
        let answer = answer.expect(200);
        assert_eq!(answer.json()["access_token"], own);
        assert_eq!(answer.json()["token"], own);
        assert_eq!(answer.json()["scope"], "repository:team/app:pull");
        // Clients add the two: what remains counts from the answer.
        let remaining = answer.json()["expires_in"].as_i64().unwrap();
        let issued: jiff::Timestamp = answer.json()["issued_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(read(&own).1["exp"], issued.as_second() + remaining);
    }
}
