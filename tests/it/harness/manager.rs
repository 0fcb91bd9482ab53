//! The management API as bytes on the wire, for tests that count answers.

use std::fs;
use std::net::SocketAddr;

use serde_json::Value;

use super::http::{self, Response};
use super::seawall::Seawall;

/// Whoever holds the owner's credential.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    address: SocketAddr,
    credential: String,
}

impl Manager {
    pub(crate) fn of(server: &Seawall) -> Self {
        let credential = fs::read_to_string(server.place().credential_file()).unwrap();
        Self { address: server.place().management(), credential: credential.trim_end().to_owned() }
    }

    pub(crate) fn credential(&self) -> &str {
        &self.credential
    }

    /// A call below the resource of `myregistry`; `None` when the connection ends without an answer.
    pub(crate) fn call(&self, method: &str, below: &str, body: &Value) -> Option<Response> {
        let path = format!(
            "/subscriptions/any/resourceGroups/any/providers/Microsoft.ContainerRegistry/registries/myregistry{below}\
             ?api-version=2025-11-01"
        );
        self.send(method, &path, body)
    }

    /// A call of a whole target; `None` when the connection ends without an answer.
    pub(crate) fn send(&self, method: &str, target: &str, body: &Value) -> Option<Response> {
        let authorization = format!("Bearer {}", self.credential);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        http::request(self.address, method, target, &headers, &body)
    }

    /// # Panics
    ///
    /// When there is no answer, or one that is not 2xx.
    pub(crate) fn done(&self, method: &str, below: &str, body: &Value) -> Value {
        let answer = self.call(method, below, body).unwrap_or_else(|| panic!("no answer to {method} {below}"));
        assert!((200..300).contains(&answer.status), "{method} {below}: {} {}", answer.status, answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }
}
