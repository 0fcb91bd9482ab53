//! A real OpenID provider (`tests/support/idp`), which can go away and change its keys.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{self, Response};
use super::process::{Process, Stop};
use super::session::Account;
use super::{ports, wait_until};

/// For whom its tokens are: what Microsoft's clients ask for.
pub(crate) const AUDIENCE: &str = "https://containerregistry.azure.net";
/// The user name that says that the password is a token.
pub(crate) const NULL_GUID: &str = "00000000-0000-0000-0000-000000000000";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/idp/idp.mjs");
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/idp/node_modules/oidc-provider/lib/index.js");

pub(crate) struct Provider {
    process: Option<Process>,
    directory: TempDir,
    address: SocketAddr,
    keys: u32,
}

impl Provider {
    /// Returns when it answers.
    pub(crate) fn start() -> Self {
        assert!(Path::new(MODULE).exists(), "no {MODULE}: `make deps` installs it");
        let directory = TempDir::new().unwrap();
        let mut provider = Self { process: None, directory, address: ports::free(), keys: 0 };
        provider.new_key();
        provider.start_again();
        provider
    }

    /// Where it answers.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its `iss`.
    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An access token for [`AUDIENCE`], by the client's own credentials.
    pub(crate) fn token(&self, client: &str) -> String {
        let authorization = Account::new(client, &format!("{client}-secret")).basic();
        let form = format!("grant_type=client_credentials&scope=registry&resource={AUDIENCE}");
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = http::request(self.address, "POST", "/token", &headers, form.as_bytes()).unwrap();
        answer.expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What the seawall at `address` gives for [`Self::token`] at its registry `host`: with the user name [`NULL_GUID`]
    /// clients log in by it.
    pub(crate) fn refresh_token(&self, address: SocketAddr, host: &str, client: &str) -> String {
        let answer = exchange(address, host, &self.token(client)).expect(200).json();
        answer["refresh_token"].as_str().unwrap().to_owned()
    }

    /// Tokens that the provider itself would never sign: `[{header, payload, by}]`, where `by` is `own` (its key), `pss` (the
    /// same, in another way), `stranger`, `publicKey` (as a password that everybody knows) or `none`.
    pub(crate) fn sign(&self, described: &Value) -> Vec<String> {
        let mut command = Command::new("node");
        command.args([SCRIPT, "sign"]).arg(self.file()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(described.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Signs with a new key from now on, and publishes the former ones too.
    pub(crate) fn rotate(&mut self) {
        self.new_key();
        self.stop();
        self.start_again();
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new("node");
        command.args([SCRIPT, "serve"]).arg(self.file()).args([&self.address.port().to_string(), AUDIENCE]);
        command.env("OIDC_PROVIDER", MODULE);
        let mut process = Process::start("provider", &mut command, self.directory.path(), Stop::Kill);
        wait_until("the provider answers", || {
            process.expect_running();
            http::get(self.address, "/jwks").is_some_and(|response| response.status == 200)
        });
        self.process = Some(process);
    }

    fn new_key(&mut self) {
        self.keys += 1;
        let made =
            Command::new("node").args([SCRIPT, "key"]).arg(self.file()).arg(format!("key{}", self.keys)).status();
        assert!(made.unwrap().success());
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("jwks.json")
    }
}

/// The answer of `/oauth2/exchange` to a provider's token.
pub(crate) fn exchange(address: SocketAddr, host: &str, token: &str) -> Response {
    let form = format!("grant_type=access_token&service={host}&access_token={token}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    http::request_to(address, host, "POST", "/oauth2/exchange", &headers, form.as_bytes()).unwrap()
}
