//! Dex, another real OpenID provider (`tests/support/dex`), and somebody who signs in there.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, Stop};
use super::{http, ports, wait_until};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/dex");
/// The audience of its tokens is the client that asked for them.
pub(crate) const CLIENT: &str = "cli";

pub(crate) struct Dex {
    address: SocketAddr,
    _process: Process,
    _directory: TempDir,
}

impl Dex {
    /// Returns when it answers.
    pub(crate) fn start() -> Self {
        assert!(Path::new(PROGRAM).exists(), "no {PROGRAM}: `make deps` installs it");
        let (directory, address) = (TempDir::new().unwrap(), ports::free());
        let mut command = Command::new(PROGRAM);
        command.env("LISTEN", address.to_string()).env("ISS", format!("http://{address}")).env("ROTATE", "6h");
        let mut process = Process::start("dex", &mut command, directory.path(), Stop::Kill);
        wait_until("Dex answers", || {
            process.expect_running();
            http::get(address, "/keys").is_some_and(|response| response.status == 200)
        });
        Self { address, _process: process, _directory: directory }
    }

    /// Its `iss`.
    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Jane signs in on a device without a browser, to the end (RFC 8628): the answer of the token endpoint.
    pub(crate) fn signed_in(&self) -> Value {
        let form = "client_id=cli&scope=openid%20email%20groups%20offline_access";
        let device = self.post("/device/code", form);
        self.approve(device["user_code"].as_str().unwrap());
        let code = device["device_code"].as_str().unwrap();
        let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code";
        self.post("/token", &format!("{grant}&client_id=cli&device_code={code}"))
    }

    /// What Jane does in her browser with the code that a device shows her.
    pub(crate) fn approve(&self, user_code: &str) {
        let jane = Visitor::new();
        let form = jane.post(&format!("{}/device/auth/verify_code", self.issuer()), &[("user_code", user_code)]);
        assert!(form.url.contains("/auth/local/login"), "{}", form.url);
        let end = jane.post(&form.url, &[("login", "jane@example.com"), ("password", "password")]);
        assert!(end.text.contains("Login Successful"), "{}: {}", end.url, end.text);
    }

    fn post(&self, path: &str, form: &str) -> Value {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        http::request(self.address, "POST", path, &headers, form.as_bytes()).unwrap().expect(200).json()
    }
}

/// Follows redirects and keeps cookies.
struct Visitor {
    directory: TempDir,
}

/// Where a browser is, and what it shows.
struct Page {
    url: String,
    text: String,
}

impl Visitor {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn post(&self, url: &str, fields: &[(&str, &str)]) -> Page {
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "-L",
            "--fail-with-body",
            "-w",
            "\n%{url_effective}",
            "-b",
            "cookies",
            "-c",
            "cookies",
            url,
        ]);
        for (name, value) in fields {
            command.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let output = command.current_dir(self.directory.path()).output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{url}: {answer} {}", String::from_utf8_lossy(&output.stderr));
        let (text, url) = answer.rsplit_once('\n').unwrap();
        Page { url: url.to_owned(), text: text.to_owned() }
    }
}
