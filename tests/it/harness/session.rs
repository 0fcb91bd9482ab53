//! A caller of the registry API that logs in as every client does: ask, be challenged, get an access token, ask again.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::{self, Response};

/// A user name with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Account {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }

    /// The value of an `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }
}

/// An account at one seawall.
pub(crate) struct Session {
    address: SocketAddr,
    /// What the client calls it: the registry's login server.
    host: String,
    account: Account,
}

impl Session {
    pub(crate) fn new(address: SocketAddr, account: Account) -> Self {
        Self { address, host: address.to_string(), account }
    }

    /// At one of several seawalls that answer to the same name.
    pub(crate) fn named(address: SocketAddr, host: &str, account: Account) -> Self {
        Self { address, host: host.to_owned(), account }
    }

    /// An access token for these scopes, such as `repository:team/app:pull`.
    pub(crate) fn access_token(&self, scopes: &[&str]) -> String {
        self.log_in(scopes).expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// The token endpoint's answer to a login that asks for these scopes.
    pub(crate) fn log_in(&self, scopes: &[&str]) -> Response {
        let mut path = format!("/oauth2/token?service={}", self.host);
        for scope in scopes {
            path.push_str("&scope=");
            path.push_str(scope);
        }
        let authorization = self.account.basic();
        self.request("GET", &path, &[("Authorization", &authorization)], b"")
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::request_to(self.address, &self.host, method, path, headers, body).unwrap()
    }

    /// A request with this access token and nothing else.
    pub(crate) fn bearer(&self, access_token: &str, method: &str, path: &str) -> Response {
        let authorization = format!("Bearer {access_token}");
        self.request(method, path, &[("Authorization", &authorization)], b"")
    }

    /// Asks; on a challenge gets the access token it names and asks again.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        // Without the body: only the answer's challenge is wanted.
        let challenged = self.request(method, path, &[], b"");
        if challenged.status != 401 {
            return challenged;
        }
        let scope = parameter(challenged.expect_header("WWW-Authenticate"), "scope");
        let scopes: Vec<&str> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
        let authorization = format!("Bearer {}", self.access_token(&scopes));
        let headers = [&[("Authorization", authorization.as_str())], headers].concat();
        self.request(method, path, &headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], b"")
    }
}

/// A parameter of a challenge; empty when it is not there.
pub(crate) fn parameter(challenge: &str, name: &str) -> String {
    let start = format!("{name}=\"");
    let found = challenge.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    found.map(|(value, _)| value.to_owned()).unwrap_or_default()
}
