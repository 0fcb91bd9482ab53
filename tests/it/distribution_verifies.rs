//! Distribution itself, given our certificate, accepts our access tokens and nothing that was tampered with.
//!
//! 2.8 is the `docker-registry` of the search path, and must be there. 3.x is tried as well when a binary is named by
//! `SEAWALL_DISTRIBUTION_V3` or lies at `target/tools/registry`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use jiff::SignedDuration;
use seawall::auth::access_token::{Access, AccessClaims, AccessTokens};
use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm};
use seawall::clock::{Clock, SystemClock};
use seawall::policy::credential::PrincipalId;
use seawall::secret::HashKey;
use tempfile::TempDir;

const SERVICE: &str = "registry.example.com";
const ISSUER: &str = "seawall";

#[tokio::test]
async fn distribution_2_8_verifies_our_access_tokens() {
    verifies_our_access_tokens(Path::new("docker-registry")).await;
}

#[tokio::test]
async fn distribution_3_verifies_our_access_tokens() {
    let named = env::var_os("SEAWALL_DISTRIBUTION_V3").map(PathBuf::from);
    let fetched =
        || Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/registry")).filter(|path| path.exists());
    match named.or_else(fetched) {
        Some(binary) => verifies_our_access_tokens(&binary).await,
        None => println!("skipped: no Distribution 3 here; name one by SEAWALL_DISTRIBUTION_V3"),
    }
}

async fn verifies_our_access_tokens(binary: &Path) {
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        let directory = TempDir::new().expect("a directory");
        let keys = keys(algorithm);
        let registry = Registry::start(binary, directory.path(), &keys.certificate_pem(SystemClock.now()));
        let tokens = AccessTokens::new(Arc::clone(&keys), ISSUER);

        let catalog = mint(&tokens, SERVICE, &[("registry", "catalog", "*")]).await;
        let pull = mint(&tokens, SERVICE, &[("repository", "team/app", "pull")]).await;
        let nothing = mint(&tokens, SERVICE, &[]).await;
        let elsewhere = mint(&tokens, "other.example.com", &[("registry", "catalog", "*")]).await;
        let other_issuer = mint(&AccessTokens::new(keys, "another"), SERVICE, &[("registry", "catalog", "*")]).await;
        let foreign =
            mint(&AccessTokens::new(self::keys(algorithm), ISSUER), SERVICE, &[("registry", "catalog", "*")]).await;

        let cases = [
            ("without a token", "/v2/_catalog", None, 401),
            ("the right token", "/v2/_catalog", Some(catalog.clone()), 200),
            ("any token of ours", "/v2/", Some(nothing.clone()), 200),
            ("a scope that does not cover it", "/v2/_catalog", Some(nothing), 401),
            ("pull: permitted, and nothing is there", "/v2/team/app/tags/list", Some(pull.clone()), 404),
            ("pull of another repository", "/v2/team/other/tags/list", Some(pull), 401),
            ("another payload under the same signature", "/v2/_catalog", Some(with_other_payload(&catalog)), 401),
            ("another signature", "/v2/_catalog", Some(with_other_signature(&catalog)), 401),
            ("another audience", "/v2/_catalog", Some(elsewhere), 401),
            ("another issuer", "/v2/_catalog", Some(other_issuer), 401),
            ("another installation's key", "/v2/_catalog", Some(foreign), 401),
        ];
        for (name, path, token, expected) in cases {
            let status = registry.status(path, token.as_deref());
            assert_eq!(status, expected, "{algorithm:?}, {name}:\n{}", registry.log());
        }
    }
}

/// A new key, and one that is about to take over: Distribution is given both certificates, and needs no restart then.
fn keys(algorithm: SigningAlgorithm) -> Arc<Keyring> {
    let now = SystemClock.now();
    let [key, next] = [(); 2].map(|()| KeyMaterial::generate(algorithm, now).expect("a key"));
    let next = KeyMaterial { active_from: now + SignedDuration::from_hours(1), ..next };
    Arc::new(Keyring::new(&[key, next], HashKey::from_bytes([1; 32])).expect("a ring"))
}

async fn mint(tokens: &AccessTokens, audience: &str, access: &[(&str, &str, &str)]) -> String {
    let access = access.iter().map(|(kind, name, action)| Access {
        kind: (*kind).to_owned(),
        name: (*name).to_owned(),
        actions: vec![(*action).to_owned()],
    });
    let claims = AccessClaims {
        subject: "ci".to_owned(),
        audience: audience.to_owned(),
        principal: "00112233445566778899aabbccddeeff".parse::<PrincipalId>().expect("an id"),
        credential: None,
        access: access.collect(),
        identity: None,
    };
    tokens.mint(claims, SystemClock.now()).await.expect("minted").token.expose().to_owned()
}

/// The payload begins with `{"jti":"`: one digit of the id is changed.
fn with_other_payload(token: &str) -> String {
    change(token, token.find('.').expect("a payload") + 20)
}

fn with_other_signature(token: &str) -> String {
    change(token, token.rfind('.').expect("a signature") + 20)
}

fn change(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ascii")
}

/// A running registry that trusts one certificate; it ends with this value.
struct Registry {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Registry {
    fn start(binary: &Path, directory: &Path, certificate: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let file = |name: &str| directory.join(name);
        fs::write(file("root.crt"), certificate).expect("written");
        let configuration = format!(
            "version: 0.1
log: {{ level: info }}
storage: {{ filesystem: {{ rootdirectory: '{storage}' }} }}
http: {{ addr: '{address}', secret: notasecret }}
auth:
  token:
    realm: 'http://{SERVICE}/oauth2/token'
    service: '{SERVICE}'
    issuer: '{ISSUER}'
    rootcertbundle: '{root}'
",
            storage = file("storage").display(),
            root = file("root.crt").display(),
        );
        fs::write(file("config.yml"), configuration).expect("written");
        let log = fs::File::create(file("log")).expect("a log");
        let process = Command::new(binary)
            .arg("serve")
            .arg(file("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("cloned"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` must be installed: {error}", binary.display()));
        let registry = Self { process, address, log: file("log") };
        registry.wait();
        registry
    }

    fn wait(&self) {
        for _ in 0..500 {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the registry did not start:\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log")
    }

    /// The status of a GET.
    fn status(&self, path: &str, token: Option<&str>) -> u16 {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {SERVICE}\r\n{authorization}\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("received");
        let status = answer.strip_prefix("HTTP/1.0 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        status.unwrap_or_else(|| panic!("no status in: {answer}"))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
