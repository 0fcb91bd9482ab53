use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::address::RegistryAddress;
use super::exchange::{Credential, ExchangeError, access_token, exchange};
use super::http::Http;
use super::provider::{Application, Provider, ProviderError};
use crate::clock::SystemClock;
use crate::oci::Scope;
use crate::secret::Secret;

/// A server that answers as it is told, and knows what it was asked.
pub(super) struct Server {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` makes status, header lines and body of the request line and the body; `HERE` in them is its own address.
    pub(super) async fn start(answer: impl Fn(&str, &str) -> (u16, String, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, own) = (Arc::clone(&asked), address.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (line, body) = read(&mut stream).await;
                let (status, headers, text) = answer(&line, &body);
                log.lock().unwrap().push(format!("{line} {body}"));
                let (headers, text) = (headers.replace("HERE", &own), text.replace("HERE", &own));
                let length = text.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
                stream.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn registry(&self) -> RegistryAddress {
        RegistryAddress::parse(&format!("http://{}", self.address)).unwrap()
    }
}

/// Method and path, and the body.
async fn read(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let line = head.lines().next().unwrap().rsplit_once(' ').unwrap().0.to_owned();
    (line, String::from_utf8(body).unwrap())
}

fn challenged(challenge: &str) -> (u16, String, String) {
    (401, format!("www-authenticate: {challenge}\r\n"), String::new())
}

/// Threat class S: a registry that wants a provider's token for somebody else gets nothing sent anywhere.
#[tokio::test]
async fn a_provider_s_token_goes_to_the_registry_itself_only() {
    let http = Http::new(None).unwrap();
    for challenge in [
        r#"Bearer realm="https://evil.test/oauth2/token",service="r""#,
        r#"Bearer realm="http://evil.test/oauth2/token",service="r""#,
        r#"Bearer realm="http://127.0.0.1:1/oauth2/token",service="r""#,
        r#"Bearer realm="https://HERE/oauth2/token",service="r""#,
        r#"Bearer realm="http://user:pass@HERE/oauth2/token",service="r""#,
        r#"Bearer realm="/oauth2/token",service="r""#,
        r#"Bearer realm="file:///etc/passwd",service="r""#,
    ] {
        let server = Server::start(move |_, _| challenged(challenge)).await;
        let refused = exchange(&http, &server.registry(), &Secret::new("provided")).await.unwrap_err();
        assert!(matches!(refused, ExchangeError::Elsewhere { .. }), "{challenge}: {refused}");
        assert_eq!(server.asked(), ["get /v2/ "], "{challenge}");
    }
}

#[tokio::test]
async fn what_is_no_exchange_gives_no_token() {
    let http = Http::new(None).unwrap();
    let table: [(&str, u16, &str, &str); 6] = [
        (r#"Basic realm="x""#, 200, "", "does not exchange tokens"),
        (r#"Bearer realm="http://HERE/oauth2/token""#, 404, "", "does not exchange tokens"),
        (r#"Bearer realm="http://HERE/oauth2/token""#, 307, "location: http://HERE/elsewhere\r\n", "answered 307"),
        (r#"Bearer realm="http://HERE/oauth2/token""#, 200, "", "there is no token"),
        (r#"Bearer realm="http://HERE/oauth2/token""#, 401, "", "does not accept the credential"),
        (r#"Bearer realm="http://HERE/oauth2/token""#, 403, "", "does not admit this machine"),
    ];
    for (challenge, status, headers, expected) in table {
        let answer = move |line: &str, _: &str| match line {
            "get /v2/" => challenged(challenge),
            _ => (status, headers.to_owned(), "{\"refresh_token\":\"\"}".to_owned()),
        };
        let server = Server::start(answer).await;
        let refused = exchange(&http, &server.registry(), &Secret::new("provided")).await.unwrap_err().to_string();
        assert!(refused.contains(expected) && !refused.contains("provided"), "{challenge} {status}: {refused}");
        assert!(server.asked().len() <= 2, "no redirect is followed: {:?}", server.asked());
    }
}

#[tokio::test]
async fn each_credential_is_sent_in_its_own_way() {
    let http = Http::new(None).unwrap();
    let server = Server::start(|line, _| match line {
        "get /v2/" => challenged(r#"Bearer realm="http://HERE/token?x=1",service="s v""#),
        _ => (200, String::new(), "{\"access_token\":\"given\",\"expires_in\":300}".to_owned()),
    })
    .await;
    let scopes = [Scope::new("repository", "a/b", ["pull"])];
    for credential in [
        Credential::None,
        Credential::Password { user: "u".to_owned(), password: Secret::new("p") },
        Credential::RefreshToken(Secret::new("r&t")),
    ] {
        let access = access_token(&http, &server.registry(), &credential, &scopes).await.unwrap();
        assert_eq!(access.authorization.header().unwrap(), "Bearer given");
        assert_eq!(access.life.unwrap().as_secs(), 300);
    }
    let query = "get /token?x=1&service=s+v&scope=repository%3aa%2fb%3apull ";
    let form =
        "grant_type=refresh_token&client_id=seawall&refresh_token=r%26t&service=s+v&scope=repository%3Aa%2Fb%3Apull";
    let asked: Vec<_> = server.asked().into_iter().filter(|line| line != "get /v2/ ").collect();
    assert_eq!(asked, [query, query, &format!("post /token?x=1 {form}")]);

    // A refresh token is not what Basic asks for, and nothing is sent.
    let server = Server::start(|_, _| challenged(r#"Basic realm="x""#)).await;
    let refresh = Credential::RefreshToken(Secret::new("r"));
    let refused = access_token(&http, &server.registry(), &refresh, &[]).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Refused { .. }), "{refused}");
    assert_eq!(server.asked().len(), 1);
}

fn application(issuer: &str) -> Application {
    let (issuer, client_id) = (issuer.to_owned(), "cli".to_owned());
    Application {
        issuer,
        client_id,
        scopes: vec!["openid".to_owned()],
        audience: None,
        resource: Some("res".to_owned()),
    }
}

#[tokio::test]
async fn a_provider_is_what_it_says_and_stays_where_it_is() {
    let http = Http::new(None).unwrap();
    for (document, expected) in [
        (r#"{"issuer":"http://HERE/","token_endpoint":"http://HERE/token"}"#, "is of the issuer"),
        (r#"{"issuer":"https://corp.example","token_endpoint":"http://HERE/token"}"#, "is of the issuer"),
        (r#"{"issuer":"http://HERE","token_endpoint":"http://evil.test/token"}"#, "names no token endpoint"),
        (r#"{"issuer":"http://HERE"}"#, "names no token endpoint"),
        ("[]", "is of the issuer"),
    ] {
        let server = Server::start(move |_, _| (200, String::new(), document.to_owned())).await;
        let refused = Provider::discover(&http, &format!("http://{}", server.address)).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{document}: {refused}");
    }
    let elsewhere = Provider::discover(&http, "http://corp.example").await.unwrap_err();
    assert!(matches!(elsewhere, ProviderError::Http(_)), "{elsewhere}");
}

#[tokio::test]
async fn a_person_is_waited_for_and_a_sign_in_ends() {
    let http = Http::new(None).unwrap();
    let polls = Mutex::new(0);
    let server = Server::start(move |line, body| {
        let json = |status, text: &str| (status, String::new(), text.to_owned());
        match line {
            "get /.well-known/openid-configuration" => json(
                200,
                r#"{"issuer":"http://HERE","token_endpoint":"http://HERE/token","device_authorization_endpoint":"http://HERE/device"}"#,
            ),
            "post /device" => json(
                200,
                r#"{"device_code":"d","user_code":"A\u001bB","verification_uri":"http://HERE/go","expires_in":60,"interval":1}"#,
            ),
            _ if body.contains("refresh_token=ended") => json(400, r#"{"error":"invalid_grant"}"#),
            _ if body.contains("refresh_token=good") => json(200, r#"{"access_token":"a.b.c","expires_in":60}"#),
            _ => {
                *polls.lock().unwrap() += 1;
                match *polls.lock().unwrap() {
                    1 => json(400, r#"{"error":"authorization_pending"}"#),
                    _ => json(400, r#"{"error":"access_denied"}"#),
                }
            }
        }
    })
    .await;
    let issuer = format!("http://{}", server.address);
    let provider = Provider::discover(&http, &issuer).await.unwrap();
    let mut shown = String::new();
    let show = |asked: &super::provider::DeviceAuthorization| shown.clone_from(&asked.user_code);
    let refused = provider.sign_in(&http, &application(&issuer), &SystemClock, show).await.unwrap_err();
    assert_eq!(refused, ProviderError::Denied);
    assert_eq!(shown, "AB", "what a terminal would obey is left out");
    assert!(server.asked().iter().any(|line| line == "post /device client_id=cli&resource=res&scope=openid"));

    let refresh = |token: &'static str| (Secret::new(token), application(&issuer));
    let (token, application) = refresh("ended");
    let ended = provider.refresh(&http, &application, &token, &SystemClock).await.unwrap_err();
    assert_eq!(ended, ProviderError::Ended);
    let (token, application) = refresh("good");
    let renewed = provider.refresh(&http, &application, &token, &SystemClock).await.unwrap();
    assert_eq!(renewed.refresh_token.unwrap().expose(), "good", "without a new one the old one stays");
}
