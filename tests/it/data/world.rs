//! A real registry behind two registries of seawall that have data endpoints, all of them at one listener.

use std::fmt::Write as _;

use serde_json::Value;

use crate::harness::caller::{Caller, path_of};
use crate::harness::http::Response;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;
use crate::harness::sources::{ask, record_of};

pub(super) const PASSWORD: &str = "the-password-of-a-data-test";

/// The lines of a registry that tests change.
pub(super) const PUSHER: &str = "pusher: { scopeMap: everything, ";
pub(super) const READER: &str = "reader: { scopeMap: readers, ";

pub(super) struct World {
    pub(super) seawall: Seawall,
    _upstream: Registry,
    document: String,
}

impl World {
    pub(super) fn start() -> Self {
        Self::in_region("")
    }

    /// With this line of the process.
    pub(super) fn in_region(region: &str) -> Self {
        let upstream = Registry::start(Distribution::V2);
        let place = Place::new();
        let document = document(&place, &upstream, region);
        Self { seawall: place.start(&document), _upstream: upstream, document }
    }

    /// The file with each first text in place of the second.
    pub(super) fn edit(&self, changes: &[(&str, &str)]) {
        let mut text = self.document.clone();
        for (from, to) in changes {
            assert!(text.contains(from), "{from} is not in {text}");
            text = text.replacen(from, to, 1);
        }
        self.seawall.edit(&text);
    }

    fn port(&self) -> u16 {
        self.seawall.address().port()
    }

    pub(super) fn login_server(&self) -> String {
        self.seawall.place().login_server()
    }

    /// The first data endpoint of the first registry, by another name of this machine.
    pub(super) fn data_host(&self) -> String {
        format!("localhost:{}", self.port())
    }

    pub(super) fn caller(&self, user: &str) -> Caller {
        Caller { address: self.seawall.address(), authorization: Some(account(user).basic()) }
    }

    /// A request to `host` from `source`.
    pub(super) fn ask(&self, source: &str, host: &str, method: &str, target: &str, more: &[(&str, &str)]) -> Response {
        let headers = [&[("Host", host)], more].concat();
        ask(source, self.seawall.address(), method, target, &headers, b"").unwrap()
    }

    /// A request for the first data endpoint, without any credential.
    pub(super) fn visit(&self, method: &str, target: &str) -> Response {
        self.ask("127.0.0.1", &self.data_host(), method, target, &[])
    }

    /// The path and query that the login server sends `user` to for a blob of this repository.
    pub(super) fn link(&self, user: &str, repository: &str, digest: &str) -> String {
        let answer = self.caller(user).get(&format!("/v2/{repository}/blobs/{digest}")).expect(307);
        let location = answer.expect_header("Location");
        assert!(location.starts_with(&format!("http://{}/", self.data_host())), "{location}");
        path_of(location).to_owned()
    }

    pub(super) fn record(&self, answer: &Response) -> Value {
        record_of(&self.seawall, answer)
    }

    /// A 403 without a challenge, with this reason in the audit log and none to the client.
    pub(super) fn expect_refused(&self, answer: &Response, reason: &str) {
        assert_eq!((answer.status, answer.header("WWW-Authenticate")), (403, None), "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["errors"][0]["code"], "DENIED", "{body}");
        let record = self.record(answer);
        assert_eq!((&record["reason"], &record["decision"]), (&reason.into(), &"deny".into()), "{record}");
        assert_eq!(record["operation"], "blob_read", "{record}");
        assert_eq!(answer.expect_header("X-Seawall-Denial"), record["denialId"].as_str().unwrap());
    }
}

pub(super) fn account(user: &str) -> Account {
    Account::new(user, PASSWORD)
}

fn document(place: &Place, upstream: &Registry, region: &str) -> String {
    let (login, port) = (place.login_server(), place.public().port());
    let (file, url) = (place.secret("everybody", PASSWORD), upstream.url());
    let file = file.display();
    let passwords = |name: &str| format!("passwords: [ {{ name: {name}, file: \"{file}\" }} ]");
    let mut text = format!("{region}\nregistries:\n");
    let registries =
        [("myregistry", login, "localhost"), ("otherregistry", "other.test".to_owned(), "data.other.test")];
    for (name, login, data) in registries {
        write!(
            text,
            "  {name}:\n    loginServer: \"{login}\"\n    upstream: {{ url: \"{url}\" }}\n    \
             dataEndpointEnabled: true\n    \
             dataEndpoints: [ {{ region: eu, host: \"{data}:{port}\" }}, {{ region: us, host: \"us.{data}:{port}\" }} ]\n    \
             networkRuleSet: {{ defaultAction: Allow }}\n    \
             adminUserEnabled: true\n    admin: {{ {} }}\n    scopeMaps:\n      \
             everything: {{ repositories: {{ '*': [content/read, content/write, metadata/read] }} }}\n      \
             readers: {{ repositories: {{ 'mine/*': [content/read] }} }}\n    tokens:\n      {PUSHER}{} }}\n      {READER}{} }}\n",
            passwords("password"),
            passwords("password1"),
            passwords("password1"),
        )
        .unwrap();
    }
    place.document(&text)
}
