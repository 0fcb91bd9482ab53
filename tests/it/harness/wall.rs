//! A seawall with a fixed cast of accounts, in front of any upstream: what the tests of the firewall and of transfers
//! start from.

use std::fmt::Write as _;
use std::fs;

use super::caller::Caller;
use super::registry::{Distribution, Registry};
use super::seawall::{Place, Seawall};
use super::secure;
use super::session::Account;

pub(crate) const REGISTRY: &str = "myregistry";

/// Upstreams of these tests are asked by clients only, and for what clients did.
pub(crate) const NO_SWEEP: &str = "metadata: {sweepEvery: never}";

/// Everything under `mine`, and what is public to read.
pub(crate) const MINE: &str = "mine-owner";
/// Another token with exactly the same rights.
pub(crate) const TWIN: &str = "mine-twin";
/// May read what `mine` may write.
pub(crate) const READER: &str = "mine-reader";
/// Everything under `secret`, where nobody else may look except for `BOTH`.
pub(crate) const SECRET: &str = "secret-owner";
/// The rights of `mine` and of `secret`.
pub(crate) const BOTH: &str = "both-owner";
/// May write below `mine` but not read.
pub(crate) const WRITER: &str = "mine-writer";

const ALL: &str = "[content/read, content/write, content/delete, metadata/read, metadata/write]";

/// The account of a token, or of the admin, whose user name is the registry's.
pub(crate) fn account(user: &str) -> Account {
    Account::new(user, &format!("the-password-of-{user}"))
}

/// What is special about a test's seawall.
pub(crate) struct Setup {
    upstream: String,
    timeouts: String,
    limits: String,
    tls: bool,
    h2c: bool,
    disabled: Option<&'static str>,
    threads: Option<u32>,
}

impl Setup {
    pub(crate) fn new(upstream: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            timeouts: String::new(),
            limits: String::new(),
            tls: false,
            h2c: false,
            disabled: None,
            threads: None,
        }
    }

    /// The inside of `upstream.timeouts`.
    pub(crate) fn timeouts(mut self, timeouts: &str) -> Self {
        timeouts.clone_into(&mut self.timeouts);
        self
    }

    /// The inside of `limits`.
    pub(crate) fn limits(mut self, limits: &str) -> Self {
        limits.clone_into(&mut self.limits);
        self
    }

    /// TLS on the listener, with the certificate of [`tls`].
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// HTTP/2 without TLS, for clients that begin with it.
    pub(crate) fn h2c(mut self) -> Self {
        self.h2c = true;
        self
    }

    pub(crate) fn disabled(mut self, token: &'static str) -> Self {
        self.disabled = Some(token);
        self
    }

    /// One thread has one pool of upstream connections, so that a second request surely meets the first one's.
    pub(crate) fn one_thread(mut self) -> Self {
        self.threads = Some(1);
        self
    }

    pub(crate) fn document(&self, place: &Place) -> String {
        let mut tokens = String::new();
        for (name, map) in
            [(MINE, MINE), (TWIN, MINE), (READER, READER), (SECRET, SECRET), (BOTH, BOTH), (WRITER, WRITER)]
        {
            let status = if self.disabled == Some(name) { "disabled" } else { "enabled" };
            let file = place.secret(name, &account(name).password);
            writeln!(
                tokens,
                "      {name}: {{scopeMap: {map}, status: {status}, passwords: [{{name: password1, file: \"{}\"}}]}}",
                file.display()
            )
            .unwrap();
        }
        let admin = place.secret(REGISTRY, &account(REGISTRY).password);
        let text = place.document(&format!(
            "limits: {{{limits}}}
{threads}
{NO_SWEEP}
registries:
  {REGISTRY}:
    loginServer: \"{login}\"
    upstream: {{url: \"{upstream}\", timeouts: {{{timeouts}}}}}
    adminUserEnabled: true
    admin: {{passwords: [{{name: password, file: \"{admin}\"}}]}}
    scopeMaps:
      mine-owner: {{repositories: {{mine/*: {ALL}, public/*: [content/read]}}}}
      mine-reader: {{repositories: {{mine/*: [content/read]}}}}
      mine-writer: {{repositories: {{mine/*: [content/write]}}}}
      secret-owner: {{repositories: {{secret/*: {ALL}}}}}
      both-owner: {{repositories: {{mine/*: {ALL}, secret/*: {ALL}}}}}
    tokens:
{tokens}",
            limits = self.limits,
            threads = self.threads.map(|threads| format!("threads: {threads}")).unwrap_or_default(),
            login = place.login_server(),
            upstream = self.upstream,
            timeouts = self.timeouts,
            admin = admin.display(),
        ));
        if self.h2c {
            return text.replace("source: {mode: peer}}]", "source: {mode: peer}, h2c: true}]");
        }
        if !self.tls {
            return text;
        }
        let (certificate, key) = (place.path().join("tls.crt"), place.path().join("tls.key"));
        fs::write(&certificate, secure::certificate().certificate.as_str()).unwrap();
        fs::write(&key, secure::certificate().key.as_str()).unwrap();
        let certificates = format!(
            "source: {{mode: peer}}, tls: {{certificates: [{{certificate: \"{}\", key: \"{}\"}}]}}}}]",
            certificate.display(),
            key.display()
        );
        text.replace("source: {mode: peer}}]", &certificates)
    }

    pub(crate) fn start(&self) -> Seawall {
        let place = Place::new();
        let document = self.document(&place);
        place.start(&document)
    }
}

/// A real registry with seawall before it.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) seawall: Seawall,
}

impl World {
    pub(crate) fn start(distribution: Distribution) -> Self {
        let registry = Registry::start(distribution);
        let seawall = Setup::new(&registry.url()).start();
        Self { registry, seawall }
    }

    /// Somebody who reaches the registry past seawall.
    pub(crate) fn direct(&self) -> Caller {
        Caller::anonymous(self.registry.address())
    }

    /// A token or the admin, who has only seawall.
    pub(crate) fn caller(&self, user: &str) -> Caller {
        Caller::of(&self.seawall, user)
    }
}
