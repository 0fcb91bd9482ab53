//! Rotation with evidence: who still uses a password, which one ends soon, and an old one that stays for a while (D11, D12).

use std::thread::sleep;
use std::time::Duration;

use ::seawall::clock::{Clock, SystemClock};

use super::support::bare;
use super::walkthrough::password;
use crate::harness::http;
use crate::harness::operator::seawall;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Seawall;
use crate::harness::session::Account;
use crate::harness::wait_until;

const CREATE: &str = "token create -n MyToken -r myregistry --repository samples/app content/read";

fn log_in(server: &Seawall, password: &str) -> u16 {
    let basic = Account::new("MyToken", password).basic();
    http::request(server.address(), "GET", "/v2/", &[("Authorization", &basic)], b"").unwrap().status
}

fn of_password<'a>(token: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let passwords = token["credentials"]["passwords"].as_array().unwrap();
    passwords.iter().find(|password| password["name"] == name).unwrap()
}

#[test]
fn the_last_use_of_each_password_is_kept() {
    let upstream = Registry::start(Distribution::V2);
    let server = bare(&upstream);
    let token = seawall(&server, CREATE).ok().json();
    assert_eq!(log_in(&server, &password(&token, "password2")), 200);
    assert_eq!(log_in(&server, "wrong"), 401);
    wait_until("the use is kept", || {
        let shown = seawall(&server, "token show -n MyToken -r myregistry").ok().json();
        assert!(of_password(&shown, "password1")["lastUsedTime"].is_null(), "{shown}");
        of_password(&shown, "password2")["lastUsedAddress"] == "127.0.0.1"
            && of_password(&shown, "password2")["lastUsedTime"].is_string()
    });
    // It outlives the process.
    let server = server.restarted();
    let shown = seawall(&server, "token show -n MyToken -r myregistry").ok().json();
    assert_eq!(of_password(&shown, "password2")["lastUsedAddress"], "127.0.0.1");
}

#[test]
fn an_old_password_may_overlap_with_the_new_one() {
    let upstream = Registry::start(Distribution::V2);
    let server = bare(&upstream);
    let old = password(&seawall(&server, CREATE).ok().json(), "password1");
    let generate = "token credential generate -n MyToken -r myregistry --password1";
    let new = seawall(&server, &format!("{generate} --overlap 3s")).ok().json();
    let new = password(&new, "password1");
    assert_eq!([log_in(&server, &old), log_in(&server, &new)], [200, 200]);
    wait_until("the overlap ends", || log_in(&server, &old) == 401);
    assert_eq!(log_in(&server, &new), 200);
    // Without asking for one there is none (D1).
    seawall(&server, generate).ok();
    assert_eq!(log_in(&server, &new), 401);
}

#[test]
fn a_password_expires_and_warns_before() {
    let upstream = Registry::start(Distribution::V2);
    let server = bare(&upstream);
    let token = seawall(&server, &format!("{CREATE} --expiration-in-days 5")).ok().json();
    assert_eq!(log_in(&server, &password(&token, "password1")), 200);
    // The watch looks when it starts.
    let server = server.restarted();
    wait_until("an audit event warns", || {
        let events = server.audit();
        let about = |event: &&serde_json::Value| event["kind"] == "password_expiring";
        events.iter().filter(about).any(|event| event.to_string().contains("MyToken"))
    });
    let metrics = http::get(server.place().metrics(), "/metrics").unwrap().text();
    let expiring = metrics.lines().find(|line| {
        line.starts_with("seawall_passwords_expiring{") && line.contains("within=\"7d\"") && line.contains("myregistry")
    });
    assert!(expiring.is_some_and(|line| line.ends_with(" 2")), "{expiring:?} in:\n{metrics}");

    let soon = "token credential generate -n MyToken -r myregistry --password2 --expiration";
    let at = SystemClock.now() + jiff::SignedDuration::from_secs(3);
    let made = seawall(&server, &format!("{soon} {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"))).ok().json();
    let made = password(&made, "password2");
    sleep(Duration::from_secs(4));
    assert_eq!(log_in(&server, &made), 401, "S3-10");
}
