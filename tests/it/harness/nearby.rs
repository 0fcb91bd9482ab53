//! Whole files for tests about listeners and registries: short to write, and all in one place.

use std::net::SocketAddr;

use super::http;
use super::seawall::{Place, Seawall};
use super::session::Account;

/// The password of every token in these tests.
pub(crate) const PASSWORD: &str = "the-password-of-a-listener-test";

/// The token that may do everything.
pub(crate) fn worker() -> Account {
    Account::new("worker", PASSWORD)
}

/// One registry whose only token, `worker`, may do everything; `more` are further lines of it, each `key: value`.
pub(crate) fn registry(place: &Place, name: &str, login_server: &str, upstream: &str, more: &[&str]) -> String {
    let password = place.secret("worker", PASSWORD);
    let more: String = more.iter().flat_map(|line| ["    ", line, "\n"]).collect();
    format!(
        "  {name}:\n    loginServer: \"{login_server}\"\n    upstream: {{ {upstream} }}\n{more}    scopeMaps:\n      \
         everything: {{ repositories: {{ \"*\": [content/read, content/write, content/delete, metadata/read] }} }}\n    \
         tokens:\n      worker: {{ scopeMap: everything, passwords: [ {{ name: password1, file: \"{}\" }} ] }}\n",
        password.display()
    )
}

/// The same file with other listeners: what stands between the brackets.
pub(crate) fn with_listeners(document: &str, listeners: &str) -> String {
    let lines = document.lines().map(|line| {
        if line.starts_with("listeners:") { format!("listeners: [{listeners}]\n") } else { format!("{line}\n") }
    });
    lines.collect()
}

/// A listener of a file; `more` are further entries, such as a `tls` or a `source`.
pub(crate) fn listener(name: &str, address: SocketAddr, more: &str) -> String {
    format!("{{name: {name}, address: \"{address}\"{}{more}}}", if more.is_empty() { "" } else { ", " })
}

/// A path of the probes' listener, past the public ones.
pub(crate) fn probe(seawall: &Seawall, path: &str) -> Option<http::Response> {
    http::get(seawall.place().metrics(), path)
}
