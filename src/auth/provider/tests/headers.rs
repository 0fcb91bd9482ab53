//! What the header says: the algorithm, the key, and what the token is (threat class G).

use super::*;

#[tokio::test]
async fn every_algorithm_that_is_declared_is_verified_and_no_other() {
    let kinds = [
        (Algorithm::RS256, ProviderAlgorithm::Rs256),
        (Algorithm::RS512, ProviderAlgorithm::Rs512),
        (Algorithm::PS256, ProviderAlgorithm::Ps256),
        (Algorithm::ES256, ProviderAlgorithm::Es256),
        (Algorithm::ES384, ProviderAlgorithm::Es384),
        (Algorithm::EdDSA, ProviderAlgorithm::EdDsa),
    ];
    for (algorithm, declared) in kinds {
        let key = Key::new("one", algorithm);
        let set = json!({ "keys": [key.jwk()] });
        let token = key.sign(&claims(STATIC_ISSUER));
        let only = |list: &[ProviderAlgorithm]| {
            let list = list.into();
            Static::changed(&set, |provider| provider.algorithms = list)
        };
        assert_eq!(only(&[declared]).rejection(&token).await, None, "{algorithm:?}");
        let others: Vec<_> = kinds.iter().map(|kind| kind.1).filter(|other| *other != declared).collect();
        assert_eq!(only(&others).rejection(&token).await, Some(Rejection::Algorithm), "{algorithm:?}");
    }
}

#[tokio::test]
async fn nothing_is_accepted_unsigned_or_signed_with_what_everybody_knows() {
    let key = Key::new("one", Algorithm::RS256);
    let jwk = key.jwk();
    let house = Static::of(&[&key]);
    let said = claims(STATIC_ISSUER);
    for algorithm in ["none", "None", "NONE", "nOnE", "", "HS256", "rs256", "RS256 ", "ES512", "RSA-OAEP", "dir"] {
        let message = unsigned(&with(&key.header(), &json!({ "alg": algorithm })), &said);
        for signature in ["", "AAAA"] {
            let token = Secret::new(format!("{message}.{signature}"));
            assert_eq!(house.rejection(&token).await, Some(Rejection::Algorithm), "{algorithm:?}");
        }
    }
    // The public key as a secret, in each form that a confused verifier might have it in.
    let secrets = [jwk.to_string(), jwk["n"].as_str().expect("a text").to_owned(), house_text(&house)];
    for secret in secrets {
        for (algorithm, name) in [(Algorithm::HS256, "HS256"), (Algorithm::HS256, "RS256")] {
            let message = unsigned(&with(&key.header(), &json!({ "alg": name })), &said);
            let hmac = EncodingKey::from_secret(secret.as_bytes());
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &hmac, algorithm).expect("signed");
            let found = house.rejection(&Secret::new(format!("{message}.{signature}"))).await;
            assert!(matches!(found, Some(Rejection::Algorithm | Rejection::Signature)), "{name} {found:?}");
        }
    }
}

fn house_text(house: &Static) -> String {
    std::fs::read_to_string(&house.path).expect("read")
}

/// A key is for what it is, and for what its set says, whatever the token and the operator's list say.
#[tokio::test]
async fn a_key_verifies_by_its_own_algorithm_only() {
    let (rsa, ec) = (Key::new("rsa", Algorithm::RS256), Key::new("ec", Algorithm::ES256));
    let house = Static::of(&[&rsa, &ec]);
    let said = claims(STATIC_ISSUER);
    let confused = rsa.sign_as(&json!({ "alg": "RS256", "kid": "ec" }), &said);
    assert_eq!(house.rejection(&confused).await, Some(Rejection::Algorithm));
    let confused = ec.sign_as(&json!({ "alg": "RS256", "kid": "rsa" }), &said);
    assert_eq!(house.rejection(&confused).await, Some(Rejection::Signature));

    // RS256 and PS256 are both declared; the set says that the key is for RS256.
    let pss = Key { name: "rsa", algorithm: Algorithm::PS256, signing: rsa.signing.clone(), public: Vec::new() };
    let both = |set: Value| {
        Static::changed(&set, |provider| {
            provider.algorithms = [ProviderAlgorithm::Rs256, ProviderAlgorithm::Ps256].into();
        })
    };
    let set = both(json!({ "keys": [rsa.jwk()] }));
    assert_eq!(set.rejection(&pss.sign(&said)).await, Some(Rejection::Algorithm));
    let set = both(json!({ "keys": [with(&rsa.jwk(), &json!({ "alg": null }))] }));
    assert_eq!(set.rejection(&pss.sign(&said)).await, None);
}

#[tokio::test]
async fn only_a_named_key_of_the_same_provider_counts() {
    let (first, second) = (Key::new("one", Algorithm::ES256), Key::new("two", Algorithm::ES256));
    let foreign = Key::new("foreign", Algorithm::ES256);
    let house = Static::of(&[&first, &second]);
    let said = claims(STATIC_ISSUER);
    let cases = [
        (first.sign(&said), None),
        (second.sign(&said), None),
        (first.sign_as(&second.header(), &said), Some(Rejection::Signature)),
        (first.sign_as(&json!({ "alg": "ES256" }), &said), Some(Rejection::KeyNotNamed)),
        (first.sign_as(&json!({ "alg": "ES256", "kid": "" }), &said), Some(Rejection::UnknownKey)),
        (first.sign_as(&json!({ "alg": "ES256", "kid": "ONE" }), &said), Some(Rejection::UnknownKey)),
        (first.sign_as(&json!({ "alg": "ES256", "kid": 1 }), &said), Some(Rejection::Malformed)),
        (first.sign_as(&json!({ "alg": "ES256", "kid": null }), &said), Some(Rejection::Malformed)),
        (foreign.sign(&said), Some(Rejection::UnknownKey)),
        (foreign.sign_as(&first.header(), &said), Some(Rejection::Signature)),
    ];
    for (at, (token, expected)) in cases.into_iter().enumerate() {
        assert_eq!(house.rejection(&token).await, expected, "{at}");
    }

    // Both providers are known; each key counts for its own.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.json");
    std::fs::write(&path, json!({ "keys": [foreign.jwk()] }).to_string()).expect("written");
    let other = provider("other", "https://other.example.com", ProviderKeys::File(path));
    let both = [Arc::clone(&house.declared[0]), Arc::new(other)];
    let verify = |token| {
        let (house, both) = (&house, &both);
        async move { house.providers.verify(both, &token, now()).await.map(|assertion| assertion.provider.to_string()) }
    };
    assert_eq!(verify(foreign.sign(&claims("https://other.example.com"))).await, Ok("other".to_owned()));
    assert_eq!(verify(foreign.sign(&said)).await, Err(Rejection::UnknownKey.into()));
    assert_eq!(verify(first.sign(&claims("https://other.example.com"))).await, Err(Rejection::UnknownKey.into()));
}

/// A key that comes with the token is nobody's key.
#[tokio::test]
async fn a_key_in_the_token_is_never_used() {
    let (known, own) = (Key::new("one", Algorithm::ES256), Key::new("own", Algorithm::ES256));
    let house = Static::of(&[&known]);
    let said = claims(STATIC_ISSUER);
    for brought in [
        json!({ "jwk": own.jwk() }),
        json!({ "jku": "https://evil.example.com/keys" }),
        json!({ "x5u": "https://evil.example.com/certificate" }),
        json!({ "x5c": ["AAAA"] }),
    ] {
        let by_own_name = own.sign_as(&with(&own.header(), &brought), &said);
        assert_eq!(house.rejection(&by_own_name).await, Some(Rejection::UnknownKey), "{brought}");
        let by_known_name = own.sign_as(&with(&known.header(), &brought), &said);
        assert_eq!(house.rejection(&by_known_name).await, Some(Rejection::Signature), "{brought}");
    }
}

#[tokio::test]
async fn a_token_without_a_key_name_means_the_only_key() {
    let key = Key::new("one", Algorithm::ES256);
    let said = claims(STATIC_ISSUER);
    let token = key.sign_as(&json!({ "alg": "ES256" }), &said);
    assert_eq!(Static::of(&[&key]).rejection(&token).await, None);
    let unnamed = Static::new(&json!({ "keys": [with(&key.jwk(), &json!({ "kid": null }))] }));
    assert_eq!(unnamed.rejection(&token).await, None);
    assert_eq!(unnamed.rejection(&key.sign(&said)).await, Some(Rejection::UnknownKey));
}

#[tokio::test]
async fn what_is_not_for_signatures_in_a_set_is_passed_over() {
    let (good, other) = (Key::new("one", Algorithm::ES256), Key::new("two", Algorithm::ES256));
    let said = claims(STATIC_ISSUER);
    let others = [
        with(&other.jwk(), &json!({ "use": "enc" })),
        with(&other.jwk(), &json!({ "key_ops": ["deriveKey"] })),
        with(&other.jwk(), &json!({ "key_ops": "verify" })),
        with(&other.jwk(), &json!({ "alg": "ECDH-ES" })),
        with(&other.jwk(), &json!({ "alg": "RS256" })),
        with(&other.jwk(), &json!({ "kid": ["two"] })),
        json!({ "kty": "oct", "kid": "two", "k": "AAAA" }),
        json!({ "kty": "EC", "kid": "two" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA", "kid": "two" }),
        json!({ "kty": "future", "kid": "two" }),
        json!(7),
    ];
    for passed_over in others {
        let house = Static::new(&json!({ "keys": [passed_over, good.jwk()] }));
        assert_eq!(house.rejection(&good.sign(&said)).await, None, "{passed_over}");
        assert_eq!(house.rejection(&other.sign(&said)).await, Some(Rejection::UnknownKey), "{passed_over}");
    }
}

/// A short RSA key verifies nothing, even where a provider publishes one.
#[tokio::test]
async fn a_weak_key_verifies_nothing() {
    let n = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let house = Static::new(&json!({ "keys": [{ "kty": "RSA", "n": n, "e": "AQAB", "kid": "one" }] }));
    let message = unsigned(&json!({ "alg": "RS256", "kid": "one" }), &claims(STATIC_ISSUER));
    let token = Secret::new(format!("{message}.{}", "A".repeat(171)));
    assert_eq!(house.rejection(&token).await, Some(Rejection::Signature));
}

#[tokio::test]
async fn what_is_for_another_purpose_is_refused_though_it_is_signed() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Static::of(&[&key]);
    let said = claims(STATIC_ISSUER);
    let cases = [
        (json!({ "typ": null }), None),
        (json!({ "typ": "jwt" }), None),
        (json!({ "typ": "application/JWT" }), None),
        (json!({ "typ": "JOSE" }), None),
        (json!({ "typ": "at+jwt" }), None),
        (json!({ "typ": "logout+jwt" }), Some(Rejection::Type)),
        (json!({ "typ": "secevent+jwt" }), Some(Rejection::Type)),
        (json!({ "typ": "dpop+jwt" }), Some(Rejection::Type)),
        (json!({ "typ": "" }), Some(Rejection::Type)),
        (json!({ "typ": 1 }), Some(Rejection::Type)),
        (json!({ "cty": "JWT" }), Some(Rejection::Type)),
        (json!({ "enc": "A256GCM" }), Some(Rejection::Type)),
        (json!({ "zip": "DEF" }), Some(Rejection::Type)),
        (json!({ "crit": ["exp"] }), Some(Rejection::CriticalExtension)),
        (json!({ "crit": [] }), Some(Rejection::CriticalExtension)),
        (json!({ "crit": ["b64"], "b64": false }), Some(Rejection::CriticalExtension)),
    ];
    for (changes, expected) in cases {
        let token = key.sign_as(&with(&key.header(), &changes), &said);
        assert_eq!(house.rejection(&token).await, expected, "{changes}");
    }
    let mut null = key.header();
    null["crit"] = Value::Null;
    assert_eq!(house.rejection(&key.sign_as(&null, &said)).await, Some(Rejection::CriticalExtension));
}

#[tokio::test]
async fn what_is_no_signed_token_is_malformed() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Static::of(&[&key]);
    let good = key.sign(&claims(STATIC_ISSUER));
    let good = good.expose();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let cases = [
        (String::new(), Rejection::Malformed),
        ("..".to_owned(), Rejection::Malformed),
        ("hunter2".to_owned(), Rejection::Malformed),
        (format!("{header}.{payload}"), Rejection::Malformed),
        (format!("{good}."), Rejection::Malformed),
        (format!("{good}.{signature}.{signature}"), Rejection::Type),
        (format!("{header}.{payload}."), Rejection::Signature),
        (format!("{header}=.{payload}.{signature}"), Rejection::Malformed),
        (format!("{good}="), Rejection::Signature),
        (format!(" {good}"), Rejection::Malformed),
        (format!("{good}\n"), Rejection::Signature),
        (format!("{payload}.{header}.{signature}"), Rejection::Malformed),
        (format!("{header}.W10.{signature}"), Rejection::Malformed),
        (format!("é{good}"), Rejection::Malformed),
        // A token within a token, as a payload.
        (key.sign_message(&format!("{header}.{good}")).expose().to_owned(), Rejection::Type),
        (format!("{good}{}", "A".repeat(MAX_TOKEN_BYTES)), Rejection::TooLarge),
    ];
    for (text, expected) in cases {
        assert_eq!(house.rejection(&Secret::new(text.clone())).await, Some(expected), "{text:.80}");
    }
    let filled = with(&claims(STATIC_ISSUER), &json!({ "padding": "x".repeat(11_500) }));
    let large = key.sign(&filled);
    assert!(large.expose().len() < MAX_TOKEN_BYTES && large.expose().len() > 15_000);
    assert_eq!(house.rejection(&large).await, None);
    let larger = key.sign(&with(&filled, &json!({ "more": "x".repeat(1000) })));
    assert_eq!(house.rejection(&larger).await, Some(Rejection::TooLarge));
}
