//! The everyday clients under the null GUID: the password is what the exchange gave (S1-17, S1-18, S1-31, B.1-7).

use crate::harness::client::Client;
use crate::harness::containers::{Podman, Skopeo};
use crate::harness::daemons::Docker;
use crate::harness::image::Layout;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;

struct World {
    provider: Provider,
    _upstream: Registry,
    seawall: Seawall,
}

impl World {
    fn start() -> Self {
        let (provider, upstream, place) = (Provider::start(), Registry::start(Distribution::V2), Place::new());
        let document = place.document(&format!(
            "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\n\
             identities:\n  builders: {{ type: Group, matches: [ {{ provider: corp, claims: {{ groups: builders }} }} ] }}\n\
             registries:\n  myregistry: {{ loginServer: \"{}\", upstream: {{ url: \"{}\" }}, roleAssignments: [ {{ identity: \
             builders, role: Container Registry Repository Writer, repositories: [\"samples/*\"] }} ] }}\n",
            provider.issuer(),
            place.login_server(),
            upstream.url(),
        ));
        Self { provider, _upstream: upstream, seawall: place.start(&document) }
    }

    /// What `az acr login --expose-token` gives, and `docker login` takes.
    fn account(&self) -> Account {
        let host = self.seawall.place().login_server();
        Account::new(NULL_GUID, &self.provider.refresh_token(self.seawall.address(), &host, "ci-bot"))
    }

    fn pushes_and_pulls<C: Client>(&self) {
        let mut client = C::new();
        let login_server = self.seawall.place().login_server();
        client.log_in(&login_server, &self.account()).expect_success();
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

#[test]
fn docker_logs_in_with_the_null_guid() {
    World::start().pushes_and_pulls::<Docker>();
}

#[test]
fn skopeo_logs_in_with_the_null_guid() {
    World::start().pushes_and_pulls::<Skopeo>();
}

#[test]
fn podman_logs_in_with_the_null_guid() {
    World::start().pushes_and_pulls::<Podman>();
}
