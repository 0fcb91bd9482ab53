//! S4 by hand: one identity pulls a base image from a registry where it may only pull, and pushes what it built to another.

use crate::harness::client::Client;
use crate::harness::containers::Buildah;
use crate::harness::image::Layout;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;
use crate::harness::wait_until;

const OWNER: &str = "the password of whoever fills the base registry";

struct World {
    provider: Provider,
    _upstreams: [Registry; 2],
    seawall: Seawall,
    /// Two names of one address: each chooses a registry.
    base: String,
    own: String,
}

impl World {
    fn start(kind: &str) -> Self {
        let provider = Provider::start();
        let upstreams = [(); 2].map(|()| Registry::start(Distribution::V2));
        let place = Place::new();
        let (own, base) = (place.login_server(), format!("localhost:{}", place.public().port()));
        let owner = place.secret("owner", OWNER);
        let document = place.document(&format!(
            "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\n\
             identities:\n  my-task: {{ type: {kind}, matches: [ {{ provider: corp, claims: {{ client_id: ci-bot }} }} ] }}\n\
             registries:\n  mybaseregistry:\n    loginServer: \"{base}\"\n    upstream: {{ url: \"{}\" }}\n    adminUserEnabled: \
             true\n    admin: {{ passwords: [ {{ name: password, file: \"{}\" }} ] }}\n    roleAssignments: [ {{ identity: \
             my-task, role: acrpull }} ]\n  myregistry:\n    loginServer: \"{own}\"\n    upstream: {{ url: \"{}\" }}\n    \
             roleAssignments: [ {{ identity: my-task, role: AcrPush }} ]\n",
            provider.issuer(),
            upstreams[0].url(),
            owner.display(),
            upstreams[1].url(),
        ));
        Self { provider, _upstreams: upstreams, seawall: place.start(&document), base, own }
    }

    /// What the task logs in to `registry` with: nothing that lasts longer than it.
    fn credential(&self, registry: &str) -> Account {
        Account::new(NULL_GUID, &self.provider.refresh_token(self.seawall.address(), registry, "ci-bot"))
    }

    fn builds_on_a_base_image_of_another_registry(&self) {
        // S4-9: the base image comes to the base registry.
        let base_image = format!("{}/baseimages/node:15-alpine", self.base);
        let mut company = Buildah::new();
        company.log_in(&self.base, &Account::new("mybaseregistry", OWNER)).expect_success();
        let layout = Layout::image("base");
        company.load(&layout, &base_image);
        company.push(&layout, &base_image).expect_success();

        // S4-27: both logins, then the first step.
        let mut task = Buildah::new();
        task.log_in(&self.own, &self.credential(&self.own)).expect_success();
        task.log_in(&self.base, &self.credential(&self.base)).expect_success();
        let built = format!("{}/hello-world:cf10", self.own);
        task.build(&format!("FROM {base_image}\nCOPY Containerfile /\n"), &built).expect_success();
        task.push(&layout, &built).expect_success();

        // S4-17: pull only.
        let base_again = format!("{}/hello-world:cf10", self.base);
        task.build(&format!("FROM {base_image}\nCOPY Containerfile /\n"), &base_again).expect_success();
        task.push(&layout, &base_again).expect_failure(Buildah::REFUSED);

        // Which identity pulled what from where.
        wait_until("the audit log says who pulled the base image", || {
            self.seawall.audit().iter().any(|record| {
                record["registry"] == "mybaseregistry"
                    && record["operation"] == "manifest_read"
                    && record["principal"]["subject"] == "ci-bot"
                    && record["rule"].as_str().is_some_and(|rule| rule.contains("AcrPull"))
            })
        });
    }
}

/// S4-5, S4-14: the identity is independent of what uses it.
#[test]
fn with_a_user_assigned_identity() {
    World::start("UserAssigned").builds_on_a_base_image_of_another_registry();
}

/// S4-5, S4-19: the identity is that of the task.
#[test]
fn with_a_system_assigned_identity() {
    World::start("SystemAssigned").builds_on_a_base_image_of_another_registry();
}
