//! Service principals by commands: each with its own rights on one registry (S1-6, S1-35, S1-36, S1-41).

use super::world::{OWN, World};
use crate::harness::http::Response;
use crate::harness::operator::run;
use crate::harness::session::Account;

const WANTED: &str = "repository:backend/app:pull,push,delete";

fn made(world: &World, name: &str, role: &str) -> Account {
    let id = run(&world.seawall, &["show", "--name", "myregistry", "--query", "id", "--output", "tsv"]).ok();
    let words = ["service-principal", "create", "--name", name, "--role", role, "--scopes", id.text()];
    let made = run(&world.seawall, &words).ok().json();
    Account::new(made["appId"].as_str().unwrap(), made["password"].as_str().unwrap())
}

fn granted(world: &World, account: &Account) -> Response {
    let target = format!("/oauth2/token?service={OWN}&scope={WANTED}");
    world.ask(OWN, "GET", &target, &account.basic(), b"")
}

fn scope(answer: Response) -> String {
    answer.expect(200).json()["scope"].as_str().unwrap().to_owned()
}

#[test]
fn several_have_different_rights_on_one_registry() {
    let world = World::start();
    let (puller, pusher, cleaner) =
        (made(&world, "puller", "acrpull"), made(&world, "pusher", "AcrPush"), made(&world, "cleaner", "AcrDelete"));
    assert_eq!(scope(granted(&world, &puller)), "repository:backend/app:pull");
    assert_eq!(scope(granted(&world, &pusher)), "repository:backend/app:pull,push");
    assert_eq!(scope(granted(&world, &cleaner)), "repository:backend/app:delete");

    // A secret that is replaced, and one that is added.
    let reset = |more: &[&str]| {
        let words = [&["service-principal", "credential", "reset", "--name", "pusher"], more].concat();
        let made = run(&world.seawall, &words).ok().json();
        Account::new(made["appId"].as_str().unwrap(), made["password"].as_str().unwrap())
    };
    let second = reset(&["--append"]);
    granted(&world, &pusher).expect(200);
    granted(&world, &second).expect(200);
    let only = reset(&[]);
    granted(&world, &only).expect(200);
    granted(&world, &pusher).expect(401);
    granted(&world, &second).expect(401);

    run(&world.seawall, &["service-principal", "delete", "--name", "pusher"]).ok();
    granted(&world, &only).expect(401);
    granted(&world, &puller).expect(200);
}
