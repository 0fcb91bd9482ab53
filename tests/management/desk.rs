//! A management API for one test: a file with two registries, an empty store, a clock that the test moves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use jsonwebtoken::EncodingKey;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, StatusCode};
use seawall::auth::Authenticator;
use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm, parse_hash_key, random_key};
use seawall::auth::password::generate_password;
use seawall::clock::{Clock, ManualClock};
use seawall::config::{self, Reading};
use seawall::current::Current;
use seawall::management::key_records::{self, HASH_KEY, MANAGEMENT_KEY};
use seawall::management::{Api, Connection, OwnerCredential, Parts, Settings};
use seawall::policy::tier::Tier;
use seawall::policy::{Principal, Registry};
use seawall::provider::feed::{Feed, FeedEvents};
use seawall::provider::reader::Draft;
use seawall::provider::{Applied, Described, PolicyProvider, Refused};
use seawall::secret::{EncryptionKey, HashKey, Secret};
use seawall::store::{self, KeyPurpose, Store, StoreError, StoreUrl, StoredKey, Unreadable, Write};
use seawall::telemetry::audit::{AuditLog, AuditSink};
use seawall::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::outages::Moody;

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: i64 = 1_800_000_000;
/// `NOW` as ARM writes it.
pub(crate) const NOW_TEXT: &str = "2027-01-15T08:00:00.000000+00:00";
pub(crate) const REGISTRY: &str =
    "/subscriptions/sub/resourceGroups/group/providers/Microsoft.ContainerRegistry/registries/myregistry";

const FILE: &str = "version: 1
listeners: [ { name: public, address: 127.0.0.1:8443 } ]
registries:
  myregistry:
    loginServer: registry.example.com
    externalUrl: https://registry.example.com
    upstream: { url: http://127.0.0.1:5000 }
    anonymousPullEnabled: false
    networkRuleSet: { defaultAction: Deny }
    scopeMaps:
      declared-map: { repositories: { declared/app: [content/read] } }
    tokens:
      declared-token: { scopeMap: declared-map }
  other1:
    loginServer: other.example.com
    externalUrl: https://other.example.com
    dataEndpoints: [ { region: eu, host: eu.other.example.com }, { region: us, host: us.other.example.com } ]
    upstream: { url: http://127.0.0.1:5000 }
    adminUserEnabled: true
    admin: { passwords: [ { name: password, hash: \"$2y$04$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u\" } ] }
";

pub(crate) struct Desk {
    pub(crate) store: Arc<Moody>,
    pub(crate) current: Arc<Current>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) owner: Secret,
    pub(crate) url: String,
    pub(crate) hash_key: HashKey,
    /// By which the identity provider `corp` signs, where a file declares it.
    pub(crate) provider: EncodingKey,
    client: reqwest::Client,
    api: Api,
    audit: AuditLog,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answered {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self.body
    }

    /// The code, the message and the target of an error.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> (String, Option<String>) {
        let body = self.expect(status);
        assert_eq!(body["error"]["code"], code, "{body:#}");
        let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
        (text("message").unwrap(), text("target"))
    }
}

impl Desk {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(enforced_tier: Option<Tier>) -> Self {
        Self::start_saying("", enforced_tier).await
    }

    /// The file says this too; `KEYS` in it is the JWK set of `provider`.
    pub(crate) async fn start_saying(further: &str, enforced_tier: Option<Tier>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seawall.yaml");
        let theirs = KeyMaterial::generate(SigningAlgorithm::Es256, ManualClock::at(NOW).now()).unwrap();
        let provider = EncodingKey::from_ec_pem(theirs.private_key_pem.expose().as_bytes()).unwrap();
        let jwks = folder.path().join("keys.json");
        let ring = Keyring::new(&[theirs], HashKey::from_bytes([1; 32])).unwrap();
        std::fs::write(&jwks, ring.jwks(ManualClock::at(NOW).now()).to_string()).unwrap();
        std::fs::write(&file, format!("{FILE}{}", further.replace("KEYS", jwks.to_str().unwrap()))).unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("store/seawall.db"));
        let store = Arc::new(Moody::over(store::open(&store::Settings::at(url)).await.unwrap()));
        let clock = Arc::new(ManualClock::at(NOW));
        let encryption = EncryptionKey::of_secret(&Secret::new("the operator's own encryption key"));
        let (hash_key, owner) = make_keys(store.as_ref(), &encryption, clock.as_ref()).await;
        let current = Arc::new(Current::new());
        let credential = OwnerCredential::new(hash_key.clone(), &owner);
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        follow(file, &hash_key, &shared, &current, &clock, OwnerFollows(credential.clone(), encryption.clone())).await;
        let metrics = Arc::new(Metrics::new().unwrap());
        let sink = AuditSink::File(folder.path().join("audit.log"));
        let audit = AuditLog::open(sink, Arc::clone(&metrics), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let api = Api::new(Parts {
            current: Arc::clone(&current),
            store: shared,
            encryption,
            hash_key: hash_key.clone(),
            owner: credential,
            authenticator: authenticator(&hash_key, &metrics, clock.as_ref()),
            audit: audit.clone(),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            settings: Settings {
                subscription: "sub".to_owned(),
                resource_group: "group".to_owned(),
                tls: false,
                enforced_tier,
                signing_algorithm: SigningAlgorithm::Es256,
            },
        });
        let url = serve(&api, Connection::Tcp("192.0.2.7:40000".parse().unwrap())).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { store, current, clock, metrics, owner, url, hash_key, provider, client, api, audit, folder }
    }

    /// Another URL, at which requests come in as if through the Unix socket.
    pub(crate) async fn serve_on_socket(&self) -> String {
        serve(&self.api, Connection::Unix { uid: Some(1000) }).await
    }

    /// Sends what the owner sends.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answered {
        self.send_with(method, path, body, &[]).await
    }

    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answered {
        let bearer = format!("Bearer {}", self.owner.expose());
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(&body).unwrap());
        let all = [(AUTHORIZATION.as_str(), bearer.as_str())].into_iter().chain(headers.iter().copied());
        self.send_raw(&self.url, method, path, body, all.collect()).await
    }

    pub(crate) async fn send_raw(
        &self,
        url: &str,
        method: Method,
        path: &str,
        body: Vec<u8>,
        headers: Vec<(&str, &str)>,
    ) -> Answered {
        let mut request = self.client.request(method, format!("{url}{path}")).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Answered { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn put(&self, path: &str, properties: Value) -> Answered {
        self.send(Method::PUT, path, Some(json!({ "properties": properties }))).await
    }

    pub(crate) async fn patch(&self, path: &str, properties: Value) -> Answered {
        self.send(Method::PATCH, path, Some(json!({ "properties": properties }))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answered {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answered {
        self.send(Method::DELETE, path, None).await
    }

    /// Makes a scope map, and a token with it.
    pub(crate) async fn make_token(&self, name: &str) {
        let actions = json!({ "actions": ["repositories/samples/app/content/read"] });
        self.put(&scope_map("samples-map"), actions).await;
        self.put(&token(name), json!({ "scopeMapId": scope_map("samples-map") })).await.expect(201);
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.current.load().unwrap().registry_named("myregistry").unwrap())
    }

    pub(crate) fn principal(&self, name: &str) -> Option<Principal> {
        self.registry().principal_named(name)
    }

    /// All audit records so far, after which nothing is recorded any more.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.audit.close();
        let text = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) fn scope_map(name: &str) -> String {
    format!("{REGISTRY}/scopeMaps/{name}")
}

pub(crate) fn token(name: &str) -> String {
    format!("{REGISTRY}/tokens/{name}")
}

/// The name and value of each password in an answer.
pub(crate) fn values(answer: &Value) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let passwords = answer["passwords"].as_array().unwrap().iter();
    passwords.map(|password| (text(&password["name"]).unwrap(), text(&password["value"]))).collect()
}

/// Serves `api` as if all requests came in over `connection`.
async fn serve(api: &Api, connection: Connection) -> String {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let router = api.clone().router().layer(Extension(connection));
    tokio::spawn(async move { axum::serve(socket, router).await });
    url
}

/// It signs with a key of its own.
fn authenticator(hash_key: &HashKey, metrics: &Arc<Metrics>, clock: &dyn Clock) -> Arc<Authenticator> {
    let key = KeyMaterial::generate(SigningAlgorithm::Es256, clock.now()).unwrap();
    let keys = Arc::new(Keyring::new(&[key], hash_key.clone()).unwrap());
    Arc::new(Authenticator::new(keys, "seawall", Arc::clone(metrics)))
}

async fn make_keys(store: &dyn Store, encryption: &EncryptionKey, clock: &dyn Clock) -> (HashKey, Secret) {
    let now = clock.now();
    let (hash_key, owner) = (random_key().unwrap(), generate_password().unwrap());
    let signing = KeyMaterial::generate(SigningAlgorithm::Es256, now).unwrap();
    let writes: Vec<Write> = [
        key_records::sealed_secret(HASH_KEY, KeyPurpose::Hash, &hash_key, encryption, now),
        key_records::sealed_secret(MANAGEMENT_KEY, KeyPurpose::Management, &owner, encryption, now),
        key_records::sealed(&signing, encryption),
    ]
    .map(|key| key_records::put(&[], key.unwrap()))
    .into();
    store.write(&writes, now).await.unwrap();
    (parse_hash_key(&hash_key).unwrap(), owner)
}

/// Publishes what the file says and, from now on, what the store has.
async fn follow(
    file: PathBuf,
    hash_key: &HashKey,
    store: &Arc<dyn Store>,
    current: &Arc<Current>,
    clock: &Arc<ManualClock>,
    events: OwnerFollows,
) {
    let read = move || {
        let Reading { policy, files, problems, .. } = config::read(&file);
        match policy.and_then(Draft::whole) {
            Some(document) if !problems.are_fatal() => Ok(Described { document, files }),
            _ => Err(Refused { problems, files }),
        }
    };
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let provider = PolicyProvider::new(Box::new(read), hash_key.clone(), Arc::clone(current), Arc::clone(&clock));
    let provider = Arc::new(provider);
    provider.reload().unwrap();
    let mut feed = Feed::new(Arc::clone(store), provider, Arc::new(events), Arc::clone(current), clock);
    feed.first().await.unwrap();
    tokio::spawn(feed.follow(Duration::from_millis(250)));
}

/// What the server does when keys change, as far as this API is concerned.
struct OwnerFollows(OwnerCredential, EncryptionKey);

impl FeedEvents for OwnerFollows {
    fn keys(&self, all: &[StoredKey]) {
        if let Some(key) = all.iter().find(|key| key.id == MANAGEMENT_KEY) {
            self.0.replace(&key_records::opened_secret(key, &self.1).unwrap());
        }
    }

    fn unreadable(&self, _: &[Unreadable]) {}

    fn published(&self, _: &Applied, _: &[Duration]) {}

    fn store_state(&self, _: Result<(), &StoreError>) {}
}
