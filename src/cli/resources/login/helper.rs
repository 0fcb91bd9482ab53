//! `docker-credential-seawall`: this program under that name, which Docker and podman ask for a registry's credential
//! (docker-credential-helpers). What it hands out is renewed silently.
//!
//! Errors go to standard output, where those programs read them.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::cli::{output, visible};
use crate::client::address::RegistryAddress;
use crate::client::docker_config::NOT_FOUND;
use crate::client::exchange::NULL_GUID;
use crate::client::sign_in::{Kept, SignInError, SignIns};
use crate::clock::SystemClock;
use crate::secret::Secret;

/// The name under which it is a credential helper.
pub(super) const PROGRAM: &str = "docker-credential-seawall";
/// The words for input that lacks something (docker-credential-helpers).
const NO_SERVER: &str = "no credentials server URL";
const NO_USER: &str = "no credentials username";
/// The longest input, in bytes.
const LIMIT: u64 = 256 * 1024;

/// The protocol's one object.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// What a program sends to be kept; its strings may be escaped.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    #[serde(rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

/// Whether the process was started under the helper's name.
pub(in crate::cli) fn is_meant() -> bool {
    let called = env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name() == Some(OsStr::new(PROGRAM))
}

/// Does what the first argument says.
pub(in crate::cli) fn run() -> ExitCode {
    let verb = env::args().nth(1).unwrap_or_default();
    match answer(&verb) {
        Ok(text) => output::bytes(text.as_bytes()),
        Err(cause) => {
            output::line(visible::line(&cause));
            ExitCode::FAILURE
        }
    }
}

fn answer(verb: &str) -> Result<String, String> {
    if verb == "version" || verb == "--version" {
        return Ok(format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")));
    }
    if !["get", "store", "erase", "list"].contains(&verb) {
        return Err(format!("Usage: {PROGRAM} <store|get|erase|list|version>"));
    }
    let mut input = String::new();
    if verb != "list" {
        io::stdin().take(LIMIT).read_to_string(&mut input).map_err(|error| error.to_string())?;
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let sign_ins = SignIns::default_directory().map(SignIns::new).map_err(|error| error.to_string())?;
    runtime.block_on(perform(verb, input.trim(), &sign_ins))
}

async fn perform(verb: &str, input: &str, sign_ins: &SignIns) -> Result<String, String> {
    let said = |error: SignInError| error.to_string();
    match verb {
        "get" | "erase" if input.is_empty() => Err(NO_SERVER.to_owned()),
        "get" => get(input, sign_ins).await,
        "store" => {
            let stored =
                serde_json::from_str::<Stored>(input).map_err(|_| "the input is not a credential".to_owned())?;
            if stored.server_url.is_empty() || stored.username.is_empty() {
                return Err(if stored.server_url.is_empty() { NO_SERVER } else { NO_USER }.to_owned());
            }
            let (server, password) = (server(&stored.server_url), Secret::new(stored.secret));
            sign_ins.put_password(&server, &stored.username, password, &SystemClock).await.map_err(said)?;
            Ok(String::new())
        }
        "erase" => {
            sign_ins.remove(&server(input), &SystemClock).await.map_err(said)?;
            Ok(String::new())
        }
        _ => {
            let list: BTreeMap<_, _> = sign_ins.list(&SystemClock).await.map_err(said)?;
            serde_json::to_string(&list).map(|text| text + "\n").map_err(|error| error.to_string())
        }
    }
}

async fn get(asked: &str, sign_ins: &SignIns) -> Result<String, String> {
    let kept = sign_ins.kept(&server(asked), &SystemClock).await.map_err(|error| error.to_string())?;
    let (username, secret) = match kept {
        None => return Err(NOT_FOUND.to_owned()),
        Some(Kept::RefreshToken(token)) => (NULL_GUID.to_owned(), token),
        Some(Kept::Password { user, password }) => (user, password),
    };
    let entry = Entry { server_url: asked, username: &username, secret: secret.expose() };
    serde_json::to_string(&entry).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// The login server in what programs call a server's URL; what is none stays as it is.
fn server(text: &str) -> String {
    RegistryAddress::parse(text).map_or_else(|_| text.to_owned(), |address| address.server().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_missing_is_told_in_the_words_that_programs_look_for() {
        let home = tempfile::tempdir().unwrap();
        let sign_ins = SignIns::new(home.path().to_owned());
        let stored =
            |server: &str, user: &str| format!(r#"{{"ServerURL":"{server}","Username":"{user}","Secret":"s"}}"#);
        let table = [
            ("get", String::new(), Err("no credentials server URL")),
            ("erase", String::new(), Err("no credentials server URL")),
            ("store", stored("", "u"), Err("no credentials server URL")),
            ("store", stored("r.example.com", ""), Err("no credentials username")),
            ("get", "r.example.com".to_owned(), Err("credentials not found in native keychain")),
            ("list", String::new(), Ok("{}\n")),
        ];
        for (verb, input, expected) in table {
            let said = perform(verb, &input, &sign_ins).await;
            assert_eq!(said.as_deref().map_err(String::as_str), expected, "{verb} {input}");
        }
    }
}
