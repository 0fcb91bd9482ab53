//! Kubernetes clusters, which pull and do nothing else: attached ones, and those of another tenant (S1-4, S1-8, S1-9).
//!
//! The node's part is containerd's own client, with what a pull secret holds.

use std::fs;

use crate::harness::client::Client;
use crate::harness::daemons::Containerd;
use crate::harness::http;
use crate::harness::image::Layout;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;

const CLIENT_ID: &str = "7d0f4a3e-5f0b-4c1e-9a51-2f6d0a1b2c3d";
const SECRET: &str = "the secret of the cluster's service principal";
const OWNER: &str = "the password of whoever fills the registry";

/// The cluster's own issuer is one that only the cluster reaches: the registry has a copy of its keys. Another tenant has a
/// provider of its own. Both clusters are given more than a cluster may have.
struct World {
    cluster: Provider,
    other_tenant: Provider,
    _upstream: Registry,
    seawall: Seawall,
}

impl World {
    fn start() -> Self {
        let (cluster, other_tenant) = (Provider::start(), Provider::start());
        let (upstream, place) = (Registry::start(Distribution::V2), Place::new());
        let keys = place.path().join("cluster-keys.json");
        fs::write(&keys, http::get(cluster.address(), "/jwks").unwrap().expect(200).body).unwrap();
        let document = place.document(&format!(
            "identityProviders:\n  cluster: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"], jwks: {{ file: \"{}\" }} }}\n  \
             other-tenant: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\n\
             identities:\n  attached: {{ type: KubernetesCluster, matches: [ {{ provider: cluster, claims: {{ client_id: ci-bot }} }} ] }}\n  \
             visiting: {{ type: KubernetesCluster, matches: [ {{ provider: other-tenant, claims: {{ client_id: ci-bot }} }} ] }}\n  \
             pull-secret: {{ type: ServicePrincipal, clientId: {CLIENT_ID}, secrets: [ {{ name: password1, file: \"{}\" }} ] }}\n\
             registries:\n  myregistry:\n    loginServer: \"{}\"\n    upstream: {{ url: \"{}\" }}\n    adminUserEnabled: true\n    \
             admin: {{ passwords: [ {{ name: password, file: \"{}\" }} ] }}\n    roleAssignments:\n      - {{ identity: attached, role: \
             Owner }}\n      - {{ identity: visiting, role: AcrPush }}\n      - {{ identity: pull-secret, role: AcrPull }}\n",
            cluster.issuer(),
            keys.display(),
            other_tenant.issuer(),
            place.secret("service-principal", SECRET).display(),
            place.login_server(),
            upstream.url(),
            place.secret("owner", OWNER).display(),
        ));
        Self { cluster, other_tenant, _upstream: upstream, seawall: place.start(&document) }
    }

    /// What a node of `cluster` logs in with.
    fn account(&self, cluster: &Provider) -> Account {
        let host = self.seawall.place().login_server();
        Account::new(NULL_GUID, &cluster.refresh_token(self.seawall.address(), &host, "ci-bot"))
    }

    fn pulls_and_does_nothing_else(&self, account: &Account) {
        let mut node = Containerd::new();
        let reference = format!("{}/samples/app:v1", self.seawall.place().login_server());
        let layout = Layout::image("for a cluster");
        node.log_in(&reference, &Account::new("myregistry", OWNER)).expect_success();
        node.load(&layout, &reference);
        node.push(&layout, &reference).expect_success();
        node.forget(&reference);

        node.log_in(&reference, account).expect_success();
        node.pull(&reference).expect_success();
        let another = format!("{}/samples/app:v2", self.seawall.place().login_server());
        node.load(&layout, &another);
        node.push(&layout, &another).expect_failure(Containerd::REFUSED);
    }
}

/// S1-8. Its issuer cannot be reached: the keys are in a file.
#[test]
fn an_attached_cluster_pulls_and_does_nothing_else() {
    let mut world = World::start();
    let account = world.account(&world.cluster);
    world.cluster.stop();
    world.pulls_and_does_nothing_else(&account);
}

/// S1-9: it is not in the directory of the registry's owner.
#[test]
fn a_cluster_of_another_tenant_pulls_and_does_nothing_else() {
    let world = World::start();
    world.pulls_and_does_nothing_else(&world.account(&world.other_tenant));
}

/// S1-6, B.6-3: a pull secret with a service principal's id and secret, on whatever cluster.
#[test]
fn a_pull_secret_holds_a_service_principal() {
    let world = World::start();
    world.pulls_and_does_nothing_else(&Account::new(CLIENT_ID, SECRET));
}

/// Two tenants may have somebody of the same name. Each is only himself.
#[test]
fn a_tenant_speaks_of_its_own_subjects_only() {
    let world = World::start();
    let host = world.seawall.place().login_server();
    let claims = |provider: &Provider| {
        let refresh_token = provider.refresh_token(world.seawall.address(), &host, "ci-bot");
        let form =
            format!("grant_type=refresh_token&service={host}&scope=registry:catalog:*&refresh_token={refresh_token}");
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        http::request_to(world.seawall.address(), &host, "POST", "/oauth2/token", &headers, form.as_bytes()).unwrap()
    };
    for provider in [&world.cluster, &world.other_tenant] {
        assert_eq!(claims(provider).expect(200).json()["scope"], "", "no catalog for a cluster, Owner or not");
    }
    crate::harness::wait_until("each is told from the other", || {
        let records = world.seawall.audit();
        let of = |provider: &str| records.iter().any(|record| record["principal"]["provider"] == provider);
        of("cluster") && of("other-tenant")
    });
}
