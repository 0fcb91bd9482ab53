//! Private endpoints that nobody knows become Pending connections, and the commands decide about them.

use serde_json::Value;

use super::world::{World, aws, log_in, version_2};
use crate::harness::http::Connection;
use crate::harness::operator::{Said, run, seawall};
use crate::harness::sources::connect;
use crate::harness::wait_until;
use crate::management::support::{self, Postgres};

const CLOSED: [&str; 1] = ["publicNetworkAccess: Disabled"];
const UNKNOWN: &str = "unknown private endpoint (vpcEndpointId `vpce-0new`)";

/// A client behind the endpoint `vpce-0new`. It keeps its connection as long as it is let in: a refusal closes it.
struct Behind<'a> {
    world: &'a World,
    open: Option<Connection>,
}

impl<'a> Behind<'a> {
    fn of(world: &'a World) -> Self {
        Self { world, open: None }
    }

    /// What its next request meets.
    fn meets(&mut self) -> (u16, String) {
        let world = self.world;
        let (mut open, first) = self.open.take().map_or_else(
            || {
                (
                    Connection::over(connect("127.0.0.1", world.listener("aws"))),
                    version_2("10.0.0.4", &[aws("vpce-0new")]),
                )
            },
            |open| (open, Vec::new()),
        );
        open.send(&[first, log_in()].concat());
        let answer = open.answer("GET").unwrap();
        self.open = (answer.status == 200).then_some(open);
        world.named(&answer)
    }
}

fn command(world: &World, words: &str) -> Said {
    seawall(&world.seawall, &format!("private-endpoint-connection {words} -r myregistry"))
}

/// The names and statuses in the list.
fn listed(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = command(world, "list").ok().json();
    let all = all.as_array().unwrap().iter();
    all.map(|one| (text(&one["name"]), text(&one["privateLinkServiceConnectionState"]["status"]))).collect()
}

fn becomes_pending(world: &World) {
    let expected = [("vpce-0new".to_owned(), "Pending".to_owned())];
    wait_until("the endpoint is Pending", || listed(world) == expected);
}

/// B.4-2, B.4-3, on any database.
fn decided_by_commands(world: &World) {
    let known = |status| (status, "private endpoint vpce-0new".to_owned());
    let unknown = (403, UNKNOWN.to_owned());
    let mut behind = Behind::of(world);
    assert_eq!(behind.meets(), unknown, "on the connection that was let in");
    becomes_pending(world);
    assert_eq!(behind.meets(), known(403), "Pending admits nobody");
    let shown = command(world, "show -n vpce-0new").ok().json();
    assert_eq!(shown["match"]["vpcEndpointId"], "vpce-0new", "{shown}");

    let approved = command(world, "approve -n vpce-0new").ok().json();
    assert_eq!(approved["privateLinkServiceConnectionState"]["status"], "Approved");
    assert_eq!(behind.meets(), known(200), "with the next request");
    assert_eq!(behind.meets(), known(200), "on the same connection");
    let words =
        ["private-endpoint-connection", "reject", "-r", "myregistry", "-n", "vpce-0new", "--description", "not ours"];
    run(&world.seawall, &words).ok();
    assert_eq!(behind.meets(), known(403), "on the connection that was let in");
    assert_eq!(listed(world), [("vpce-0new".to_owned(), "Rejected".to_owned())], "and stays so");
    command(world, "approve -n vpce-0new").ok();
    assert_eq!(behind.meets(), known(200));

    command(world, "delete -n vpce-0new").ok();
    assert_eq!(behind.meets(), unknown, "on the connection that was let in");
    becomes_pending(world);
    command(world, "approve -n vpce-0typo").refused("was not found");
}

#[test]
fn an_unknown_endpoint_is_pending_until_somebody_decides() {
    decided_by_commands(&World::start(&CLOSED));
}

#[test]
fn so_it_is_with_the_store_in_postgresql() {
    let database = Postgres::start();
    decided_by_commands(&World::at(support::on(&database), &CLOSED));
}

/// What a file declares is not for the commands, which say where it stands; and nothing of it becomes Pending.
#[test]
fn a_connection_of_a_file_is_decided_there() {
    let declared =
        "privateEndpointConnections: [ { name: build, match: { vpcEndpointId: vpce-0new }, status: Rejected } ]";
    let world = World::start(&[CLOSED[0], declared]);
    let mut behind = Behind::of(&world);
    assert_eq!(behind.meets(), (403, "private endpoint build".to_owned()));
    command(&world, "approve -n build").refused("seawall.yaml:");
    command(&world, "delete -n build").refused("seawall.yaml:");
    assert_eq!(behind.meets(), (403, "private endpoint build".to_owned()));
    assert_eq!(listed(&world), [("build".to_owned(), "Rejected".to_owned())]);
}

/// B.4-10: a virtual network by a command.
#[test]
fn a_virtual_network_is_let_in_by_a_command() {
    let world = World::start(&[]);
    let rule = |words: &str| seawall(&world.seawall, &format!("network-rule {words} -n myregistry"));
    seawall(&world.seawall, "update -n myregistry --default-action Deny").ok();
    let status = || world.seen(&world.log_in("vnet", "127.0.0.1", b"").unwrap());
    assert_eq!(status(), (403, "public".to_owned()));
    rule("add --listener vnet --rule-name inner").ok();
    assert_eq!(status(), (200, "virtual network inner".to_owned()));
    assert_eq!(world.log_in("public", "127.0.0.1", b"").unwrap().status, 403);
    rule("remove --listener vnet").ok();
    assert_eq!(status(), (403, "public".to_owned()));
}
