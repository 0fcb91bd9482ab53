//! Several registries on one listener: the Host chooses, and nothing of one is good at another (threat classes A and H).

use serde_json::Value;

use crate::harness::http::Response;
use crate::harness::image::digest;
use crate::harness::nearby::{PASSWORD, worker};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::{Account, parameter};
use crate::harness::sources::{ask, record_of};

const ALPHA: &str = "alpha.test";
const BETA: &str = "beta.test";

/// Two registries with a token `worker` of the same name and password in each, and one of its own in each.
struct Two {
    seawall: Seawall,
    _upstreams: [Registry; 2],
}

impl Two {
    fn start() -> Self {
        let upstreams = [(); 2].map(|()| Registry::start(Distribution::V2));
        let place = Place::new();
        let shared = place.secret("worker", PASSWORD);
        let admin = place.secret("admin", "the-password-of-an-admin");
        let one = |name: &str, host: &str, upstream: &Registry, denied: &str| {
            let own = place.secret(name, &own_password(name));
            format!(
                "  {name}:\n    loginServer: {host}\n    upstream: {{ url: \"{}\" }}\n    adminUserEnabled: true\n    \
                 admin: {{ passwords: [ {{ name: password, file: \"{}\" }} ] }}\n    networkRuleSet: {{ ipRules: [ {{ \
                 value: {denied}, action: Deny }} ] }}\n    tokens:\n      worker: {{ scopeMap: \
                 _repositories_admin, passwords: [ {{ name: password1, file: \"{}\" }} ] }}\n      {name}-only: {{ \
                 scopeMap: _repositories_pull, passwords: [ {{ name: password1, file: \"{}\" }} ] }}\n",
                upstream.url(),
                admin.display(),
                shared.display(),
                own.display()
            )
        };
        let registries =
            one("alpha", ALPHA, &upstreams[0], "127.0.0.2") + &one("beta1", BETA, &upstreams[1], "127.0.0.3");
        let document = place.document(&format!("registries:\n{registries}"));
        Self { seawall: place.start(&document), _upstreams: upstreams }
    }

    fn ask(&self, host: &str, method: &str, target: &str, authorization: &str, body: &[u8]) -> Response {
        self.ask_from("127.0.0.1", host, method, target, authorization, body)
    }

    fn ask_from(
        &self,
        source: &str,
        host: &str,
        method: &str,
        target: &str,
        authorization: &str,
        body: &[u8],
    ) -> Response {
        let headers = [("Host", host), ("Authorization", authorization)];
        ask(source, self.seawall.address(), method, target, &headers, body).unwrap()
    }

    fn access_token(&self, host: &str, service: &str) -> Response {
        let target = format!("/oauth2/token?service={service}&scope=repository:team/app:pull,push");
        self.ask(host, "GET", &target, &worker().basic(), b"")
    }

    /// Begins an upload; returns its location.
    fn begin(&self, host: &str) -> String {
        let started = self.ask(host, "POST", "/v2/team/app/blobs/uploads/", &worker().basic(), b"").expect(202);
        started.expect_header("Location").to_owned()
    }
}

fn own_password(name: &str) -> String {
    format!("the-own-password-of-{name}")
}

fn bearer(answer: Response) -> String {
    let body: Value = answer.expect(200).json();
    format!("Bearer {}", body["access_token"].as_str().unwrap())
}

fn finish(location: &str, bytes: &[u8]) -> String {
    format!("{location}{}digest={}", if location.contains('?') { '&' } else { '?' }, digest(bytes))
}

#[test]
fn the_host_leads_to_a_registry_with_content_and_network_rules_of_its_own() {
    let two = Two::start();
    let bytes = b"only in alpha";
    two.ask(ALPHA, "PUT", &finish(&two.begin(ALPHA), bytes), &worker().basic(), bytes).expect(201);
    let blob = format!("/v2/team/app/blobs/{}", digest(bytes));
    assert_eq!(two.ask(ALPHA, "GET", &blob, &worker().basic(), b"").expect(200).body, bytes);
    two.ask(BETA, "GET", &blob, &worker().basic(), b"").expect(404);

    for (source, host, status) in [
        ("127.0.0.2", ALPHA, 403),
        ("127.0.0.2", BETA, 404),
        ("127.0.0.3", ALPHA, 200),
        ("127.0.0.3", BETA, 403),
        ("127.0.0.4", ALPHA, 200),
    ] {
        let answer = two.ask_from(source, host, "GET", &blob, &worker().basic(), b"");
        assert_eq!(answer.status, status, "{source} {host}");
        let registry = if host == ALPHA { "alpha" } else { "beta1" };
        assert_eq!(record_of(&two.seawall, &answer)["registry"], registry);
    }
}

/// Threat class H (MCP Registry CVE-2026-44428): the audience is this registry, whatever else is the same.
#[test]
fn an_access_token_of_one_registry_is_refused_at_the_other() {
    let two = Two::start();
    let location = "/v2/team/app/blobs/uploads/";
    for (own, other) in [(ALPHA, BETA), (BETA, ALPHA)] {
        let authorization = bearer(two.access_token(own, own));
        two.ask(own, "POST", location, &authorization, b"").expect(202);
        let refused = two.ask(other, "POST", location, &authorization, b"").expect(401);
        let challenge = refused.expect_header("WWW-Authenticate");
        assert_eq!((&*parameter(challenge, "error"), &*parameter(challenge, "service")), ("invalid_token", other));
        let record = record_of(&two.seawall, &refused);
        assert!(record.get("principal").is_none_or(|principal| principal["kind"] != "token"), "{record}");

        // Asking for the other one's service by name does not help either.
        let asked = two.access_token(own, other);
        if asked.status == 200 {
            two.ask(other, "POST", location, &bearer(asked), b"").expect(401);
        }
        // Nor does the token endpoint of the other one take it for a password under the null GUID.
        let token = authorization.trim_start_matches("Bearer ");
        let guid = Account::new("00000000-0000-0000-0000-000000000000", token);
        for (host, status) in [(other, 401), (own, 200)] {
            let target = format!("/oauth2/token?service={host}&scope=repository:team/app:pull");
            two.ask(host, "GET", &target, &guid.basic(), b"").expect(status);
        }
    }
}

#[test]
fn names_and_passwords_are_those_of_one_registry() {
    let two = Two::start();
    let account = |user: &str, password: &str| Account::new(user, password).basic();
    let admin = "the-password-of-an-admin";
    for (host, authorization, status) in [
        (ALPHA, account("alpha-only", &own_password("alpha")), 200),
        (BETA, account("alpha-only", &own_password("alpha")), 401),
        (BETA, account("beta1-only", &own_password("beta1")), 200),
        (ALPHA, account("beta1-only", &own_password("beta1")), 401),
        // The admin account is named like its registry.
        (ALPHA, account("alpha", admin), 200),
        (ALPHA, account("beta1", admin), 401),
        (BETA, account("beta1", admin), 200),
        (BETA, account("alpha", admin), 401),
    ] {
        // Twice: the second answer comes from the cache of verified passwords.
        for _ in 0..2 {
            assert_eq!(two.ask(host, "GET", "/v2/", &authorization, b"").status, status, "{host} {authorization}");
        }
    }
}

/// Threat class A (Quay CVE-2026-32589): an upload session belongs to one registry.
#[test]
fn an_upload_begun_at_one_registry_cannot_be_continued_at_the_other() {
    let two = Two::start();
    let bytes = b"begun at alpha";
    let location = two.begin(ALPHA);
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        let target = if method == "PUT" { finish(&location, bytes) } else { location.clone() };
        let body: &[u8] = if matches!(method, "PATCH" | "PUT") { bytes } else { b"" };
        let refused = two.ask(BETA, method, &target, &worker().basic(), body);
        assert_eq!((refused.status, refused.header("Location")), (404, None), "{method}");
    }
    two.ask(ALPHA, "PUT", &finish(&location, bytes), &worker().basic(), bytes).expect(201);
}
