//! The everyday clients under the null GUID: the password is what the exchange gave (S1-17, S1-18, S1-31, B.1-7).

use crate::harness::client::Client;
use crate::harness::containers::{Podman, Skopeo};
use crate::harness::daemons::Docker;
use crate::harness::image::Layout;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;

/// The client id of a service principal whose secret the provider verifies.
pub(super) const VERIFIED: &str = "b7f1c0de-12b4-4abc-8def-0123456789ab";

pub(super) struct World {
    pub(super) provider: Provider,
    upstream: Registry,
    pub(super) seawall: Seawall,
}

impl World {
    pub(super) fn start() -> Self {
        let (provider, upstream, place) = (Provider::start(), Registry::start(Distribution::V2), Place::new());
        let document = place.document(&document(&provider, &upstream, &place, "enabled"));
        Self { provider, upstream, seawall: place.start(&document) }
    }

    /// Disables the service principal whose secret the provider verifies.
    pub(super) fn disable(&self) {
        let place = self.seawall.place();
        self.seawall.edit(&place.document(&document(&self.provider, &self.upstream, place, "disabled")));
    }

    /// What `az acr login --expose-token` gives, and `docker login` takes.
    fn exchanged(&self) -> Account {
        let host = self.seawall.place().login_server();
        Account::new(NULL_GUID, &self.provider.refresh_token(self.seawall.address(), &host, "ci-bot"))
    }

    pub(super) fn pushes_and_pulls<C: Client>(&self, account: &Account) {
        let mut client = C::new();
        let login_server = self.seawall.place().login_server();
        client.log_in(&login_server, account).expect_success();
        let layout = Layout::image("by an identity");
        let reference = format!("{login_server}/samples/identity:v1");
        client.load(&layout, &reference);
        client.push(&layout, &reference).expect_success();
        client.forget(&reference);
        client.pull(&reference).expect_success();
        let elsewhere = format!("{login_server}/production/identity:v1");
        client.load(&layout, &elsewhere);
        client.push(&layout, &elsewhere).expect_failure(C::REFUSED);
    }
}

fn document(provider: &Provider, upstream: &Registry, place: &Place, status: &str) -> String {
    let writes = "role: Container Registry Repository Writer, repositories: [\"samples/*\"]";
    format!(
        "identityProviders:\n  corp:\n    issuer: \"{}\"\n    audiences: [\"{AUDIENCE}\"]\n    clientCredentials: {{ \
         resource: \"{AUDIENCE}\", scopes: [registry] }}\n\
         identities:\n  builders: {{ type: Group, matches: [ {{ provider: corp, claims: {{ groups: builders }} }} ] }}\n  \
         deployer: {{ type: ServicePrincipal, status: {status}, clientId: {VERIFIED}, verifiedBy: corp, matches: [ {{ provider: \
         corp, claims: {{ client_id: {VERIFIED} }} }} ] }}\n\
         registries:\n  myregistry:\n    loginServer: \"{}\"\n    upstream: {{ url: \"{}\" }}\n    roleAssignments: [ \
         {{ identity: builders, {writes} }}, {{ identity: deployer, {writes} }}, {{ identity: deployer, role: Reader }} ]\n",
        provider.issuer(),
        place.login_server(),
        upstream.url(),
    )
}

#[test]
fn docker_logs_in_with_the_null_guid() {
    let world = World::start();
    world.pushes_and_pulls::<Docker>(&world.exchanged());
}

#[test]
fn skopeo_logs_in_with_the_null_guid() {
    let world = World::start();
    world.pushes_and_pulls::<Skopeo>(&world.exchanged());
}

#[test]
fn podman_logs_in_with_the_null_guid() {
    let world = World::start();
    world.pushes_and_pulls::<Podman>(&world.exchanged());
}
