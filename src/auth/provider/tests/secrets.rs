//! Secrets that a provider verifies: what is remembered of its answers, how often it is asked, and what is no answer.

use base64::engine::general_purpose::STANDARD;

use super::*;

const CLIENT: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
const WRONG: &str = r#"{"error":"invalid_client"}"#;

struct House {
    issuer: Issuer,
    providers: Arc<Providers>,
    declared: Vec<Arc<IdentityProvider>>,
}

impl House {
    /// A provider that gives `token` for the secret `right`.
    async fn new(key: &Key) -> Self {
        let issuer = Issuer::start(&[key]).await;
        let mut declared = issuer.provider();
        declared.client_credentials.resource = Some("seawall".into());
        let house = Self { issuer, providers: Arc::new(all()), declared: vec![Arc::new(declared)] };
        house.publish(key, house.gives(key, &json!({}), "right"));
        house
    }

    /// It answers so at its token endpoint.
    fn publish(&self, key: &Key, token: impl Fn(&str) -> Reply + Send + 'static) {
        self.publish_at(key, &format!("{}/token", self.issuer.url), token);
    }

    fn publish_at(&self, key: &Key, endpoint: &str, token: impl Fn(&str) -> Reply + Send + 'static) {
        let url = &self.issuer.url;
        let document =
            json!({ "issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": endpoint }).to_string();
        let keys = json!({ "keys": [key.jwk()] }).to_string();
        self.issuer.behave(move |asked| match asked {
            "/.well-known/openid-configuration" => Reply::Json(document.clone()),
            "/keys" => Reply::Json(keys.clone()),
            _ => token(asked),
        });
    }

    /// A token with these claims for one secret of [`CLIENT`], and for no other.
    fn gives(&self, key: &Key, changes: &Value, secret: &'static str) -> impl Fn(&str) -> Reply + Send + use<> {
        let claims = with(&self.issuer.claims(), &json!({ "sub": CLIENT, "exp": now().as_second() + 3600 }));
        let token = key.sign(&with(&claims, changes));
        let answer = json!({ "access_token": token.expose(), "token_type": "Bearer" }).to_string();
        let expected = format!(
            "/token\nBasic {}\ngrant_type=client_credentials&resource=seawall",
            STANDARD.encode(format!("{CLIENT}:{secret}"))
        );
        move |asked| if asked == expected { Reply::Json(answer.clone()) } else { status("401 Unauthorized", WRONG) }
    }

    async fn of(&self, client_id: &str, secret: &str, seconds: i64) -> Result<String, SecretFailure> {
        let presented = PresentedSecret { provider: &self.declared[0], client_id, secret: &Secret::new(secret) };
        let said = self.providers.verify_secret(&self.declared, presented, later(seconds)).await?;
        Ok(said.subject.clone())
    }

    async fn verify(&self, secret: &str, seconds: i64) -> Result<String, SecretFailure> {
        self.of(CLIENT, secret, seconds).await
    }

    fn questions(&self) -> usize {
        self.issuer.asked.lock().expect("a lock").iter().filter(|asked| asked.starts_with("/token\n")).count()
    }
}

fn status(line: &str, body: &str) -> Reply {
    Reply::Raw(format!("HTTP/1.1 {line}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))
}

#[expect(clippy::unnecessary_wraps, reason = "what a right secret is answered with")]
fn right() -> Result<String, SecretFailure> {
    Ok(CLIENT.to_owned())
}

fn es256() -> Key {
    Key::new("one", Algorithm::ES256)
}

#[tokio::test]
async fn a_right_secret_is_asked_about_every_five_minutes_and_then_refused_if_it_was_revoked() {
    let key = es256();
    let house = House::new(&key).await;
    for seconds in [0, 1, 299] {
        assert_eq!(house.verify("right", seconds).await, right());
    }
    assert_eq!((house.questions(), house.issuer.requests("/.well-known/openid-configuration")), (1, 2), "keys, tokens");
    house.publish(&key, |_| status("401 Unauthorized", WRONG));
    assert_eq!(house.verify("right", 299).await, right(), "it is remembered");
    assert_eq!(house.verify("right", 300).await, Err(SecretFailure::Wrong));
    assert_eq!(house.verify("right", 1).await, Err(SecretFailure::Wrong), "and never again by the clock of another");
}

/// Its own life and its key end it sooner.
#[tokio::test]
async fn what_is_remembered_ends_with_the_token_and_with_its_key() {
    let (key, other) = (es256(), Key::new("other", Algorithm::ES256));
    let house = House::new(&key).await;
    house.publish(&key, house.gives(&key, &json!({ "exp": now().as_second() + 30 }), "right"));
    assert_eq!((house.verify("right", 0).await, house.verify("right", 89).await), (right(), right()));
    house.publish(&key, house.gives(&key, &json!({}), "right"));
    assert_eq!(house.verify("right", 90).await, right(), "a new token");
    assert_eq!(house.questions(), 2);
    house.publish(&other, house.gives(&other, &json!({}), "right"));
    house.providers.keep_fresh(&house.declared, later(2000)).await;
    assert_eq!((house.verify("right", 91).await, house.questions()), (right(), 3));
    // A provider that is declared otherwise is asked again.
    let mut changed = IdentityProvider::clone(&house.declared[0]);
    changed.audiences = ["other".into()].into();
    let house = House { declared: vec![Arc::new(changed)], ..house };
    assert_eq!(house.verify("right", 92).await, Err(ProviderFailure::from(Rejection::Audience).into()));
}

#[tokio::test]
async fn a_wrong_secret_is_asked_about_once_in_ten_seconds_and_hides_no_right_one() {
    let key = es256();
    let house = House::new(&key).await;
    for seconds in [0, 1, 9] {
        assert_eq!(house.verify("wrong", seconds).await, Err(SecretFailure::Wrong));
    }
    assert_eq!((house.questions(), house.verify("right", 9).await), (1, right()));
    assert_eq!((house.verify("wrong", 10).await, house.questions()), (Err(SecretFailure::Wrong), 3));
    house.publish(&key, house.gives(&key, &json!({}), "wrong"));
    assert_eq!(house.verify("wrong", 19).await, Err(SecretFailure::Wrong), "nobody knows yet");
    assert_eq!(house.verify("wrong", 20).await, right());
    // Not even asked about.
    let questions = house.questions();
    assert_eq!(house.verify("", 30).await, Err(SecretFailure::Wrong));
    assert_eq!(house.verify(&"x".repeat(5000), 30).await, Err(SecretFailure::Wrong));
    assert_eq!(house.questions(), questions);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_questions_at_the_same_time_are_one() {
    for (secret, expected) in [("right", right()), ("wrong", Err(SecretFailure::Wrong))] {
        let house = Arc::new(House::new(&es256()).await);
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move { house.verify(secret, 0).await })
            })
            .collect();
        for one in waiting {
            assert_eq!(one.await.expect("joined"), expected);
        }
        assert_eq!(house.questions(), 1, "{secret}");
    }
}

/// Threat class R: neither another client nor another provider has what one has.
#[tokio::test]
async fn what_is_remembered_is_of_one_client_of_one_provider() {
    let key = es256();
    let (house, other) = (House::new(&key).await, House::new(&key).await);
    assert_eq!(house.verify("right", 0).await, right());
    assert_eq!(house.of("7d0f4a3e-5f0b-4c1e-9a51-2f6d0a1b2c3d", "right", 0).await, Err(SecretFailure::Wrong));
    other.publish(&key, |_| status("401 Unauthorized", WRONG));
    let both = House { providers: Arc::clone(&house.providers), ..other };
    assert_eq!(both.verify("right", 0).await, Err(SecretFailure::Wrong));
}

/// Threat class S: what is no answer is neither a permission nor a wrong password, and is asked again soon.
#[tokio::test]
async fn what_does_not_decide_is_unavailable() {
    let key = es256();
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let replies: [Reply; 12] = [
        Reply::Close,
        Reply::Endless,
        Reply::Raw(redirect.to_owned()),
        Reply::Json("<html>".to_owned()),
        Reply::Json("{}".to_owned()),
        Reply::Json(r#"{"access_token":7}"#.to_owned()),
        status("500 Internal Server Error", WRONG),
        status("503 Service Unavailable", ""),
        status("404 Not Found", WRONG),
        status("429 Too Many Requests", WRONG),
        status("403 Forbidden", r#"{"error":"access_denied"}"#),
        status("400 Bad Request", r#"{"error":"invalid_scope"}"#),
    ];
    for reply in replies {
        let house = House::new(&key).await;
        house.publish(&key, move |_| reply.clone());
        let undecided = house.verify("right", 0).await;
        let is_undecided = |found: &Result<_, _>| matches!(found, Err(SecretFailure::Provider(ProviderFailure::Unavailable { cause, .. })) if !cause.contains("right"));
        assert!(is_undecided(&undecided), "{undecided:?}");
        assert!(is_undecided(&house.verify("right", 1).await) && house.questions() == 1, "remembered for a moment");
        house.publish(&key, house.gives(&key, &json!({}), "right"));
        assert_eq!(house.verify("right", 2).await, right());
    }
    for (line, body) in [
        ("401 Unauthorized", ""),
        ("401 Unauthorized", r#"{"error":"unauthorized_client"}"#),
        ("400 Bad Request", WRONG),
        ("400 Bad Request", r#"{"error":"unauthorized_client"}"#),
    ] {
        let house = House::new(&key).await;
        house.publish(&key, move |_| status(line, body));
        assert_eq!(house.verify("right", 0).await, Err(SecretFailure::Wrong), "{line} {body}");
    }
}

/// A secret goes nowhere but to the token endpoint, by the rules that hold for keys.
#[tokio::test]
async fn the_token_endpoint_is_where_keys_could_be() {
    let key = es256();
    for endpoint in ["http://example.com/token", "https://user@example.com/token", "file:///token", "", "/token"] {
        let house = House::new(&key).await;
        house.publish_at(&key, endpoint, |_| Reply::Close);
        let found = house.verify("right", 0).await;
        assert!(matches!(&found, Err(SecretFailure::Provider(ProviderFailure::Unavailable { .. }))), "{found:?}");
        assert_eq!(house.questions(), 0);
    }
}

/// The token that comes back is looked at like any other, and must be the provider's own.
#[tokio::test]
async fn a_token_that_proves_nothing_is_refused() {
    let key = es256();
    let house = House::new(&key).await;
    for (seconds, changes, rejection) in [
        (0, json!({ "aud": "other" }), Rejection::Audience),
        (10, json!({ "exp": now().as_second() - 60 }), Rejection::Expired),
        (20, json!({ "iss": "https://elsewhere.example.com" }), Rejection::UnknownIssuer),
    ] {
        house.publish(&key, house.gives(&key, &changes, "right"));
        let expected = Err(ProviderFailure::from(rejection).into());
        assert_eq!(house.verify("right", seconds).await, expected);
        assert_eq!(house.verify("right", seconds + 9).await, expected, "remembered");
    }
    assert_eq!(house.questions(), 3);
    let opaque = json!({ "access_token": "opaque" }).to_string();
    house.publish(&key, move |_| Reply::Json(opaque.clone()));
    assert_eq!(house.verify("right", 30).await, Err(ProviderFailure::from(Rejection::Malformed).into()));
    // Another declared provider's token, though it is good by itself.
    let other = House::new(&key).await;
    let claims = json!({ "iss": other.issuer.url });
    house.publish(&key, house.gives(&key, &claims, "right"));
    let stranger = IdentityProvider { name: "stranger".into(), ..IdentityProvider::clone(&other.declared[0]) };
    let house = House { declared: vec![Arc::clone(&house.declared[0]), Arc::new(stranger)], ..house };
    assert_eq!(house.verify("right", 40).await, Err(ProviderFailure::from(Rejection::UnknownIssuer).into()));
}

/// Threat class T: guesses wait for nobody, and stop no other client.
#[tokio::test]
async fn of_one_client_a_few_secrets_are_asked_about_at_a_time() {
    let key = es256();
    let house = Arc::new(House::new(&key).await);
    house.publish(&key, |_| Reply::Hang);
    let guesses: Vec<_> = (0..4)
        .map(|number| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.verify(&format!("guess {number}"), 0).await })
        })
        .collect();
    while house.questions() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.verify("right", 0).await, Err(SecretFailure::Busy));
    house.publish(&key, house.gives(&key, &json!({}), "right"));
    assert_eq!(house.verify("right", 0).await, Err(SecretFailure::Busy));
    let another = house.of("7d0f4a3e-5f0b-4c1e-9a51-2f6d0a1b2c3d", "right", 0).await;
    assert_eq!(another, Err(SecretFailure::Wrong), "it is asked about");
    for guess in guesses {
        guess.abort();
        let _ = guess.await;
    }
    assert_eq!(house.verify("right", 0).await, right());
}
