//! Real clients through seawall: each logs in, pushes and pulls a multi-layer and a multi-arch image, as a token and as
//! the admin account, and is refused, in its own words, what the token's scope map does not give.

use crate::harness::client::Client;
use crate::harness::containers::{Buildah, Podman, Skopeo};
use crate::harness::daemons::{Containerd, Docker};
use crate::harness::image::Layout;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;

const ADMIN_PASSWORD: &str = "an-admin-password-of-a-test";
const TOKEN_PASSWORD: &str = "a-token-password-of-a-test";

/// A registry with seawall before it: the admin account, and a token for everything under `samples/`.
struct World {
    upstream: Registry,
    seawall: Seawall,
}

impl World {
    fn start() -> Self {
        let upstream = Registry::start(Distribution::V2);
        let place = Place::new();
        let admin = place.secret("admin", ADMIN_PASSWORD);
        let token = place.secret("ci-push", TOKEN_PASSWORD);
        let document = place.document(&format!(
            "
registries:
  myregistry:
    loginServer: \"{login_server}\"
    upstream: {{ url: \"{upstream}\" }}
    adminUserEnabled: true
    admin: {{ passwords: [ {{ name: password, file: \"{admin}\" }} ] }}
    scopeMaps:
      samples: {{ repositories: {{ \"samples/*\": [content/read, content/write] }} }}
    tokens:
      ci-push: {{ scopeMap: samples, passwords: [ {{ name: password1, file: \"{token}\" }} ] }}
",
            login_server = place.login_server(),
            upstream = upstream.url(),
            admin = admin.display(),
            token = token.display(),
        ));
        let seawall = place.start(&document);
        Self { upstream, seawall }
    }

    fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.seawall.place().login_server())
    }
}

fn token() -> Account {
    Account::new("ci-push", TOKEN_PASSWORD)
}

fn admin() -> Account {
    Account::new("myregistry", ADMIN_PASSWORD)
}

/// Logs in, pushes, forgets and pulls again; what comes back is what went up.
fn pushes_and_pulls<C: Client>(account: &Account, repository: &str) {
    let world = World::start();
    let mut client = C::new();
    client.log_in(&world.seawall.place().login_server(), account).expect_success();

    for (tag, layout) in [("layers", Layout::image("three layers")), ("arches", Layout::index("two images"))] {
        let reference = world.reference(repository, tag);
        let identity = client.load(&layout, &reference);
        client.push(&layout, &reference).expect_success();
        client.forget(&reference);
        assert_eq!(client.identity(&reference), None, "the pull that follows must need the registry");
        client.pull(&reference).expect_success();
        assert_eq!(client.identity(&reference), Some(identity));
    }

    let layers = world.upstream.manifest(repository, "layers").expect(200).json();
    assert_eq!(layers["layers"].as_array().map(Vec::len), Some(3), "{layers}");
    let arches = world.upstream.manifest(repository, "arches").expect(200).json();
    assert_eq!(arches["manifests"].as_array().map(Vec::len), Some(2), "{arches}");
    let audit = world.seawall.audit();
    assert!(audit.iter().any(|record| record.to_string().contains(&account.user)), "the audit names who it was");
}

/// A token logs in, and neither pushes to nor pulls from a repository that its scope map does not name.
fn is_refused_outside_the_scope_map<C: Client>() {
    let world = World::start();
    let mut client = C::new();
    client.log_in(&world.seawall.place().login_server(), &token()).expect_success();

    let reference = world.reference("production/app", "v1");
    let layout = Layout::image("not for production");
    client.load(&layout, &reference);
    client.push(&layout, &reference).expect_failure(C::REFUSED);
    world.upstream.manifest("production/app", "v1").expect(404);
}

/// A wrong password is refused at login or, by the client that has none, at the first transfer.
fn is_refused_with_a_wrong_password<C: Client>() {
    let world = World::start();
    let mut client = C::new();
    let account = Account::new("ci-push", "a-wrong-password");
    let login = client.log_in(&world.seawall.place().login_server(), &account);
    if !login.succeeded {
        login.expect_failure(C::WRONG_PASSWORD);
        return;
    }
    let reference = world.reference("samples/app", "v1");
    let layout = Layout::image("not to be pushed");
    client.load(&layout, &reference);
    client.push(&layout, &reference).expect_failure(C::WRONG_PASSWORD);
    world.upstream.manifest("samples/app", "v1").expect(404);
}

#[test]
fn skopeo_pushes_and_pulls_as_a_token() {
    pushes_and_pulls::<Skopeo>(&token(), "samples/skopeo");
}

#[test]
fn skopeo_pushes_and_pulls_as_the_admin() {
    pushes_and_pulls::<Skopeo>(&admin(), "anything/skopeo");
}

#[test]
fn skopeo_is_refused_outside_the_scope_map() {
    is_refused_outside_the_scope_map::<Skopeo>();
}

#[test]
fn skopeo_is_refused_with_a_wrong_password() {
    is_refused_with_a_wrong_password::<Skopeo>();
}

#[test]
fn podman_pushes_and_pulls_as_a_token() {
    pushes_and_pulls::<Podman>(&token(), "samples/podman");
}

#[test]
fn podman_pushes_and_pulls_as_the_admin() {
    pushes_and_pulls::<Podman>(&admin(), "anything/podman");
}

#[test]
fn podman_is_refused_outside_the_scope_map() {
    is_refused_outside_the_scope_map::<Podman>();
}

#[test]
fn podman_is_refused_with_a_wrong_password() {
    is_refused_with_a_wrong_password::<Podman>();
}

#[test]
fn buildah_pushes_and_pulls_as_a_token() {
    pushes_and_pulls::<Buildah>(&token(), "samples/buildah");
}

#[test]
fn buildah_pushes_and_pulls_as_the_admin() {
    pushes_and_pulls::<Buildah>(&admin(), "anything/buildah");
}

#[test]
fn buildah_is_refused_outside_the_scope_map() {
    is_refused_outside_the_scope_map::<Buildah>();
}

#[test]
fn buildah_is_refused_with_a_wrong_password() {
    is_refused_with_a_wrong_password::<Buildah>();
}

#[test]
fn containerd_pushes_and_pulls_as_a_token() {
    pushes_and_pulls::<Containerd>(&token(), "samples/containerd");
}

#[test]
fn containerd_pushes_and_pulls_as_the_admin() {
    pushes_and_pulls::<Containerd>(&admin(), "anything/containerd");
}

#[test]
fn containerd_is_refused_outside_the_scope_map() {
    is_refused_outside_the_scope_map::<Containerd>();
}

#[test]
fn containerd_is_refused_with_a_wrong_password() {
    is_refused_with_a_wrong_password::<Containerd>();
}

#[test]
fn docker_pushes_and_pulls_as_a_token() {
    pushes_and_pulls::<Docker>(&token(), "samples/docker");
}

#[test]
fn docker_pushes_and_pulls_as_the_admin() {
    pushes_and_pulls::<Docker>(&admin(), "anything/docker");
}

#[test]
fn docker_is_refused_outside_the_scope_map() {
    is_refused_outside_the_scope_map::<Docker>();
}

#[test]
fn docker_is_refused_with_a_wrong_password() {
    is_refused_with_a_wrong_password::<Docker>();
}
