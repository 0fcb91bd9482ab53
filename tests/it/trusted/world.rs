//! A registry without public access; `ci-bot` is a build task, `stranger` somebody else, and a third client a scanner.

use crate::harness::http::Response;
use crate::harness::image::Layout;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;
use crate::harness::sources::ask;

/// The client that is the scanner.
pub(super) const SCANNER: &str = "b7f1c0de-12b4-4abc-8def-0123456789ab";
pub(super) const PASSWORD: &str = "the password of the admin account";
pub(super) const SOURCE: &str = "127.0.0.9";
pub(super) const MANIFEST: &str = "/v2/samples/app/manifests/v1";

pub(super) struct World {
    pub(super) provider: Provider,
    upstream: Registry,
    pub(super) seawall: Seawall,
}

/// What is not as usual.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) registry: &'a str,
    pub(super) role: &'a str,
    pub(super) kind: &'a str,
    pub(super) trusted: &'a str,
}

pub(super) const USUAL: Rules<'static> = Rules {
    registry: "publicNetworkAccess: Disabled",
    role: "{ identity: build, role: AcrPull }, { identity: other, role: AcrPull }",
    kind: "SystemAssigned",
    trusted: "{ service: tasks, identity: build }, { service: scanner, identity: scan }",
};

impl World {
    /// With `samples/app:v1` in the registry.
    pub(super) fn start() -> Self {
        Self::start_in(Place::new())
    }

    /// The same in a place that was prepared.
    pub(super) fn start_in(place: Place) -> Self {
        let (provider, upstream) = (Provider::start(), Registry::start(Distribution::V2));
        let document = place.document(&document(&provider, &upstream, &place, USUAL));
        let world = Self { provider, upstream, seawall: place.start(&document) };
        world.fill();
        world
    }

    /// The same with other rules.
    pub(super) fn change(&self, rules: Rules<'_>) {
        let place = self.seawall.place();
        self.seawall.edit(&place.document(&document(&self.provider, &self.upstream, place, rules)));
    }

    /// Behind seawall's back, which lets nobody in.
    fn fill(&self) {
        let home = crate::harness::client::Home::new();
        let directory = home.path().join("filled");
        Layout::image("behind closed doors").write(&directory, "latest");
        let target = format!("docker://{}/samples/app:v1", self.upstream.address());
        let source = format!("oci:{}:latest", directory.display());
        home.run("skopeo", &["copy", "--dest-tls-verify=false", &source, &target]).expect_success();
    }

    pub(super) fn host(&self) -> String {
        self.seawall.place().login_server()
    }

    /// What `docker login` takes.
    pub(super) fn account(&self, client: &str) -> Account {
        Account::new(NULL_GUID, &self.provider.refresh_token(self.seawall.address(), &self.host(), client))
    }

    pub(super) fn ask(&self, method: &str, target: &str, authorization: &str, body: &[u8]) -> Response {
        let host = self.host();
        let accept = "application/vnd.oci.image.manifest.v1+json";
        let headers = [("Host", host.as_str()), ("Accept", accept), ("Authorization", authorization)];
        let headers = if authorization.is_empty() { &headers[..2] } else { &headers[..] };
        ask(SOURCE, self.seawall.address(), method, target, headers, body).unwrap()
    }

    pub(super) fn form(&self, target: &str, form: &str) -> Response {
        let host = self.host();
        let headers = [("Host", host.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        ask(SOURCE, self.seawall.address(), "POST", target, &headers, form.as_bytes()).unwrap()
    }

    /// The answer to a refresh token.
    pub(super) fn exchange(&self, client: &str) -> Response {
        let token = self.provider.token(client);
        self.form("/oauth2/exchange", &format!("grant_type=access_token&service={}&access_token={token}", self.host()))
    }

    /// An access token for everything that may be had.
    pub(super) fn access_token(&self, client: &str) -> String {
        let refresh = self.exchange(client).expect(200).json()["refresh_token"].as_str().unwrap().to_owned();
        let form = format!(
            "grant_type=refresh_token&service={}&scope=repository:samples/app:*&refresh_token={refresh}",
            self.host()
        );
        let answer = self.form("/oauth2/token", &form).expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

fn document(provider: &Provider, upstream: &Registry, place: &Place, rules: Rules<'_>) -> String {
    let identity = |name: &str, kind: &str, client: &str| {
        format!("  {name}: {{ type: {kind}, matches: [ {{ provider: corp, claims: {{ client_id: {client} }} }} ] }}\n")
    };
    format!(
        "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\nidentities:\n{}{}{}registries:\n  \
         myregistry:\n    loginServer: \"{}\"\n    upstream: {{ url: \"{}\" }}\n    adminUserEnabled: true\n    \
         anonymousPullEnabled: true\n    admin: {{ passwords: [ {{ name: password, file: \"{}\" }} ] }}\n    {}\n    \
         trustedServices: [ {} ]\n    roleAssignments: [ {} ]\n",
        provider.issuer(),
        identity("build", rules.kind, "ci-bot"),
        identity("other", "SystemAssigned", "stranger"),
        identity("scan", "UserAssigned", SCANNER),
        place.login_server(),
        upstream.url(),
        place.secret("admin", PASSWORD).display(),
        rules.registry,
        rules.trusted,
        rules.role,
    )
}
