//! Everyday clients as trusted services: each condition on, and off.

use super::world::{MANIFEST, Rules, SCANNER, USUAL, World};
use crate::harness::client::Client;
use crate::harness::containers::Skopeo;
use crate::harness::daemons::{Containerd, Docker};
use crate::harness::image::Layout;
use crate::harness::sources::record_of;

/// S2-2, S2-16, S2-32: the role decides what the task does, and a scanner reads without one.
fn pulls_and_does_not_push<C: Client>(world: &World, client: &str) {
    let mut one = C::new();
    let host = world.host();
    one.log_in(&host, &world.account(client)).expect_success();
    one.pull(&format!("{host}/samples/app:v1")).expect_success();
    let layout = Layout::image("by a trusted service");
    let reference = format!("{host}/samples/app:v2");
    one.load(&layout, &reference);
    one.push(&layout, &reference).expect_failure(C::REFUSED);
}

#[test]
fn docker_is_a_trusted_service() {
    let world = World::start();
    pulls_and_does_not_push::<Docker>(&world, "ci-bot");
}

#[test]
fn containerd_is_a_trusted_service() {
    let world = World::start();
    pulls_and_does_not_push::<Containerd>(&world, SCANNER);
}

#[test]
fn skopeo_is_a_trusted_service() {
    let world = World::start();
    pulls_and_does_not_push::<Skopeo>(&world, "ci-bot");
    pulls_and_does_not_push::<Skopeo>(&world, SCANNER);
}

/// One condition off at a time: the token that was good a moment ago is refused at once (S2-38).
#[test]
fn each_condition_ends_what_was_possible() {
    let world = World::start();
    let (task, scanner) = (world.access_token("ci-bot"), world.access_token(SCANNER));
    let asks = |token: &str| world.ask("GET", MANIFEST, &format!("Bearer {token}"), b"");
    let pulled = asks(&task).expect(200);
    let record = record_of(&world.seawall, &pulled);
    assert_eq!(
        (&record["network"], &record["principal"]["identities"]),
        (&"trusted service tasks".into(), &serde_json::json!(["build"])),
        "{record}"
    );
    let read = record_of(&world.seawall, &asks(&scanner).expect(200));
    assert!(read["rule"].as_str().unwrap().starts_with("trusted service scanner ("), "{read}");
    let closed = "publicNetworkAccess: Disabled";
    let off = [
        // The switch (S2-22), of which there is one for tasks alone (E-5); S2-6.
        (Rules { registry: &format!("{closed}\n    networkRuleBypassOptions: None"), ..USUAL }, [403, 403], "is None"),
        (
            Rules { registry: &format!("{closed}\n    networkRuleBypassAllowedForTasks: false"), ..USUAL },
            [403, 200],
            "networkRuleBypassAllowedForTasks is false",
        ),
        (
            Rules {
                registry: "networkRuleSet: { defaultAction: Deny, virtualNetworkRules: [ { name: lab, match: { sourceNetwork: \
                           10.9.0.0/16 } } ] }",
                ..USUAL
            },
            [403, 403],
            "virtual network rules",
        ),
        (Rules { trusted: "{ service: scanner, identity: scan }", ..USUAL }, [403, 200], "none of its identities"),
        (Rules { trusted: "", ..USUAL }, [403, 403], "publicNetworkAccess is Disabled"),
        // Whoever passes is asked for his role all the same.
        (Rules { role: "", ..USUAL }, [401, 200], "no role on this registry"),
    ];
    for (rules, expected, why) in off {
        world.change(rules);
        let answer = asks(&task).expect(expected[0]);
        let record = record_of(&world.seawall, &answer);
        assert!(record["rule"].as_str().unwrap().contains(why), "{why}: {record}");
        asks(&scanner).expect(expected[1]);
        world.change(USUAL);
        asks(&task).expect(200);
    }
    // Rules for addresses refuse, too, and are passed, too.
    for registry in [
        "networkRuleSet: { defaultAction: Deny }",
        "networkRuleSet: { ipRules: [ { value: 127.0.0.0/8, action: Deny } ] }",
    ] {
        world.change(Rules { registry, ..USUAL });
        asks(&task).expect(200);
        world.exchange("stranger").expect(403);
    }
}

/// S2-5, S2-13: another identity with the same role, and one of another kind.
#[test]
fn another_identity_is_not_trusted() {
    let world = World::start();
    let refused = world.exchange("stranger").expect(403);
    let record = record_of(&world.seawall, &refused);
    assert!(record["rule"].as_str().unwrap().contains("none of its identities is a trusted service"), "{record}");
    let trusted = "{ service: machineLearning, identity: other }";
    world.change(Rules { kind: "UserAssigned", trusted, ..USUAL });
    world.exchange("ci-bot").expect(403);
    world.exchange("stranger").expect(200);
}
