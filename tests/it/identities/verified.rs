//! A service principal whose secret the provider verifies: by the everyday clients, at the management API, and while the
//! provider is away.

use super::clients::{VERIFIED, World};
use crate::harness::client::Client;
use crate::harness::containers::Skopeo;
use crate::harness::daemons::Docker;
use crate::harness::http::{self, Response};
use crate::harness::session::Account;
use crate::harness::sources::ask;
use crate::harness::wait_until;

const PULL: &str = "repository:samples/app:pull,push";
const REGISTRY: &str =
    "/subscriptions/any/resourceGroups/any/providers/Microsoft.ContainerRegistry/registries/myregistry";

fn right() -> Account {
    Account::new(VERIFIED, &format!("{VERIFIED}-secret"))
}

impl World {
    fn send(&self, target: &str, authorization: &str) -> Response {
        let host = self.seawall.place().login_server();
        let headers = [("Host", host.as_str()), ("Authorization", authorization)];
        ask("127.0.0.1", self.seawall.address(), "GET", target, &headers, b"").unwrap()
    }

    fn log_in(&self, account: &Account) -> Response {
        let host = self.seawall.place().login_server();
        self.send(&format!("/oauth2/token?service={host}&scope={PULL}"), &account.basic())
    }

    fn look(&self, account: &Account) -> Response {
        let (management, basic) = (self.seawall.place().management(), account.basic());
        http::request(management, "GET", REGISTRY, &[("Authorization", basic.as_str())], b"").unwrap()
    }
}

/// S1-35.
#[test]
fn docker_logs_in_with_a_secret_that_the_provider_verifies() {
    World::start().pushes_and_pulls::<Docker>(&right());
}

#[test]
fn skopeo_logs_in_with_a_secret_that_the_provider_verifies() {
    let world = World::start();
    world.pushes_and_pulls::<Skopeo>(&right());
    let wrong = Account::new(VERIFIED, "wrong");
    Skopeo::new().log_in(&world.seawall.place().login_server(), &wrong).expect_failure(Skopeo::WRONG_PASSWORD);
}

#[test]
fn a_wrong_secret_is_refused_and_a_disabled_service_principal_with_what_it_obtained() {
    let world = World::start();
    for account in
        [Account::new(VERIFIED, "wrong"), Account::new(VERIFIED, "ci-bot-secret"), Account::new(VERIFIED, "")]
    {
        world.log_in(&account).expect(401);
        world.look(&account).expect(401);
    }
    // In any case, like every client id; and without a token endpoint in between.
    let upper = Account::new(&VERIFIED.to_uppercase(), &right().password);
    world.log_in(&upper).expect(200);
    assert_eq!(world.send("/v2/samples/app/manifests/none", &upper.basic()).status, 404);
    let answer = world.log_in(&right()).expect(200).json();
    assert_eq!(answer["scope"], PULL);
    let access = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let pull = || world.send("/v2/samples/app/manifests/none", &access).status;
    assert_eq!(pull(), 404, "it may look, and there is nothing");
    world.look(&right()).expect(200);
    world.disable();
    assert_eq!(pull(), 401);
    world.log_in(&right()).expect(401);
    world.look(&right()).expect(401);
}

/// What is not known is neither right nor wrong; what is known goes on for a while.
#[test]
fn a_provider_that_is_away_is_neither_a_yes_nor_a_no() {
    let mut world = World::start();
    world.provider.stop();
    let away = |world: &World, account: &Account| {
        assert!(world.log_in(account).expect(503).header("Retry-After").is_some());
        world.look(account).expect(503);
    };
    away(&world, &right());
    away(&world, &Account::new(VERIFIED, "wrong"));
    world.provider.start_again();
    wait_until("the provider is asked again", || world.log_in(&right()).status == 200);
    world.provider.stop();
    world.log_in(&right()).expect(200);
    world.look(&right()).expect(200);
    away(&world, &Account::new(VERIFIED, "wrong"));
}
