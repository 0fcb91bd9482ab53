use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::auth::keys::{KeyMaterial, SigningAlgorithm};
use crate::auth::refresh_token::{RefreshClaims, RefreshTokens};
use crate::auth::signed_token::forge::{AUDIENCE, ISSUER, both_keys, key, keys, now, read, ring, signed, unsigned};

fn claims() -> AccessClaims {
    let key = HashKey::from_bytes([5; 32]);
    AccessClaims {
        subject: "ci-push".to_owned(),
        audience: AUDIENCE.to_owned(),
        principal: PrincipalId::derive(&key, "principal", &[b"ci-push"]),
        credential: Some(CredentialId::derive(&key, "credential", &[b"ci-push"])),
        access: vec![
            access("repository", "samples/hello-world", &["pull", "push"]),
            access("registry", "catalog", &["*"]),
        ],
        identity: None,
    }
}

/// What a verified token says, of which `id` is the name.
pub(super) fn verified(id: &str) -> VerifiedAccess {
    let AccessClaims { subject, audience, principal, credential, access, identity } = claims();
    let validity = Validity { audience, not_before: now(), issued_at: now(), expires_at: after(60) };
    let granted = Arc::new(AccessList::from_scopes(&scopes(&access)));
    let (id, key) = (id.to_owned(), Arc::from("a key"));
    VerifiedAccess { id, subject, principal, credential, access, granted, identity, validity, key }
}

fn access(kind: &str, name: &str, actions: &[&str]) -> Access {
    let actions = actions.iter().map(|action| (*action).to_owned()).collect();
    Access { kind: kind.to_owned(), name: name.to_owned(), actions }
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// The cause of a refusal, so that tables can compare it.
fn refusal(tokens: &AccessTokens, token: &Secret) -> Option<InvalidToken> {
    match tokens.verify(token, AUDIENCE, now()) {
        Err(TokenRejection::Invalid(cause)) => Some(cause),
        Err(TokenRejection::Expired { since, .. }) => panic!("expired at {since}"),
        Ok(_) => None,
    }
}

/// Tokens, their keys, and one good token.
async fn made(algorithm: SigningAlgorithm) -> (AccessTokens, Arc<Keyring>, Secret) {
    let keys = keys(algorithm);
    let tokens = AccessTokens::new(Arc::clone(&keys), ISSUER);
    let token = tokens.mint(claims(), now()).await.expect("minted").token;
    (tokens, keys, token)
}

#[tokio::test]
async fn what_was_minted_is_read_back() {
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        let (tokens, _, token) = made(algorithm).await;
        let (read, _) = tokens.verify(&token, AUDIENCE, now()).expect("verified");
        let (said, validity) = (claims(), &read.validity);
        assert_eq!(
            (&read.subject, &read.principal, &read.credential, &read.access),
            (&said.subject, &said.principal, &said.credential, &said.access)
        );
        assert_eq!(validity.audience, AUDIENCE);
        assert_eq!(validity.expires_at.as_second() - validity.issued_at.as_second(), 4500);
    }
}

#[tokio::test]
async fn the_token_has_the_claims_and_the_header_that_distribution_and_acr_clients_read() {
    let (_, keys, token) = made(SigningAlgorithm::Rs256).await;
    let (header, payload) = read(token.expose());
    let jwk = &keys.jwks(now())["keys"][0];
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": jwk["kid"], "x5c": jwk["x5c"] }));
    STANDARD.decode(header["x5c"][0].as_str().expect("a text")).expect("standard base64");
    let (time, said) = (now().as_second(), claims());
    assert_eq!(
        payload,
        json!({
            "jti": payload["jti"], "sub": "ci-push", "nbf": time, "exp": time + 4500, "iat": time,
            "iss": ISSUER, "aud": AUDIENCE, "version": "1.0", "roles": [], "grant_type": "access_token",
            "access": [
                { "type": "repository", "name": "samples/hello-world", "actions": ["pull", "push"] },
                { "type": "registry", "name": "catalog", "actions": ["*"] },
            ],
            "pid": said.principal.to_string(), "cid": said.credential.map(|id| id.to_string()),
        })
    );
}

#[tokio::test]
async fn the_anonymous_principal_has_an_empty_subject_and_no_credential() {
    let (tokens, _, _) = made(SigningAlgorithm::Es256).await;
    let anonymous = AccessClaims { subject: String::new(), credential: None, access: Vec::new(), ..claims() };
    let token = tokens.mint(anonymous, now()).await.expect("minted").token;
    let (_, payload) = read(token.expose());
    assert_eq!((&payload["sub"], &payload["access"], payload.get("cid")), (&json!(""), &json!([]), None));
    assert_eq!(tokens.verify(&token, AUDIENCE, now()).expect("verified").0.credential, None);
}

#[tokio::test]
async fn every_token_has_its_own_id() {
    let (tokens, _, first) = made(SigningAlgorithm::Es256).await;
    let second = tokens.mint(claims(), now()).await.expect("minted").token;
    assert_ne!(read(first.expose()).1["jti"], read(second.expose()).1["jti"]);
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_refused() {
    let keys = both_keys();
    let tokens = AccessTokens::new(Arc::clone(&keys), ISSUER);
    let token = tokens.mint(claims(), now()).await.expect("minted").token;
    let (header, payload) = read(token.expose());
    let with = |changes: Value| merged(&header, &changes);
    let own_certificate = &keys.jwks(now())["keys"][0]["x5c"][0];
    let es256_kid = &keys.jwks(now())["keys"][1]["kid"];

    let (foreign_tokens, foreign_keys, foreign) = made(SigningAlgorithm::Rs256).await;
    drop(foreign_tokens);
    let foreign_jwk = foreign_keys.jwks(now())["keys"][0].clone();
    let hmac = |secret: &[u8]| {
        let message = unsigned(&with(json!({ "alg": "HS256" })), &payload);
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
        Secret::new(format!("{message}.{}", signature.expect("signed")))
    };
    let der = STANDARD.decode(own_certificate.as_str().expect("a text")).expect("base64");
    let none = |alg: &str| Secret::new(unsigned(&with(json!({ "alg": alg })), &payload) + ".");

    let cases = [
        ("alg none", none("none"), InvalidToken::Algorithm),
        ("alg None", none("None"), InvalidToken::Algorithm),
        ("an empty signature", none("RS256"), InvalidToken::Signature),
        ("HS256 keyed with the certificate", hmac(keys.certificate_pem(now()).as_bytes()), InvalidToken::Algorithm),
        ("HS256 keyed with its DER", hmac(&der), InvalidToken::Algorithm),
        ("RS384 by our key", signed(&keys, &with(json!({ "alg": "RS384" })), &payload), InvalidToken::Algorithm),
        ("PS256 by our key", signed(&keys, &with(json!({ "alg": "PS256" })), &payload), InvalidToken::Algorithm),
        (
            "ES256 under the id of the RSA key",
            signed(&keys, &with(json!({ "alg": "ES256" })), &payload),
            InvalidToken::Algorithm,
        ),
        (
            "RS256 under the id of the EC key",
            signed(&keys, &with(json!({ "kid": es256_kid })), &payload),
            InvalidToken::Algorithm,
        ),
        (
            "ES256 and its id, by the RSA key",
            signed(&keys, &with(json!({ "alg": "ES256", "kid": es256_kid })), &payload),
            InvalidToken::Signature,
        ),
        ("a foreign token", foreign, InvalidToken::UnknownKey),
        ("a foreign key under our id", signed(&foreign_keys, &header, &payload), InvalidToken::Signature),
        ("its own jwk", signed(&foreign_keys, &with(json!({ "jwk": foreign_jwk })), &payload), InvalidToken::Signature),
        (
            "its own x5c",
            signed(&foreign_keys, &with(json!({ "x5c": foreign_jwk["x5c"] })), &payload),
            InvalidToken::Signature,
        ),
        (
            "its own jku and x5u",
            signed(
                &foreign_keys,
                &with(json!({ "jku": "https://evil.example/", "x5u": "https://evil.example/" })),
                &payload,
            ),
            InvalidToken::Signature,
        ),
        (
            "its own key and id",
            signed(&foreign_keys, &with(json!({ "jwk": foreign_jwk, "kid": foreign_jwk["kid"] })), &payload),
            InvalidToken::UnknownKey,
        ),
        (
            "an id that is a path",
            signed(&keys, &with(json!({ "kid": "../../hash.key" })), &payload),
            InvalidToken::UnknownKey,
        ),
        ("no id", signed(&keys, &with(json!({ "kid": null })), &payload), InvalidToken::Malformed),
        ("no alg", signed(&keys, &with(json!({ "alg": null })), &payload), InvalidToken::Malformed),
        ("crit", signed(&keys, &with(json!({ "crit": ["exp"] })), &payload), InvalidToken::CriticalExtension),
        ("empty crit", signed(&keys, &with(json!({ "crit": [] })), &payload), InvalidToken::CriticalExtension),
        (
            "crit of b64",
            signed(&keys, &with(json!({ "crit": ["b64"], "b64": false })), &payload),
            InvalidToken::CriticalExtension,
        ),
    ];
    for (name, token, expected) in cases {
        assert_eq!(refusal(&tokens, &token), Some(expected), "{name}");
    }
    assert_eq!(refusal(&tokens, &signed(&keys, &header, &payload)), None, "the table would refuse anything");
}

#[tokio::test]
async fn a_header_that_brings_keys_along_is_verified_with_ours() {
    let (tokens, keys, token) = made(SigningAlgorithm::Es256).await;
    let (_, foreign_keys, _) = made(SigningAlgorithm::Es256).await;
    let (header, payload) = read(token.expose());
    let jwk = &foreign_keys.jwks(now())["keys"][0];
    let header = merged(&header, &json!({ "jwk": jwk, "x5c": jwk["x5c"], "jku": "https://evil.example/" }));
    assert_eq!(refusal(&tokens, &signed(&keys, &header, &payload)), None);
}

#[tokio::test]
async fn claims_that_are_missing_or_of_another_shape_are_refused_though_signed_by_us() {
    let (tokens, keys, token) = made(SigningAlgorithm::Es256).await;
    let (header, payload) = read(token.expose());
    let malformed = [
        json!({ "exp": null }),
        json!({ "iat": null }),
        json!({ "nbf": null }),
        json!({ "iss": null }),
        json!({ "aud": null }),
        json!({ "sub": null }),
        json!({ "jti": null }),
        json!({ "pid": null }),
        json!({ "access": null }),
        json!({ "grant_type": null }),
        json!({ "version": null }),
        json!({ "aud": [AUDIENCE] }),
        json!({ "aud": [AUDIENCE, "other.example.com"] }),
        json!({ "exp": "4500" }),
        json!({ "exp": i64::MAX }),
        json!({ "exp": 1e300 }),
        json!({ "iat": -1e300 }),
        json!({ "nbf": true }),
        json!({ "pid": "someone" }),
        json!({ "cid": 1 }),
        json!({ "cid": "" }),
        json!({ "access": {} }),
        json!({ "access": [{ "type": "repository", "name": "a" }] }),
        json!({ "grant_type": "password" }),
    ];
    for change in malformed {
        let token = signed(&keys, &header, &merged(&payload, &change));
        assert_eq!(refusal(&tokens, &token), Some(InvalidToken::Malformed), "{change}");
    }
    let unfit = [
        (json!({ "iss": "someone else" }), InvalidToken::Issuer),
        (json!({ "aud": "other.example.com" }), InvalidToken::Audience),
        (json!({ "aud": "registry.example.com" }), InvalidToken::Audience),
        (json!({ "aud": AUDIENCE.to_uppercase() }), InvalidToken::Audience),
        (json!({ "aud": "" }), InvalidToken::Audience),
        (json!({ "grant_type": "refresh_token" }), InvalidToken::Kind),
        (json!({ "nbf": now().as_second() + 62 }), InvalidToken::NotYetValid),
        (json!({ "iat": now().as_second() + 62 }), InvalidToken::NotYetValid),
    ];
    for (change, expected) in unfit {
        let token = signed(&keys, &header, &merged(&payload, &change));
        assert_eq!(refusal(&tokens, &token), Some(expected), "{change}");
    }
}

#[tokio::test]
async fn a_claim_that_stands_twice_is_refused() {
    let (tokens, keys, token) = made(SigningAlgorithm::Es256).await;
    let (header, payload) = read(token.expose());
    let twice = payload.to_string().replacen('{', r#"{"sub":"admin","#, 1);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(twice));
    let token = Secret::new(format!("{message}.{}", keys.signing(now()).expect("a key").signature(&message)));
    assert_eq!(refusal(&tokens, &token), Some(InvalidToken::Malformed));
}

#[tokio::test]
async fn no_change_of_a_single_character_goes_unnoticed() {
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        let (tokens, _, token) = made(algorithm).await;
        tokens.verify(&token, AUDIENCE, now()).expect("good, and remembered");
        let good = token.expose();
        for at in (0..good.len()).step_by(7).chain([good.len() - 1]) {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = Secret::new(String::from_utf8(bytes).expect("ascii"));
            assert!(refusal(&tokens, &changed).is_some(), "{at}");
        }
        for changed in
            [format!("{good}="), format!("{good}."), format!(" {good}"), format!("{good}\n"), good[1..].to_owned()]
        {
            assert!(refusal(&tokens, &Secret::new(changed)).is_some());
        }
    }
}

#[tokio::test]
async fn text_that_is_no_token_is_malformed() {
    let (tokens, _, token) = made(SigningAlgorithm::Es256).await;
    let [header, payload, signature] = token.expose().split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let cases = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "....".to_owned(),
        "e30.e30.e30".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("é.{payload}.{signature}"),
        "bnVsbA.bnVsbA.bnVsbA".to_owned(),
        "W10.W10.W10".to_owned(),
    ];
    for text in cases {
        assert_eq!(refusal(&tokens, &Secret::new(text.clone())), Some(InvalidToken::Malformed), "{text}");
    }
}

#[tokio::test]
async fn a_token_of_more_than_16_kib_is_neither_read_nor_made() {
    let (tokens, keys, token) = made(SigningAlgorithm::Es256).await;
    let (header, payload) = read(token.expose());
    let huge = signed(&keys, &merged(&header, &json!({ "x": "x".repeat(16 * 1024) })), &payload);
    assert_eq!(refusal(&tokens, &huge), Some(InvalidToken::TooLarge));
    for scopes in [200, 2000] {
        let access = (0..scopes).map(|number| access("repository", &format!("team/{number:04}"), &["pull"])).collect();
        let minted = tokens.mint(AccessClaims { access, ..claims() }, now()).await;
        assert!(matches!(minted, Err(MintError::TooLarge)), "{scopes}");
    }
    let access = (0..100).map(|number| access("repository", &format!("team/{number:04}"), &["pull"])).collect();
    let minted = tokens.mint(AccessClaims { access, ..claims() }, now()).await.expect("minted");
    assert_eq!(refusal(&tokens, &minted.token), None);
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token_and_the_reverse() {
    let keys = keys(SigningAlgorithm::Es256);
    let (tokens, refresh_tokens) =
        (AccessTokens::new(Arc::clone(&keys), ISSUER), RefreshTokens::new(Arc::clone(&keys), ISSUER));
    let AccessClaims { subject, audience, principal, credential, .. } = claims();
    let refresh_claims = RefreshClaims { subject, audience, principal, credential, identity: None };
    let refresh = refresh_tokens.mint(refresh_claims, now()).await.expect("minted").token;
    let access = tokens.mint(claims(), now()).await.expect("minted").token;
    assert_eq!(refusal(&tokens, &refresh), Some(InvalidToken::Kind));
    let refused = refresh_tokens.verify(&access, AUDIENCE, now());
    assert_eq!(refused, Err(TokenRejection::Invalid(InvalidToken::Kind)));
}

#[tokio::test]
async fn a_token_of_another_registry_or_issuer_is_refused() {
    let (tokens, keys, token) = made(SigningAlgorithm::Es256).await;
    let elsewhere = tokens.verify(&token, "other.example.com", now());
    assert_eq!(elsewhere, Err(TokenRejection::Invalid(InvalidToken::Audience)));
    let other = AccessTokens::new(keys, "another issuer");
    assert_eq!(refusal(&other, &token), Some(InvalidToken::Issuer));
}

#[tokio::test]
async fn times_are_looked_at_on_every_use() {
    let (tokens, _, token) = made(SigningAlgorithm::Es256).await;
    let verify = |seconds| tokens.verify(&token, AUDIENCE, after(seconds));
    // Made at .75 of a second and dated on the second: good for a quarter of a second less than 75 minutes.
    let cases = [(0, true), (4499, true), (4500, false), (86_400, false), (-59, true), (-62, false), (1, true)];
    for (seconds, good) in cases {
        assert_eq!(verify(seconds).is_ok(), good, "{seconds}");
    }
    let Err(TokenRejection::Expired { since, claims: said }) = verify(4500) else { panic!("expired") };
    assert_eq!((since.as_second(), &said.subject), (now().as_second() + 4500, &claims().subject));
    assert_eq!(verify(-62), Err(TokenRejection::Invalid(InvalidToken::NotYetValid)));
}

#[tokio::test]
async fn the_audience_of_an_expired_token_is_still_looked_at() {
    let (tokens, _, token) = made(SigningAlgorithm::Es256).await;
    let refused = tokens.verify(&token, "other.example.com", after(4500));
    assert_eq!(refused, Err(TokenRejection::Invalid(InvalidToken::Audience)));
}

#[tokio::test]
async fn a_signature_is_verified_once() {
    let (tokens, keys, token) = made(SigningAlgorithm::Rs256).await;
    let outcome = |token: &Secret| tokens.verify(token, AUDIENCE, now()).expect("verified").1;
    assert_eq!([outcome(&token), outcome(&token)], [CacheOutcome::Miss, CacheOutcome::Hit]);
    let other = tokens.mint(claims(), now()).await.expect("minted").token;
    assert_eq!(outcome(&other), CacheOutcome::Miss);
    // What was refused is not remembered as good.
    let (header, payload) = read(token.expose());
    let expected = Some(InvalidToken::Malformed);
    let bad = signed(&keys, &header, &merged(&payload, &json!({ "exp": null })));
    assert_eq!([refusal(&tokens, &bad), refusal(&tokens, &bad)], [expected, expected]);
}

#[tokio::test]
async fn a_token_of_the_older_key_is_good_after_the_algorithm_was_changed() {
    let old = key(SigningAlgorithm::Rs256, after(-10));
    let keys = ring(std::slice::from_ref(&old));
    let tokens = AccessTokens::new(Arc::clone(&keys), ISSUER);
    let token = tokens.mint(claims(), now()).await.expect("minted").token;
    keys.replace(&[old, key(SigningAlgorithm::Es256, now())]);
    assert_eq!(refusal(&tokens, &token), None);
    assert_eq!(read(tokens.mint(claims(), now()).await.expect("minted").token.expose()).0["alg"], "ES256");
}

/// Remembered or not.
#[tokio::test]
async fn what_a_revoked_or_retired_key_signed_is_refused_at_the_next_use() {
    let (old, new) = (key(SigningAlgorithm::Es256, after(-10)), key(SigningAlgorithm::Es256, after(5)));
    let retired = KeyMaterial { retires_at: Some(after(100)), ..old.clone() };
    for (signing, refused_after) in [(vec![new.clone()], 0), (vec![new.clone(), retired], 100)] {
        let keys = ring(std::slice::from_ref(&old));
        let tokens = AccessTokens::new(Arc::clone(&keys), ISSUER);
        let mint = || async { tokens.mint(claims(), now()).await.expect("minted").token };
        let (remembered, fresh) = (mint().await, mint().await);
        assert_eq!(refusal(&tokens, &remembered), None);
        assert!(keys.replace(&signing).is_empty());
        for (seconds, token) in [(refused_after, &remembered), (refused_after, &fresh)] {
            let verified = tokens.verify(token, AUDIENCE, after(seconds));
            assert_eq!(verified.err(), Some(InvalidToken::UnknownKey.into()), "after {seconds} s");
        }
        if refused_after > 0 {
            assert!(tokens.verify(&fresh, AUDIENCE, after(refused_after - 1)).is_ok());
        }
        let minted = mint().await;
        assert_eq!(tokens.verify(&minted, AUDIENCE, now()).err(), None, "and logins go on");
    }
}

/// `value` with some members replaced; `null` takes a member away.
fn merged(value: &Value, changes: &Value) -> Value {
    let mut value = value.clone();
    let members = value.as_object_mut().expect("an object");
    for (name, change) in changes.as_object().expect("an object").clone() {
        if change.is_null() {
            members.remove(&name)
        } else {
            members.insert(name, change)
        };
    }
    value
}
