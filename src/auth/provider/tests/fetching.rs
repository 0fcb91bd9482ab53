//! Keys that come, change, and stay away: how often a provider is asked, and what holds while it does not answer.

use super::*;
use crate::crypto;

type Misbehaviour = Box<dyn Fn(&Issuer)>;

const DISCOVERY: &str = "/.well-known/openid-configuration";

struct House {
    issuer: Issuer,
    providers: Providers,
    declared: Vec<Arc<IdentityProvider>>,
}

impl House {
    async fn new(keys: &[&Key]) -> Self {
        let issuer = Issuer::start(keys).await;
        let declared = vec![Arc::new(issuer.provider())];
        Self { issuer, providers: all(), declared }
    }

    async fn verify(&self, token: &Secret, seconds: i64) -> Result<String, ProviderFailure> {
        let assertion = self.providers.verify(&self.declared, token, later(seconds)).await?;
        Ok(assertion.subject.clone())
    }

    /// A token that is good for a day.
    fn token(&self, key: &Key) -> Secret {
        key.sign(&with(&self.issuer.claims(), &json!({ "exp": now().as_second() + 86_400 })))
    }

    async fn unavailable(&self, token: &Secret, seconds: i64) -> String {
        match self.verify(token, seconds).await {
            Err(ProviderFailure::Unavailable { cause, .. }) => cause,
            decided => panic!("{decided:?}"),
        }
    }

    /// Waits for the refresh that runs in the background.
    async fn settle(&self, requests: usize) {
        while self.issuer.key_requests() < requests {
            tokio::task::yield_now().await;
        }
        self.providers.keep_fresh(&self.declared, later(0)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn metrics(&self) -> String {
        self.providers.metrics.render().expect("rendered")
    }
}

#[tokio::test]
async fn keys_are_found_by_discovery_and_asked_for_once() {
    let key = Key::new("one", Algorithm::ES256);
    let house = House::new(&[&key]).await;
    for subject in 0..20 {
        let token = key.sign(&with(&house.issuer.claims(), &json!({ "sub": format!("user{subject}") })));
        assert_eq!(house.verify(&token, subject).await, Ok(format!("user{subject}")));
    }
    assert_eq!((house.issuer.requests(DISCOVERY), house.issuer.key_requests()), (1, 1));
    assert!(house.metrics().contains("seawall_identity_provider_up{provider=\"corp\"} 1"));
}

#[tokio::test]
async fn many_at_once_ask_for_keys_once() {
    let key = Key::new("one", Algorithm::ES256);
    let house = Arc::new(House::new(&[&key]).await);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (house, token) = (Arc::clone(&house), house.token(&key));
            tokio::spawn(async move { house.verify(&token, 0).await })
        })
        .collect();
    for one in waiting {
        assert_eq!(one.await.expect("joined"), Ok("alice".to_owned()));
    }
    assert_eq!(house.issuer.key_requests(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_the_fetch() {
    let key = Key::new("one", Algorithm::ES256);
    let house = House::new(&[&key]).await;
    let token = house.token(&key);
    let abandoned = tokio::time::timeout(Duration::from_micros(1), house.verify(&token, 0)).await;
    assert!(abandoned.is_err());
    assert_eq!(house.verify(&token, 1).await, Ok("alice".to_owned()), "no pause has begun for the others");
    assert_eq!(house.issuer.key_requests(), 1);
}

#[tokio::test]
async fn keys_may_also_be_at_a_declared_url() {
    let key = Key::new("one", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let declared = provider("k8s", STATIC_ISSUER, ProviderKeys::Url(format!("{}/keys", issuer.url).into()));
    let verified = all().verify(&[Arc::new(declared)], &key.sign(&claims(STATIC_ISSUER)), now()).await;
    assert_eq!(verified.expect("verified").subject, "alice");
    assert_eq!((issuer.requests(DISCOVERY), issuer.key_requests()), (0, 1));
}

#[tokio::test]
async fn a_new_key_is_found_by_one_refresh_and_an_old_one_ends_with_it() {
    let (old, new) = (Key::new("old", Algorithm::ES256), Key::new("new", Algorithm::RS256));
    let house = House::new(&[&old]).await;
    let (by_old, by_new) = (house.token(&old), house.token(&new));
    assert_eq!(house.verify(&by_old, 0).await, Ok("alice".to_owned()));
    house.issuer.publish(&[&old, &new]);
    assert_eq!(house.verify(&by_new, 5).await, Err(Rejection::UnknownKey.into()), "too soon after the last time");
    assert_eq!(house.verify(&by_new, 11).await, Ok("alice".to_owned()));
    assert_eq!(house.verify(&by_old, 11).await, Ok("alice".to_owned()));
    assert_eq!(house.issuer.key_requests(), 2);
    house.issuer.publish(&[&new]);
    assert_eq!(house.verify(&by_old, 12).await, Ok("alice".to_owned()), "nobody knows yet");
    house.providers.keep_fresh(&house.declared, later(11 + 30 * 60)).await;
    assert_eq!(house.verify(&by_old, 11 + 30 * 60).await, Err(Rejection::UnknownKey.into()), "it was remembered");
    assert_eq!(house.verify(&by_new, 11 + 30 * 60).await, Ok("alice".to_owned()));
}

/// Some providers give their only key no name, or every key the same.
#[tokio::test]
async fn a_key_that_is_replaced_under_its_name_is_found_too() {
    let (old, new) = (Key::new("key", Algorithm::ES256), Key::new("key", Algorithm::ES256));
    let house = House::new(&[&old]).await;
    assert_eq!(house.verify(&house.token(&old), 0).await, Ok("alice".to_owned()));
    house.issuer.publish(&[&new]);
    let unnamed = new.sign_as(&json!({ "alg": "ES256" }), &house.issuer.claims());
    assert_eq!(house.verify(&unnamed, 5).await, Err(Rejection::Signature.into()), "too soon after the last time");
    assert_eq!(house.verify(&unnamed, 10).await, Ok("alice".to_owned()));
    assert_eq!(house.verify(&house.token(&new), 10).await, Ok("alice".to_owned()));
    assert_eq!(house.verify(&house.token(&old), 10).await, Err(Rejection::Signature.into()));
    assert_eq!(house.issuer.key_requests(), 2);
}

/// PyJWT's CVE-2026-48524, and a provider that is asked as often as anybody likes.
#[tokio::test]
async fn unknown_keys_neither_flood_the_provider_nor_empty_the_set() {
    let key = Key::new("one", Algorithm::ES256);
    let house = House::new(&[&key]).await;
    assert_eq!(house.verify(&house.token(&key), 0).await, Ok("alice".to_owned()));
    house.issuer.behave(|_| Reply::Json(json!({ "keys": [] }).to_string()));
    for at in 0..300 {
        let header = json!({ "alg": "ES256", "kid": format!("random-{at}") });
        let forged = key.sign_as(&header, &house.issuer.claims());
        // 300 tokens in 30 s.
        assert_eq!(house.verify(&forged, at / 10).await, Err(Rejection::UnknownKey.into()));
    }
    assert_eq!(house.issuer.requests(DISCOVERY), 1 + 2, "after 10 s and after 20 s");
    assert_eq!(house.verify(&house.token(&key), 30).await, Ok("alice".to_owned()));
}

#[tokio::test]
async fn what_is_refused_by_its_claims_asks_for_no_keys() {
    let key = Key::new("one", Algorithm::ES256);
    let house = House::new(&[&key]).await;
    for changes in [json!({ "aud": "other" }), json!({ "exp": 1 }), json!({ "iss": "https://evil.example.com" })] {
        let token = key.sign(&with(&house.issuer.claims(), &changes));
        assert!(matches!(house.verify(&token, 0).await, Err(ProviderFailure::Rejected(_))), "{changes}");
    }
    assert_eq!(house.issuer.requests(DISCOVERY), 0);
}

#[tokio::test]
async fn old_keys_are_used_while_new_ones_are_fetched() {
    let (old, new) = (Key::new("old", Algorithm::ES256), Key::new("new", Algorithm::ES256));
    let house = House::new(&[&old]).await;
    let token = house.token(&old);
    assert_eq!(house.verify(&token, 0).await, Ok("alice".to_owned()));
    house.issuer.behave(|_| Reply::Hang);
    let verified = tokio::time::timeout(Duration::from_secs(2), house.verify(&token, 30 * 60)).await;
    assert_eq!(verified, Ok(Ok("alice".to_owned())), "nobody waits");
    // Another provider object, so that the one above may hang.
    let house = House::new(&[&old]).await;
    let (token, by_new) = (house.token(&old), house.token(&new));
    assert_eq!(house.verify(&token, 0).await, Ok("alice".to_owned()));
    house.issuer.publish(&[&new]);
    assert_eq!(house.verify(&token, 30 * 60).await, Ok("alice".to_owned()));
    house.settle(2).await;
    assert_eq!(house.verify(&by_new, 30 * 60 + 1).await, Ok("alice".to_owned()), "fetched in the background");
    assert_eq!(house.verify(&token, 30 * 60 + 1).await, Err(Rejection::UnknownKey.into()));
}

#[tokio::test]
async fn good_keys_hold_for_as_long_as_the_provider_is_down() {
    let key = Key::new("one", Algorithm::ES256);
    let house = House::new(&[&key]).await;
    let token = house.token(&key);
    assert_eq!(house.verify(&token, 0).await, Ok("alice".to_owned()));
    house.issuer.behave(|_| Reply::Close);
    for hour in 1..20 {
        house.providers.keep_fresh(&house.declared, later(hour * 3600)).await;
        assert_eq!(house.verify(&token, hour * 3600).await, Ok("alice".to_owned()), "{hour}");
    }
    assert!(house.metrics().contains("seawall_identity_provider_up{provider=\"corp\"} 0"));
    house.issuer.publish(&[&key]);
    house.providers.keep_fresh(&house.declared, later(20 * 3600)).await;
    assert!(house.metrics().contains("seawall_identity_provider_up{provider=\"corp\"} 1"));
}

#[tokio::test]
async fn without_keys_nothing_is_decided_until_the_provider_answers() {
    let key = Key::new("one", Algorithm::ES256);
    let house = House::new(&[&key]).await;
    let token = house.token(&key);
    house.issuer.behave(|_| Reply::Close);
    house.unavailable(&token, 0).await;
    let asked = house.issuer.requests(DISCOVERY);
    house.issuer.publish(&[&key]);
    house.unavailable(&token, 9).await;
    assert_eq!(house.issuer.requests(DISCOVERY), asked, "not asked again so soon");
    assert_eq!(house.verify(&token, 10).await, Ok("alice".to_owned()));
    assert!(
        house.metrics().contains("seawall_identity_tokens_refused_total{provider=\"corp\",reason=\"unavailable\"} 2")
    );
}

/// Each of these providers is as good as one that is down.
#[tokio::test]
async fn a_provider_that_misbehaves_has_no_keys() {
    let key = Key::new("one", Algorithm::ES256);
    let set = json!({ "keys": [key.jwk()] }).to_string();
    let elsewhere = Issuer::start(&[&key]).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {}/keys\r\ncontent-length: 0\r\n\r\n", elsewhere.url);
    let error = format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{set}", set.len());
    let huge = with(&json!({ "keys": [key.jwk()] }), &json!({ "padding": "x".repeat(1024 * 1024) })).to_string();
    let doubled = set.replacen('{', "{\"keys\":[],", 1);
    let at_keys = |reply: Reply| -> Misbehaviour {
        Box::new(move |issuer| {
            let (document, reply) = (issuer.document(&format!("{}/keys", issuer.url)), reply.clone());
            issuer.behave(move |path| if path == "/keys" { reply.clone() } else { Reply::Json(document.clone()) });
        })
    };
    let cases: Vec<(&str, Misbehaviour, &str)> = vec![
        ("redirected keys", at_keys(Reply::Raw(redirect.clone())), "302"),
        ("an error with keys", at_keys(Reply::Raw(error)), "500"),
        ("huge keys", at_keys(Reply::Json(huge)), "larger than 1 MiB"),
        ("endless keys", at_keys(Reply::Endless), "larger than 1 MiB"),
        ("no keys", at_keys(Reply::Json(json!({ "keys": [] }).to_string())), "no key"),
        ("keys named twice", at_keys(Reply::Json(doubled)), "twice"),
        ("not JSON", at_keys(Reply::Json("<html>".to_owned())), "not a JSON object"),
        (
            "only a secret",
            at_keys(Reply::Json(json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] }).to_string())),
            "no key",
        ),
        (
            "a redirected document",
            Box::new(move |issuer| {
                let redirect = redirect.clone();
                issuer.behave(move |_| Reply::Raw(redirect.clone()));
            }),
            "302",
        ),
        (
            "another issuer",
            Box::new(|issuer| {
                let document =
                    issuer.document(&format!("{}/keys", issuer.url)).replace(&issuer.url, "https://evil.example.com");
                issuer.behave(move |_| Reply::Json(document.clone()));
            }),
            "of the issuer",
        ),
        (
            "a trailing slash",
            Box::new(|issuer| {
                let stated =
                    json!({ "issuer": format!("{}/", issuer.url), "jwks_uri": format!("{}/keys", issuer.url) });
                issuer.behave(move |_| Reply::Json(stated.to_string()));
            }),
            "of the issuer",
        ),
        (
            "no place of keys",
            Box::new(|issuer| {
                let stated = json!({ "issuer": issuer.url });
                issuer.behave(move |_| Reply::Json(stated.to_string()));
            }),
            "no `jwks_uri`",
        ),
        (
            "keys in clear text over a network",
            Box::new(|issuer| {
                let document = issuer.document("http://192.0.2.1/keys");
                issuer.behave(move |_| Reply::Json(document.clone()));
            }),
            "not an https URL",
        ),
        (
            "keys in a file",
            Box::new(|issuer| {
                let document = issuer.document("file:///etc/passwd");
                issuer.behave(move |_| Reply::Json(document.clone()));
            }),
            "not an https URL",
        ),
        (
            "keys behind a user name",
            Box::new(|issuer| {
                let document = issuer.document(&format!("{}/keys", issuer.url).replace("http://", "http://a:b@"));
                issuer.behave(move |_| Reply::Json(document.clone()));
            }),
            "not an https URL",
        ),
    ];
    for (name, misbehave, expected) in cases {
        let house = House::new(&[&key]).await;
        misbehave(&house.issuer);
        let cause = house.unavailable(&house.token(&key), 0).await;
        assert!(cause.contains(expected), "{name}: {cause}");
        // And what was good before stays.
        house.issuer.publish(&[&key]);
        assert_eq!(house.verify(&house.token(&key), 10).await, Ok("alice".to_owned()), "{name}");
        misbehave(&house.issuer);
        house.providers.keep_fresh(&house.declared, later(3600)).await;
        assert_eq!(house.verify(&house.token(&key), 3600).await, Ok("alice".to_owned()), "{name}");
        assert!(house.metrics().contains("seawall_identity_provider_up{provider=\"corp\"} 0"), "{name}");
    }
    assert_eq!(elsewhere.key_requests(), 0, "no redirect was followed");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_not_waited_for_for_ever() {
    let key = Key::new("one", Algorithm::ES256);
    let hanging = House::new(&[&key]).await;
    hanging.issuer.behave(|_| Reply::Hang);
    let half = House::new(&[&key]).await;
    half.issuer.behave(|_| Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned()));
    let (hanging_token, half_token) = (hanging.token(&key), half.token(&key));
    let both = async { tokio::join!(hanging.unavailable(&hanging_token, 0), half.unavailable(&half_token, 0)) };
    let (cause, _) = tokio::time::timeout(Duration::from_secs(8), both).await.expect("in time");
    assert_eq!(cause.split(": ").last(), Some("it did not answer in time"), "{cause}");
}

#[tokio::test]
async fn an_issuer_in_clear_text_over_a_network_is_not_asked() {
    let key = Key::new("one", Algorithm::ES256);
    for issuer in ["http://192.0.2.1", "ftp://127.0.0.1", "https://user@login.example.com", "login.example.com"] {
        let declared = [Arc::new(provider("corp", issuer, ProviderKeys::Discovery))];
        let verified = all().verify(&declared, &key.sign(&claims(issuer)), now()).await;
        assert!(matches!(verified, Err(ProviderFailure::Unavailable { .. })), "{issuer} {verified:?}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_no_set_of_keys() {
    let key = Key::new("one", Algorithm::ES256);
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large.json");
    std::fs::write(&large, vec![b' '; 1024 * 1024 + 1]).expect("written");
    for path in [folder.path().join("absent.json"), folder.path().to_owned(), large, PathBuf::from("/dev/zero")] {
        let declared = [Arc::new(provider("corp", STATIC_ISSUER, ProviderKeys::File(path.clone())))];
        let verified = all().verify(&declared, &key.sign(&claims(STATIC_ISSUER)), now()).await;
        assert!(matches!(verified, Err(ProviderFailure::Unavailable { .. })), "{path:?} {verified:?}");
    }
}

/// A way to serve TLS, and the PEM file of the only authority that trusts it.
fn tls(folder: &std::path::Path) -> (TlsAcceptor, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let path = folder.join("ca.pem");
    std::fs::write(&path, made.cert.pem()).expect("written");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(crypto::provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    (TlsAcceptor::from(Arc::new(server)), path)
}

#[tokio::test]
async fn a_provider_with_an_authority_of_its_own_is_trusted_by_that_only() {
    let key = Key::new("one", Algorithm::ES256);
    let folder = tempfile::tempdir().expect("a folder");
    let (acceptor, ca) = tls(folder.path());
    let issuer = Issuer::serve(&[&key], Some(acceptor)).await;
    let mut house = House { declared: vec![Arc::new(issuer.provider())], issuer, providers: all() };
    let token = house.token(&key);
    let cause = house.unavailable(&token, 0).await;
    assert!(cause.contains("certificate"), "{cause}");
    assert_eq!(house.issuer.requests(DISCOVERY), 0);
    let with_ca = IdentityProvider { ca: Some(ca), ..house.issuer.provider() };
    house.declared = vec![Arc::new(with_ca)];
    assert_eq!(house.verify(&token, 0).await, Ok("alice".to_owned()), "another authority is another source of keys");

    // From https there is no way down, not even on this machine.
    let plain = Issuer::start(&[&key]).await;
    let document = house.issuer.document(&format!("{}/keys", plain.url));
    house.issuer.behave(move |_| Reply::Json(document.clone()));
    house.providers = all();
    let cause = house.unavailable(&token, 1).await;
    assert!(cause.contains("not an https URL"), "{cause}");
    assert_eq!(plain.key_requests(), 0);
}

#[tokio::test]
async fn an_authority_that_is_not_there_makes_a_provider_unavailable() {
    let key = Key::new("one", Algorithm::ES256);
    let mut house = House::new(&[&key]).await;
    let mut changed = house.issuer.provider();
    changed.ca = Some("/nonexistent/ca.pem".into());
    house.declared = vec![Arc::new(changed)];
    assert!(house.unavailable(&house.token(&key), 0).await.contains("ca.pem"));
}

/// A reload that leaves the provider as it is, or changes what is not about keys, keeps the keys.
#[tokio::test]
async fn a_reload_keeps_the_keys_of_a_provider_that_stays() {
    let key = Key::new("one", Algorithm::ES256);
    let mut house = House::new(&[&key]).await;
    let token = house.token(&key);
    assert_eq!(house.verify(&token, 0).await, Ok("alice".to_owned()));
    let mut changed = house.issuer.provider();
    changed.audiences = [AUDIENCE.into()].into();
    house.declared = vec![Arc::new(changed)];
    house.issuer.behave(|_| Reply::Close);
    assert_eq!(house.verify(&token, 1).await, Ok("alice".to_owned()));
    house.providers.keep_fresh(&[], later(2)).await;
    assert!(!house.metrics().contains("provider_up{"), "forgotten");
    house.unavailable(&token, 3).await;
}
