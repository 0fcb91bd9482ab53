//! What the claims say: issuer, audience, times, subject.

use super::*;

#[tokio::test]
async fn a_good_token_says_who_it_is_about() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Static::of(&[&key]);
    let said = claims(STATIC_ISSUER);
    for _ in 0..2 {
        let assertion = house.verify(&key.sign(&said)).await.expect("verified");
        assert_eq!((&*assertion.provider, &*assertion.issuer), ("corp", STATIC_ISSUER));
        assert_eq!(assertion.subject, "alice");
        assert_eq!(Value::Object(assertion.claims.clone()), said);
    }
}

#[tokio::test]
async fn each_claim_must_be_as_it_should() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Static::of(&[&key]);
    let time = now().as_second();
    let long = "s".repeat(2049);
    let cases: Vec<(Value, Option<Rejection>)> = vec![
        (json!({}), None),
        // The issuer, letter for letter.
        (json!({ "iss": null }), Some(Rejection::UnknownIssuer)),
        (json!({ "iss": [STATIC_ISSUER] }), Some(Rejection::UnknownIssuer)),
        (json!({ "iss": format!("{STATIC_ISSUER}/") }), Some(Rejection::UnknownIssuer)),
        (json!({ "iss": STATIC_ISSUER.to_uppercase() }), Some(Rejection::UnknownIssuer)),
        (json!({ "iss": "https://LOGIN.example.com/tenant" }), Some(Rejection::UnknownIssuer)),
        (json!({ "iss": "" }), Some(Rejection::UnknownIssuer)),
        // The audience.
        (json!({ "aud": "api://seawall" }), None),
        (json!({ "aud": ["https://other.example.com", AUDIENCE] }), None),
        (json!({ "aud": null }), Some(Rejection::Audience)),
        (json!({ "aud": [] }), Some(Rejection::Audience)),
        (json!({ "aud": "" }), Some(Rejection::Audience)),
        (json!({ "aud": "https://registry.example.com/" }), Some(Rejection::Audience)),
        (json!({ "aud": ["https://other.example.com"] }), Some(Rejection::Audience)),
        (json!({ "aud": [[AUDIENCE]] }), Some(Rejection::Audience)),
        (json!({ "aud": [AUDIENCE, 1] }), Some(Rejection::Audience)),
        (json!({ "aud": { "0": AUDIENCE } }), Some(Rejection::Audience)),
        // The end.
        (json!({ "exp": null }), Some(Rejection::Malformed)),
        (json!({ "exp": "4000000000" }), Some(Rejection::Malformed)),
        (json!({ "exp": true }), Some(Rejection::Malformed)),
        (json!({ "exp": time - 59 }), None),
        (json!({ "exp": time - 60 }), Some(Rejection::Expired)),
        (json!({ "exp": -1 }), Some(Rejection::Expired)),
        (json!({ "exp": 0.5 }), Some(Rejection::Expired)),
        (json!({ "exp": 4_000_000_000.5 }), None),
        (json!({ "exp": i64::MAX }), Some(Rejection::Malformed)),
        (json!({ "exp": u64::MAX }), Some(Rejection::Malformed)),
        (json!({ "exp": 1e300 }), Some(Rejection::Malformed)),
        (json!({ "exp": -1e300 }), Some(Rejection::Malformed)),
        // The beginning.
        (json!({ "nbf": null, "iat": null }), None),
        (json!({ "nbf": time + 60 }), None),
        (json!({ "nbf": time + 62 }), Some(Rejection::NotYetValid)),
        (json!({ "iat": time + 62 }), Some(Rejection::NotYetValid)),
        (json!({ "nbf": time + 62, "iat": time - 100 }), Some(Rejection::NotYetValid)),
        (json!({ "nbf": i64::MAX }), Some(Rejection::Malformed)),
        (json!({ "iat": "now" }), Some(Rejection::Malformed)),
        // The subject.
        (json!({ "sub": null }), Some(Rejection::Subject)),
        (json!({ "sub": "" }), Some(Rejection::Subject)),
        (json!({ "sub": 7 }), Some(Rejection::Subject)),
        (json!({ "sub": ["alice"] }), Some(Rejection::Subject)),
        (json!({ "sub": long }), Some(Rejection::Subject)),
    ];
    for (changes, expected) in cases {
        let token = key.sign(&with(&claims(STATIC_ISSUER), &changes));
        assert_eq!(house.rejection(&token).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_number_that_no_number_holds_is_malformed() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Static::of(&[&key]);
    let text = claims(STATIC_ISSUER).to_string();
    for end in ["1e999", "99999999999999999999999999", "0x10", "NaN"] {
        let exp = format!("\"exp\":{}", now().as_second() + 300);
        let claims = text.replace(&exp, &format!("\"exp\":{end}"));
        assert_ne!(claims, text);
        let header = URL_SAFE_NO_PAD.encode(key.header().to_string());
        let token = key.sign_message(&format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims)));
        assert_eq!(house.rejection(&token).await, Some(Rejection::Malformed), "{end}");
    }
}

/// Also truly signed, and wherever it is: what another reader took for the value may not be ours.
#[tokio::test]
async fn a_member_that_is_named_twice_makes_a_token_malformed() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Static::of(&[&key]);
    let (header, claims) = (key.header().to_string(), claims(STATIC_ISSUER).to_string());
    let doubled = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let cases = [
        (header.clone(), doubled(&claims, r#""sub":"mallory""#)),
        (header.clone(), doubled(&claims, r#""s\u0075b":"mallory""#)),
        (header.clone(), doubled(&claims, r#""x":{"y":1,"y":2}"#)),
        (doubled(&header, r#""alg":"none""#), claims.clone()),
        (doubled(&header, r#""kid":"two""#), claims.clone()),
    ];
    for (header, claims) in cases {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims));
        assert_eq!(house.rejection(&key.sign_message(&message)).await, Some(Rejection::Malformed), "{header} {claims}");
    }
}

#[tokio::test]
async fn the_subject_is_the_claim_that_the_operator_chose() {
    let key = Key::new("one", Algorithm::ES256);
    let set = json!({ "keys": [key.jwk()] });
    let said = with(
        &claims(STATIC_ISSUER),
        &json!({ "oid": "1-2-3", "kubernetes.io": { "serviceaccount": { "name": "builder" }, "a/b~c": ["x"] } }),
    );
    for (claim, expected) in [
        ("oid", Ok("1-2-3")),
        ("/oid", Ok("1-2-3")),
        ("/kubernetes.io/serviceaccount/name", Ok("builder")),
        ("/kubernetes.io/a~1b~0c/0", Ok("x")),
        ("/kubernetes.io/a~1b~0c/1", Err(())),
        ("/kubernetes.io/serviceaccount", Err(())),
        ("/sub/x", Err(())),
        ("kubernetes.io", Err(())),
        ("absent", Err(())),
    ] {
        let house = Static::changed(&set, |provider| provider.subject_claim = claim.into());
        let read = house.verify(&key.sign(&said)).await;
        assert_eq!(read.as_ref().map(|assertion| assertion.subject.as_str()).map_err(|_| ()), expected, "{claim}");
    }
}

/// Nothing of a remembered token is remembered but that its signature was right.
#[tokio::test]
async fn a_remembered_token_ends_with_its_time_its_key_and_its_provider() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Static::of(&[&key, &Key::new("two", Algorithm::ES256)]);
    let token = key.sign(&claims(STATIC_ISSUER));
    let at = |seconds| house.providers.verify(&house.declared, &token, later(seconds));
    at(0).await.expect("verified");
    at(359).await.expect("verified");
    assert_eq!(at(360).await, Err(Rejection::Expired.into()));
    assert_eq!(at(-70).await, Err(Rejection::NotYetValid.into()));

    let mut stricter = (*house.declared[0]).clone();
    stricter.audiences = ["https://other.example.com".into()].into();
    let verified = house.providers.verify(&[Arc::new(stricter)], &token, now()).await;
    assert_eq!(verified, Err(Rejection::Audience.into()));
    assert_eq!(house.providers.verify(&[], &token, now()).await, Err(Rejection::UnknownIssuer.into()));

    at(0).await.expect("verified");
    std::fs::write(&house.path, json!({ "keys": [Key::new("two", Algorithm::ES256).jwk()] }).to_string())
        .expect("written");
    house.providers.keep_fresh(&house.declared, later(60)).await;
    assert_eq!(at(60).await, Err(Rejection::UnknownKey.into()));
}

/// The issuer and its key set may be right: what a registry signed proves nobody's identity.
#[tokio::test]
async fn tokens_that_registries_sign_are_no_identity_tokens() {
    let key = Key::new("one", Algorithm::RS256);
    let house = Static::of(&[&key]);
    let pid =
        crate::policy::credential::PrincipalId::derive(&HashKey::from_bytes([1; 32]), "principal", &[]).to_string();
    for grant_type in ["access_token", "refresh_token", "for_upstream"] {
        let own = json!({ "grant_type": grant_type, "pid": pid, "version": "1.0" });
        let token = key.sign(&with(&claims(STATIC_ISSUER), &own));
        assert_eq!(house.rejection(&token).await, Some(Rejection::OwnToken), "{grant_type}");
    }
    let other = key.sign(&with(&claims(STATIC_ISSUER), &json!({ "grant_type": "password", "pid": "7" })));
    assert_eq!(house.rejection(&other).await, None, "a provider may have claims of these names");
}

#[tokio::test]
async fn our_own_tokens_are_refused_as_they_are() {
    use crate::auth::access_token::{AccessClaims, AccessTokens};
    use crate::policy::credential::PrincipalId;

    let ring = crate::auth::signed_token::forge::keys(crate::auth::keys::SigningAlgorithm::Es256);
    let claims = AccessClaims {
        subject: "alice".to_owned(),
        audience: AUDIENCE.to_owned(),
        principal: PrincipalId::derive(ring.hash_key(), "subject", &[]),
        credential: None,
        access: Vec::new(),
        identity: None,
    };
    // Even where the provider has our issuer and publishes our keys.
    let token = AccessTokens::new(Arc::clone(&ring), STATIC_ISSUER).mint(claims, now()).await.expect("minted").token;
    let house = Static::new(&serde_json::from_str(&ring.jwks(now()).to_string()).expect("json"));
    assert_eq!(house.rejection(&token).await, Some(Rejection::OwnToken));
}
