//! Where these tests log in: one seawall with two registries, and requests in every shape that clients send.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::harness::http::{Connection, Response};
use crate::harness::registry::Registry;
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;

/// The login server of the second registry, where anonymous pull is on.
pub(super) const PUBLIC: &str = "public.example.com";

pub(super) const PASSWORD: &str = "the first password of a test";
pub(super) const PASSWORD2: &str = "the second password of a test";

/// The user name that says that the password is a token.
pub(super) const NULL_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// What varies between the documents of these tests.
pub(super) struct Document<'a> {
    pub(super) upstream: &'a str,
    pub(super) algorithm: &'a str,
    pub(super) admin_enabled: bool,
    pub(super) builder_status: &'a str,
    /// The secrets of the token `builder` and of the admin account: two each.
    pub(super) secrets: [&'a str; 2],
    /// Appended to `tokens` of the first registry.
    pub(super) tokens: &'a str,
    /// Whether the token `builder` is there.
    pub(super) builder: bool,
}

impl Default for Document<'_> {
    fn default() -> Self {
        Self {
            // Nobody is there: most logins need no upstream.
            upstream: "http://127.0.0.1:1",
            algorithm: "RS256",
            admin_enabled: true,
            builder_status: "enabled",
            secrets: [PASSWORD, PASSWORD2],
            tokens: "",
            builder: true,
        }
    }
}

impl Document<'_> {
    pub(super) fn text(&self, place: &Place) -> String {
        let [first, second] = [("first", self.secrets[0]), ("second", self.secrets[1])]
            .map(|(name, secret)| place.secret(name, secret).display().to_string());
        let passwords = |one: &str, two: &str| {
            format!("[{{ name: {one}, file: \"{first}\" }}, {{ name: {two}, file: \"{second}\" }}]")
        };
        let builder = if self.builder {
            format!(
                "      builder: {{ scopeMap: team-a, status: {}, passwords: {} }}\n",
                self.builder_status,
                passwords("password1", "password2")
            )
        } else {
            String::new()
        };
        let text = format!(
            "registries:
  myregistry:
    loginServer: \"{}\"
    upstream: {{ url: \"{upstream}\" }}
    adminUserEnabled: {}
    admin: {{ passwords: {} }}
    scopeMaps:
      team-a: {{ repositories: {{ team/*: [content/read, content/write], shared: [content/read] }} }}
    tokens:
      reader: {{ scopeMap: _repositories_pull, passwords: [{{ name: password1, file: \"{first}\" }}] }}
{builder}{}
  publicregistry:
    loginServer: {PUBLIC}
    upstream: {{ url: \"{upstream}\" }}
    anonymousPullEnabled: true
    tokens:
      builder: {{ scopeMap: _repositories_push, passwords: [{{ name: password1, file: \"{first}\" }}] }}
",
            place.login_server(),
            self.admin_enabled,
            passwords("password", "password2"),
            self.tokens,
            upstream = self.upstream,
        );
        place.document(&text).replace("/keys\"}", &format!("/keys\", algorithm: {}}}", self.algorithm))
    }

    pub(super) fn start(&self) -> Desk {
        self.start_in(Place::new())
    }

    pub(super) fn start_in(&self, place: Place) -> Desk {
        let text = self.text(&place);
        Desk { seawall: place.start(&text) }
    }
}

/// A running seawall without a registry behind it.
pub(super) fn desk() -> Desk {
    Document::default().start()
}

/// A running seawall in front of `upstream`.
pub(super) fn desk_before(upstream: &Registry) -> Desk {
    Document { upstream: &upstream.url(), ..Document::default() }.start()
}

pub(super) struct Desk {
    pub(super) seawall: Seawall,
}

impl Desk {
    /// The first registry's name to clients.
    pub(super) fn server(&self) -> String {
        self.seawall.place().login_server()
    }

    /// A request to the registry that `host` names, on a connection of its own. A body has a length, nothing else has.
    pub(super) fn request_at(&self, host: &str, line: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !line.starts_with("GET ") && !line.starts_with("HEAD ") {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        let mut connection = Connection::open(self.seawall.address()).unwrap();
        connection.send(format!("{head}\r\n{body}").as_bytes());
        let method = line.split(' ').next().unwrap();
        connection.answer(method).unwrap_or_else(|| panic!("no answer to {line}"))
    }

    /// The first registry.
    pub(super) fn request(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.request_at(&self.server(), line, headers, body)
    }

    pub(super) fn get(&self, query: &str, account: &Account) -> Response {
        let line = format!("GET /oauth2/token?service={}{query}", self.server());
        self.request(&line, &[("Authorization", &account.basic())], "")
    }

    /// A form, `service` included.
    pub(super) fn post(&self, fields: &[(&str, &str)]) -> Response {
        let server = self.server();
        self.post_form(&form(&[&[("service", server.as_str())], fields].concat()))
    }

    pub(super) fn post_form(&self, form: &str) -> Response {
        self.request("POST /oauth2/token", &[FORM], form)
    }

    pub(super) fn bearer(&self, token: &str, line: &str) -> Response {
        self.request(line, &[("Authorization", &format!("Bearer {token}"))], "")
    }

    pub(super) fn basic(&self, account: &Account, line: &str) -> Response {
        self.request(line, &[("Authorization", &account.basic())], "")
    }
}

pub(super) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Fields as a form; everything but letters and digits is escaped.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect::<String>()
    };
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

pub(super) fn builder() -> Account {
    Account::new("builder", PASSWORD)
}

pub(super) fn admin() -> Account {
    Account::new("myregistry", PASSWORD)
}

/// The access token in an answer.
pub(super) fn token(answer: Response) -> String {
    answer.expect(200).json()["access_token"].as_str().unwrap().to_owned()
}

/// Header and claims.
pub(super) fn read(token: &str) -> (Value, Value) {
    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    (parts[0].clone(), parts[1].clone())
}

/// The `access` claim of the token in an answer, as scopes.
pub(super) fn access(answer: &Response) -> Vec<String> {
    let answer = answer.json();
    let (_, claims) = read(answer["access_token"].as_str().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let scopes = claims["access"].as_array().unwrap().iter().map(|access| {
        let actions: Vec<_> = access["actions"].as_array().unwrap().iter().map(text).collect();
        format!("{}:{}:{}", text(&access["type"]), text(&access["name"]), actions.join(","))
    });
    scopes.collect()
}
