//! Two replicas on one PostgreSQL: what is changed at one is in force at the other, and both serve while the database is
//! away.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{self, Postgres};
use super::walkthrough::password;
use crate::harness::http;
use crate::harness::image::digest;
use crate::harness::manager::Manager;
use crate::harness::operator::seawall;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Seawall;
use crate::harness::session::{Account, Session};
use crate::harness::{stopwatch::Stopwatch, wait_until};

struct World {
    _upstream: Registry,
    database: Postgres,
    one: Seawall,
    other: Seawall,
}

impl World {
    fn start() -> Self {
        let upstream = Registry::start(Distribution::V2);
        let database = Postgres::start();
        let one = support::replica(&upstream, &database);
        // The same login server: two replicas behind one load balancer.
        let other = support::replica_named(&upstream, &database, &one.place().login_server());
        Self { _upstream: upstream, database, one, other }
    }

    fn token(&self) -> Value {
        seawall(&self.one, "token create -n MyToken -r myregistry --repository samples/app content/read content/write")
            .ok()
            .json()
    }

    /// A session at the other replica.
    fn session(&self, user: &str, password: &str) -> Session {
        Session::named(self.other.address(), &self.one.place().login_server(), Account::new(user, password))
    }
}

/// Asks the other replica until it refuses, for at most one second.
fn refused(what: &str, mut ask: impl FnMut() -> u16) {
    let watch = Stopwatch::start();
    while ask() != 401 {
        assert!(watch.elapsed() < Duration::from_secs(1), "{what}: still accepted");
        thread::sleep(Duration::from_millis(2));
    }
}

/// D5, S3-71, S3-93, S3-95: each way to revoke a token, at the replica that was not asked.
#[test]
fn what_is_revoked_at_one_replica_is_refused_at_the_other() {
    let world = World::start();
    let ways = [
        ("disabled", "token update -n MyToken -r myregistry --status disabled"),
        ("deleted", "token delete -n MyToken -r myregistry --yes"),
        ("rotated", "token credential generate -n MyToken -r myregistry --password1"),
        (
            "permission removed",
            "scope-map update -n MyToken-scope-map -r myregistry --remove-repository samples/app content/write",
        ),
    ];
    for (what, command) in ways {
        let token = world.token();
        let session = world.session("MyToken", &password(&token, "password1"));
        wait_until("the other replica knows the token", || {
            session.log_in(&["repository:samples/app:push"]).status == 200
        });
        let access_token = session.access_token(&["repository:samples/app:pull,push"]);
        session.bearer(&access_token, "POST", "/v2/samples/app/blobs/uploads/").expect(202);
        seawall(&world.one, command).ok();
        refused(what, || session.bearer(&access_token, "POST", "/v2/samples/app/blobs/uploads/").status);
        seawall(&world.one, "token delete -n MyToken -r myregistry --yes").ok();
        seawall(&world.one, "scope-map delete -n MyToken-scope-map -r myregistry --yes").ok();
    }
}

/// S1-49, D5: an admin password that is replaced, and the account switched off.
#[test]
fn the_admin_account_is_revoked_at_both_replicas() {
    let world = World::start();
    seawall(&world.one, "update -n myregistry --admin-enabled true").ok();
    for command in
        ["credential renew -n myregistry --password-name password", "update -n myregistry --admin-enabled false"]
    {
        let shown = seawall(&world.one, "credential show -n myregistry").ok().json();
        let session = world.session("myregistry", &password(&shown, "password"));
        wait_until("the other replica knows it", || session.log_in(&["repository:samples/app:push"]).status == 200);
        let access_token = session.access_token(&["repository:samples/app:pull,push"]);
        session.bearer(&access_token, "POST", "/v2/samples/app/blobs/uploads/").expect(202);
        seawall(&world.one, command).ok();
        refused(command, || session.bearer(&access_token, "POST", "/v2/samples/app/blobs/uploads/").status);
    }
}

/// Keys are shared: what one replica signs, the other accepts; after a rotation and a revocation too.
#[test]
fn replicas_share_their_keys() {
    let world = World::start();
    let token = world.token();
    let at_one = Session::new(world.one.address(), Account::new("MyToken", &password(&token, "password1")));
    let access_token = at_one.access_token(&["repository:samples/app:push"]);
    let other = world.session("MyToken", &password(&token, "password1"));
    wait_until("the other replica accepts it", || {
        other.bearer(&access_token, "POST", "/v2/samples/app/blobs/uploads/").status == 202
    });
    let before = seawall(&world.one, "key list").ok().json();
    let old = before.as_array().unwrap().iter().find(|key| key["purpose"] == "signing").unwrap()["id"].clone();
    seawall(&world.one, "key rotate --purpose signing").ok();
    other.bearer(&access_token, "POST", "/v2/samples/app/blobs/uploads/").expect(202);
    seawall(&world.one, &format!("key revoke --id {} --yes", old.as_str().unwrap())).ok();
    refused("what a revoked key signed", || {
        other.bearer(&access_token, "POST", "/v2/samples/app/blobs/uploads/").status
    });
    let fresh = other.access_token(&["repository:samples/app:push"]);
    other.bearer(&fresh, "POST", "/v2/samples/app/blobs/uploads/").expect(202);
}

fn readiness(server: &Seawall) -> (u16, String) {
    let answer = http::get(server.place().metrics(), "/readyz").unwrap();
    (answer.status, answer.text())
}

/// PostgreSQL away under load: pulls go on, management answers 503, readiness says degraded, and all heals by itself.
/// `OUTAGE_SECONDS` makes it longer; `make soak` asks for a minute.
#[test]
fn pulls_go_on_while_the_database_is_away() {
    let seconds: u64 = std::env::var("OUTAGE_SECONDS").map_or(8, |text| text.parse().unwrap());
    let mut world = World::start();
    let token = world.token();
    let session = world.session("MyToken", &password(&token, "password1"));
    wait_until("the other replica knows the token", || session.log_in(&["repository:samples/app:pull"]).status == 200);
    let (blob, host) = (b"pulled without the database", world.one.place().login_server());
    let started = session.send("POST", "/v2/samples/app/blobs/uploads/", &[], b"");
    let upload = started.expect(202).expect_header("Location").replace(&format!("http://{host}"), "");
    let digest = digest(blob);
    let octets = [("Content-Type", "application/octet-stream")];
    session.send("PUT", &format!("{upload}&digest={digest}"), &octets, blob).expect(201);
    let access_token = session.access_token(&["repository:samples/app:pull"]);
    let pull = || {
        let answer = session.bearer(&access_token, "GET", &format!("/v2/samples/app/blobs/{digest}"));
        assert!(answer.status != 200 || answer.body == blob);
        answer.status
    };
    assert_eq!(pull(), 200);

    world.database.stop();
    let manager = Manager::of(&world.other);
    wait_until("readiness says degraded", || readiness(&world.other).1.contains("degraded"));
    let watch = Stopwatch::start();
    let mut pulls = 0_u64;
    while watch.elapsed() < Duration::from_secs(seconds) {
        assert_eq!(pull(), 200);
        pulls += 1;
        if pulls % 500 == 1 {
            let answer = manager.call("GET", "/tokens", &Value::Null).unwrap();
            assert_eq!(answer.status, 503, "{}", answer.text());
            let answer =
                manager.call("PATCH", "/tokens/MyToken", &json!({"properties": {"status": "disabled"}})).unwrap();
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert_eq!(readiness(&world.other).0, 200, "degraded is still ready");
        }
    }
    println!("{pulls} pulls in {seconds} s without the database");

    world.database.start_again();
    wait_until("readiness heals", || {
        readiness(&world.other).1.contains("ready") && !readiness(&world.other).1.contains("degraded")
    });
    manager.done("PATCH", "/tokens/MyToken", &json!({"properties": {"status": "disabled"}}));
    assert_eq!(pull(), 401);
}
