//! A provider on loopback that misbehaves on demand, its keys, and tokens that it would or would not sign.

mod claims;
mod fetching;
mod headers;
mod mutations;
mod secrets;

use std::path::PathBuf;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::KeyPair;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::auth::signed_token::forge::{now, unsigned};
use crate::policy::identity::{ProviderAlgorithm, ProviderKeys, TokenRequest};
use crate::policy::origin::Origin;

const AUDIENCE: &str = "https://registry.example.com";

/// A key pair with its name in the provider's set.
struct Key {
    name: &'static str,
    algorithm: Algorithm,
    signing: EncodingKey,
    /// For Ed25519, whose public half the library does not take out of a private key in this form.
    public: Vec<u8>,
}

impl Key {
    fn new(name: &'static str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            _ => &rcgen::PKCS_RSA_SHA256,
        };
        let pair = KeyPair::generate_for(kind).expect("a key pair");
        let pem = pair.serialize_pem();
        let signing = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        Self { name, algorithm, signing: signing.expect("a signing key"), public: pair.public_key_raw().to_vec() }
    }

    fn jwk(&self) -> Value {
        let mut jwk = if self.algorithm == Algorithm::EdDSA {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(&self.public) })
        } else {
            let jwk = Jwk::from_encoding_key(&self.signing, self.algorithm).expect("a public key");
            serde_json::to_value(jwk.algorithm).expect("json")
        };
        for (member, value) in [("kid", json!(self.name)), ("use", json!("sig")), ("alg", json!(self.algorithm))] {
            jwk[member] = value;
        }
        jwk
    }

    fn header(&self) -> Value {
        json!({ "typ": "JWT", "alg": self.algorithm, "kid": self.name })
    }

    /// Any header and any claims, truly signed.
    fn sign_as(&self, header: &Value, claims: &Value) -> Secret {
        self.sign_message(&unsigned(header, claims))
    }

    fn sign_message(&self, message: &str) -> Secret {
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, self.algorithm).expect("signed");
        Secret::new(format!("{message}.{signature}"))
    }

    fn sign(&self, claims: &Value) -> Secret {
        self.sign_as(&self.header(), claims)
    }
}

/// What a provider does with a request.
#[derive(Clone)]
enum Reply {
    Json(String),
    /// A whole answer, as it is written.
    Raw(String),
    /// It hangs up.
    Close,
    /// It never answers.
    Hang,
    /// It never stops answering.
    Endless,
}

type Script = dyn Fn(&str) -> Reply + Send;

/// A provider over HTTP.
struct Issuer {
    url: String,
    script: Arc<Mutex<Box<Script>>>,
    /// The paths that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    /// One that publishes `keys` as it should.
    async fn start(keys: &[&Key]) -> Self {
        Self::serve(keys, None).await
    }

    /// The same with TLS, if there is a way to.
    async fn serve(keys: &[&Key], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(|_| Reply::Close)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let issuer = Self { url, script: Arc::clone(&script), asked: Arc::clone(&asked) };
        issuer.publish(keys);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, asked, tls) = (Arc::clone(&script), Arc::clone(&asked), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, &script, &asked).await;
                            }
                        }
                        None => answer(stream, &script, &asked).await,
                    }
                });
            }
        });
        issuer
    }

    fn behave(&self, script: impl Fn(&str) -> Reply + Send + 'static) {
        *self.script.lock().expect("a lock") = Box::new(script);
    }

    fn publish(&self, keys: &[&Key]) {
        let set = json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string();
        let document = self.document(&format!("{}/keys", self.url));
        self.behave(move |path| match path {
            "/.well-known/openid-configuration" => Reply::Json(document.clone()),
            "/keys" => Reply::Json(set.clone()),
            _ => Reply::Close,
        });
    }

    fn document(&self, keys: &str) -> String {
        json!({ "issuer": self.url, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["none", "HS256"] })
            .to_string()
    }

    fn requests(&self, path: &str) -> usize {
        self.asked.lock().expect("a lock").iter().filter(|asked| *asked == path).count()
    }

    fn key_requests(&self) -> usize {
        self.requests("/keys")
    }

    fn provider(&self) -> IdentityProvider {
        provider("corp", &self.url, ProviderKeys::Discovery)
    }

    fn claims(&self) -> Value {
        claims(&self.url)
    }
}

impl Reply {
    async fn send(self, stream: &mut (impl AsyncWrite + Unpin)) {
        let text = match self {
            Self::Json(body) => {
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
            }
            Self::Raw(text) => text,
            Self::Close => return,
            Self::Hang => return std::future::pending().await,
            Self::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
                while stream.write_all(&[b' '; 16 * 1024]).await.is_ok() {}
                return;
            }
        };
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &Mutex<Box<Script>>,
    asked: &Mutex<Vec<String>>,
) {
    if let Some(path) = read_head(&mut stream).await {
        asked.lock().expect("a lock").push(path.clone());
        let reply = script.lock().expect("a lock")(&path);
        reply.send(&mut stream).await;
    }
}

/// The path that is asked for; of a request with a body a line each with its credential and the body.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?;
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let Some(length) = field("content-length") else { return Some(path.to_owned()) };
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some([path, field("authorization").unwrap_or_default(), &String::from_utf8(body).ok()?].join("\n"))
}

fn provider(name: &str, issuer: &str, keys: ProviderKeys) -> IdentityProvider {
    IdentityProvider {
        name: name.into(),
        issuer: issuer.into(),
        audiences: [AUDIENCE.into(), "api://seawall".into()].into(),
        algorithms: [ProviderAlgorithm::Rs256, ProviderAlgorithm::Es256].into(),
        keys,
        ca: None,
        clock_skew: Duration::from_mins(1),
        subject_claim: "sub".into(),
        name_claim: None,
        sign_in: None,
        client_credentials: TokenRequest::default(),
        origin: Origin::built_in(),
    }
}

/// Good ones, of an ID token.
fn claims(issuer: &str) -> Value {
    let time = now().as_second();
    json!({
        "iss": issuer, "sub": "alice", "aud": AUDIENCE, "iat": time - 5, "nbf": time - 5, "exp": time + 300,
        "groups": ["a", "b"],
    })
}

/// `base` with `changes`; null takes a member away.
fn with(base: &Value, changes: &Value) -> Value {
    let mut members: Map<String, Value> = base.as_object().expect("an object").clone();
    members.extend(changes.as_object().expect("an object").clone());
    members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
}

fn all() -> Providers {
    Providers::new(HashKey::from_bytes([8; 32]), Arc::new(Metrics::new().expect("metrics")))
}

fn later(seconds: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(seconds)
}

/// A provider whose keys are in a file, so that nothing is asked for.
struct Static {
    _folder: tempfile::TempDir,
    path: PathBuf,
    providers: Providers,
    declared: Vec<Arc<IdentityProvider>>,
}

const STATIC_ISSUER: &str = "https://login.example.com/tenant";

impl Static {
    fn new(set: &Value) -> Self {
        Self::changed(set, |_| {})
    }

    fn changed(set: &Value, change: impl FnOnce(&mut IdentityProvider)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        std::fs::write(&path, set.to_string()).expect("written");
        let mut declared = provider("corp", STATIC_ISSUER, ProviderKeys::File(path.clone()));
        change(&mut declared);
        Self { _folder: folder, path, providers: all(), declared: vec![Arc::new(declared)] }
    }

    fn of(keys: &[&Key]) -> Self {
        Self::new(&json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }))
    }

    async fn verify(&self, token: &Secret) -> Result<Arc<Assertion>, ProviderFailure> {
        self.providers.verify(&self.declared, token, now()).await
    }

    async fn rejection(&self, token: &Secret) -> Option<Rejection> {
        match self.verify(token).await {
            Ok(_) => None,
            Err(ProviderFailure::Rejected(rejection)) => Some(rejection),
            Err(unavailable) => panic!("{unavailable}"),
        }
    }
}
