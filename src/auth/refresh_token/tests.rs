use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::auth::InvalidToken;
use crate::auth::keys::SigningAlgorithm;
use crate::auth::signed_token::forge::{AUDIENCE, ISSUER, keys, now, read};
use crate::secret::HashKey;

fn claims() -> RefreshClaims {
    let key = HashKey::from_bytes([6; 32]);
    RefreshClaims {
        subject: "build-agent".to_owned(),
        audience: AUDIENCE.to_owned(),
        principal: PrincipalId::derive(&key, "principal", &[b"build-agent"]),
        credential: None,
        identity: Some(said([("tid".to_owned(), json!("contoso")), ("groups".to_owned(), json!(["a", "b"]))])),
    }
}

fn said(claims: impl IntoIterator<Item = (String, Value)>) -> Arc<Assertion> {
    let claims: Map<_, _> = claims.into_iter().collect();
    let (provider, issuer) = ("corp".into(), "https://login.example.com".into());
    Arc::new(Assertion { provider, issuer, subject: "alice".to_owned(), claims })
}

fn tokens() -> RefreshTokens {
    RefreshTokens::new(keys(SigningAlgorithm::Es256), ISSUER)
}

#[tokio::test]
async fn what_was_minted_is_read_back() {
    let (tokens, said) = (tokens(), claims());
    let minted = tokens.mint(said.clone(), now()).await.expect("minted");
    assert_eq!(minted.expires_in, 11_700);
    let read = tokens.verify(&minted.token, AUDIENCE, now()).expect("verified");
    assert_eq!(
        (&read.subject, &read.principal, &read.credential, &read.identity),
        (&said.subject, &said.principal, &said.credential, &said.identity)
    );
}

#[tokio::test]
async fn the_token_has_the_claims_that_acr_clients_read() {
    let minted = tokens().mint(claims(), now()).await.expect("minted");
    let (_, payload) = read(minted.token.expose());
    let time = now().as_second();
    assert_eq!(
        payload,
        json!({
            "jti": payload["jti"], "sub": "build-agent", "nbf": time, "exp": time + 11_700, "iat": time,
            "iss": ISSUER, "aud": AUDIENCE, "version": "1.0", "roles": [], "grant_type": "refresh_token",
            "pid": claims().principal.to_string(),
            "identity": {
                "provider": "corp", "issuer": "https://login.example.com", "subject": "alice",
                "claims": { "tid": "contoso", "groups": ["a", "b"] },
            },
        })
    );
}

#[tokio::test]
async fn it_is_for_one_registry_and_for_its_time() {
    let tokens = tokens();
    let token = tokens.mint(claims(), now()).await.expect("minted").token;
    let verify = |audience, seconds| tokens.verify(&token, audience, now() + SignedDuration::from_secs(seconds));
    assert!(verify(AUDIENCE, 11_699).is_ok());
    assert!(matches!(verify(AUDIENCE, 11_700), Err(TokenRejection::Expired { .. })));
    assert_eq!(verify(AUDIENCE, -62), Err(TokenRejection::Invalid(InvalidToken::NotYetValid)));
    assert_eq!(verify("other.example.com", 0), Err(TokenRejection::Invalid(InvalidToken::Audience)));
    let huge = Secret::new(format!("{}{}", token.expose(), "A".repeat(16 * 1024)));
    assert_eq!(tokens.verify(&huge, AUDIENCE, now()), Err(TokenRejection::Invalid(InvalidToken::TooLarge)));
}

#[tokio::test]
async fn what_a_provider_said_is_bounded() {
    let tokens = tokens();
    let with = |length: usize| {
        let identity = Some(said([("groups".to_owned(), json!("g".repeat(length)))]));
        tokens.mint(RefreshClaims { identity, ..claims() }, now())
    };
    with(3900).await.expect("minted");
    assert!(matches!(with(4096).await, Err(MintError::IdentityTooLarge)));
    // Counted as it is written.
    let identity = Some(said([("groups".to_owned(), json!("é".repeat(1000)))]));
    let minted = tokens.mint(RefreshClaims { identity, ..claims() }, now()).await;
    assert!(matches!(minted, Err(MintError::IdentityTooLarge)));
}

#[tokio::test]
async fn a_password_leaves_no_identity_in_its_tokens() {
    let tokens = tokens();
    let minted = tokens.mint(RefreshClaims { identity: None, ..claims() }, now()).await.expect("minted");
    assert_eq!(read(minted.token.expose()).1.get("identity"), None);
    assert_eq!(tokens.verify(&minted.token, AUDIENCE, now()).expect("verified").identity, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn clients_that_read_the_payload_as_standard_base64_find_its_claims(
        subject in "[a-z>?~\\x7f\u{e9}\u{1f600}-]{0,24}", claim in "\\PC{0,24}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let identity = Some(said([(claim.clone(), json!(claim))]));
        let said = RefreshClaims { subject: subject.clone(), identity, ..claims() };
        thread_local!(static TOKENS: RefreshTokens = tokens());
        let minted = TOKENS.with(|tokens| runtime.block_on(tokens.mint(said, now()))).expect("minted");
        let payload = minted.token.expose().split('.').nth(1).expect("a payload");
        prop_assert!(!payload.contains(['-', '_']));
        let json = STANDARD_NO_PAD.decode(payload).expect("standard base64");
        let read: Value = serde_json::from_slice(&json).expect("json");
        prop_assert_eq!(&read["sub"], &json!(subject));
        prop_assert!(read["exp"].is_i64());
        let verified = TOKENS.with(|tokens| tokens.verify(&minted.token, AUDIENCE, now())).expect("verified");
        prop_assert_eq!(verified.identity.as_ref().map(|said| &said.claims[&claim]), Some(&json!(claim)));
    }
}
