//! seawall as it is measured: the optimised program, two threads, access tokens of ES256 as the peers have them, everything else as
//! it is unless a part needs it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::harness::nearby::{listener, with_listeners};
use crate::harness::seawall::{NO_LOGIN_LIMITS, Place, Seawall, program};
use crate::harness::session::{Account, Session};
use crate::harness::tls::listener_tls;
use crate::harness::{ports, wait_until};
use crate::load::Ask;
use crate::upstream::REPOSITORY;

/// May pull from [`REPOSITORY`].
const PULLER: &str = "puller";
/// May pull from everywhere else.
const STRANGER: &str = "stranger";

/// Whether this seawall keeps what cannot change.
pub(crate) fn has_content_cache() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        let schema = Command::new(program()).arg("schema").output().unwrap();
        String::from_utf8_lossy(&schema.stdout).contains("contentCache")
    });
    *HAS
}

/// A registry in the file.
pub(crate) struct Registry {
    name: &'static str,
    upstream: SocketAddr,
    /// Whether answers are kept.
    keeps: bool,
    more: String,
}

impl Registry {
    /// Every request goes to the upstream.
    pub(crate) fn plain(name: &'static str, upstream: SocketAddr) -> Self {
        Self { name, upstream, keeps: false, more: String::new() }
    }

    /// As by default: what cannot change is kept.
    pub(crate) fn keeping(name: &'static str, upstream: SocketAddr) -> Self {
        Self { keeps: true, ..Self::plain(name, upstream) }
    }

    /// Lines of the file, indented by four.
    pub(crate) fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self
    }

    fn document(&self, place: &Place) -> String {
        let Self { name, upstream, more, .. } = self;
        let mut text = format!(
            "  {name}:\n    loginServer: {host}\n    externalUrl: \"http://{host}\"\n    \
             upstream: {{url: \"http://{upstream}\"}}\n",
            host = host(name)
        );
        if !self.keeps && has_content_cache() {
            text.push_str("    contentCache: off\n");
        }
        if more.is_empty() {
            let secret = |user: &str| place.secret(user, &password(user)).display().to_string();
            write!(
                text,
                "    scopeMaps:\n      {PULLER}: {{repositories: {{{REPOSITORY}: [content/read]}}}}\n      \
                 {STRANGER}: {{repositories: {{elsewhere/*: [content/read]}}}}\n    tokens:\n      \
                 {PULLER}: {{scopeMap: {PULLER}, passwords: [{{name: password1, file: \"{}\"}}]}}\n      \
                 {STRANGER}: {{scopeMap: {STRANGER}, passwords: [{{name: password1, file: \"{}\"}}]}}\n",
                secret(PULLER),
                secret(STRANGER)
            )
            .unwrap();
        }
        text + more
    }
}

/// What clients call a registry.
pub(crate) fn host(name: &str) -> String {
    format!("{name}.bench.test")
}

fn password(user: &str) -> String {
    format!("the-password-of-{user}")
}

/// A running seawall with some registries, on a plain address and perhaps on one with TLS.
pub(crate) struct Wall {
    pub(crate) seawall: Seawall,
    tls: SocketAddr,
}

impl Wall {
    pub(crate) fn start(registries: &[Registry]) -> Self {
        Self::start_with(Place::new(), registries, None)
    }

    /// Also with TLS, by this certificate and key.
    pub(crate) fn encrypted(registries: &[Registry], files: &[PathBuf; 2]) -> Self {
        Self::start_with(Place::new(), registries, Some(files))
    }

    /// With tokens of RS256, as by default.
    pub(crate) fn with_rs256(registries: &[Registry]) -> Self {
        Self::run(Place::new(), registries, None, "RS256")
    }

    pub(crate) fn start_with(place: Place, registries: &[Registry], files: Option<&[PathBuf; 2]>) -> Self {
        Self::run(place, registries, files, "ES256")
    }

    /// `algorithm` signs its access tokens.
    fn run(place: Place, registries: &[Registry], files: Option<&[PathBuf; 2]>, algorithm: &str) -> Self {
        let tls = ports::free();
        let mut text = String::from("threads: 2\nregistries:\n");
        for registry in registries {
            text.push_str(&registry.document(&place));
        }
        let signing = ("/keys\"}", format!("/keys\", algorithm: {algorithm}}}"));
        let document = place.document(&text).replace(&format!("{NO_LOGIN_LIMITS}\n"), "");
        let mut document = document.replace(signing.0, &signing.1);
        assert!(document.contains(&signing.1));
        if let Some(files) = files {
            let both =
                [listener("public", place.public(), "h2c: true"), listener("encrypted", tls, &listener_tls(&[files]))];
            document = with_listeners(&document, &both.join(", "));
        }
        let mut seawall = place.start(&document);
        if files.is_some() {
            wait_until("seawall takes connections over TLS", || {
                seawall.process().expect_running();
                std::net::TcpStream::connect(tls).is_ok()
            });
        }
        Self { seawall, tls }
    }

    pub(crate) fn id(&mut self) -> u32 {
        self.seawall.process().id()
    }

    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.seawall.place().path().join("audit.jsonl")
    }

    /// A request to one of the registries, without a credential.
    pub(crate) fn ask(&self, registry: &str, path: &str) -> Ask {
        Ask::new(format!("http://{}{path}", self.seawall.address())).header("Host", &host(registry))
    }

    /// The same over TLS.
    pub(crate) fn ask_encrypted(&self, registry: &str, path: &str) -> Ask {
        Ask::new(format!("https://{}{path}", self.tls)).header("Host", &host(registry))
    }

    fn token(&self, registry: &str, user: &str, repository: &str) -> String {
        let account = Account::new(user, &password(user));
        let session = Session::named(self.seawall.address(), &host(registry), account);
        session.access_token(&[&format!("repository:{repository}:pull")])
    }

    /// An access token that the token endpoint gave, for [`REPOSITORY`].
    pub(crate) fn puller(&self, registry: &str) -> String {
        self.token(registry, PULLER, REPOSITORY)
    }

    /// An access token that the token endpoint gave, for other repositories.
    pub(crate) fn stranger(&self, registry: &str) -> String {
        self.token(registry, STRANGER, "elsewhere/app")
    }
}
