//! Two registries, one provider: `build-agent` may pull from `mybaseregistry` and push to `myregistry` (S4).

use crate::harness::http::Response;
use crate::harness::provider::{AUDIENCE, Provider, exchange};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::sources::ask;

pub(super) const BASE: &str = "mybaseregistry.test";
pub(super) const OWN: &str = "myregistry.test";
/// A service principal's user name and secret.
pub(super) const CLIENT_ID: &str = "7d0f4a3e-5f0b-4c1e-9a51-2f6d0a1b2c3d";
pub(super) const CLIENT_SECRET: &str = "the secret of a service principal";

pub(super) struct World {
    pub(super) provider: Provider,
    pub(super) seawall: Seawall,
    upstreams: [Registry; 2],
}

impl World {
    pub(super) fn start() -> Self {
        Self::of(Provider::start())
    }

    pub(super) fn of(provider: Provider) -> Self {
        let upstreams = [(); 2].map(|()| Registry::start(Distribution::V2));
        let place = Place::new();
        let secret = place.secret("service-principal", CLIENT_SECRET);
        let urls = [upstreams[0].url(), upstreams[1].url()];
        let text = place.document(&document(&provider, &urls, &secret.display().to_string(), ASSIGNED));
        Self { provider, seawall: place.start(&text), upstreams }
    }

    /// The same with other role assignments.
    pub(super) fn assign(&self, assignments: [&str; 2]) {
        let place = self.seawall.place();
        let secret = place.secret("service-principal", CLIENT_SECRET);
        let urls = [self.upstreams[0].url(), self.upstreams[1].url()];
        let text = document(&self.provider, &urls, &secret.display().to_string(), assignments);
        self.seawall.edit(&place.document(&text));
    }

    pub(super) fn ask(&self, host: &str, method: &str, target: &str, authorization: &str, body: &[u8]) -> Response {
        let headers = [("Host", host), ("Authorization", authorization)];
        let headers = if authorization.is_empty() { &headers[..1] } else { &headers[..] };
        ask("127.0.0.1", self.seawall.address(), method, target, headers, body).unwrap()
    }

    pub(super) fn form(&self, host: &str, target: &str, form: &str) -> Response {
        let headers = [("Host", host), ("Content-Type", "application/x-www-form-urlencoded")];
        ask("127.0.0.1", self.seawall.address(), "POST", target, &headers, form.as_bytes()).unwrap()
    }

    pub(super) fn exchange(&self, host: &str, token: &str) -> Response {
        exchange(self.seawall.address(), host, token)
    }

    /// A refresh token of the client `ci-bot`.
    pub(super) fn refresh_token(&self, host: &str) -> String {
        self.provider.refresh_token(self.seawall.address(), host, "ci-bot")
    }

    pub(super) fn access_token(&self, host: &str, refresh_token: &str, scope: &str) -> Response {
        let form = format!("grant_type=refresh_token&service={host}&scope={scope}&refresh_token={refresh_token}");
        self.form(host, "/oauth2/token", &form)
    }

    /// An access token of the client `ci-bot` for `scope`.
    pub(super) fn log_in(&self, host: &str, scope: &str) -> String {
        let answer = self.access_token(host, &self.refresh_token(host), scope).expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

/// Who may what at the base registry, and at the own one.
pub(super) const ASSIGNED: [&str; 2] = [
    "{ identity: build-agent, role: acrpull }",
    "{ identity: build-agent, role: AcrPush }, { identity: deployer, role: AcrPull }",
];

fn document(provider: &Provider, urls: &[String; 2], secret: &str, [base, own]: [&str; 2]) -> String {
    let issuer = provider.issuer();
    let [base_url, own_url] = urls;
    format!(
        "identityProviders:\n  corp: {{ issuer: \"{issuer}\", audiences: [\"{AUDIENCE}\"] }}\n\
         identities:\n  build-agent: {{ type: UserAssigned, matches: [ {{ provider: corp, claims: {{ client_id: ci-bot }} }} ] }}\n  \
         deployer: {{ type: ServicePrincipal, clientId: {CLIENT_ID}, secrets: [ {{ name: password1, file: \"{secret}\" }} ] }}\n\
         registries:\n  mybaseregistry: {{ loginServer: {BASE}, upstream: {{ url: \"{base_url}\" }}, roleAssignments: [ {base} ] }}\n  \
         myregistry: {{ loginServer: {OWN}, upstream: {{ url: \"{own_url}\" }}, roleAssignments: [ {own} ] }}\n"
    )
}
