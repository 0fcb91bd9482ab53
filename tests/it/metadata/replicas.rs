//! Two replicas on one PostgreSQL: what one of them learns the other one lists, and what one began the other one finishes.

use std::thread;

use crate::harness::caller::{Caller, digest};
use crate::harness::operator::seawall;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::session::{Account, Session};
use crate::harness::wait_until;
use crate::management::support::{self, Postgres};

const IMAGES: usize = 150;

/// How many tags the registry behind has.
fn tags_behind(direct: &Caller) -> usize {
    let list = direct.get("/v2/samples/large/tags/list");
    if list.status == 404 { 0 } else { list.expect(200).json()["tags"].as_array().map_or(0, Vec::len) }
}

#[test]
fn replicas_share_what_they_know_and_finish_what_another_one_began() {
    let upstream = Registry::start(Distribution::V2);
    let database = Postgres::start();
    let mut one = support::replica(&upstream, &database);
    let name = one.place().login_server();
    let other = support::replica_named(&upstream, &database, &name);
    let rights = "content/read content/write content/delete metadata/read";
    let create = |token: &str, repository: &str| {
        let made = seawall(&one, &format!("token create -n {token} -r myregistry --repository {repository} {rights}"));
        let made = made.ok().json();
        Account::new(token, made["credentials"]["passwords"][0]["value"].as_str().unwrap())
    };
    let (small, large) = (create("small", "samples/small"), create("large", "samples/large"));
    let at_other = Session::named(other.address(), &name, small.clone());
    wait_until("the other replica knows the token", || {
        at_other.log_in(&["repository:samples/small:metadata_read"]).status == 200
    });

    let at_one = Caller { address: one.address(), authorization: Some(small.basic()) };
    let manifest = at_one.push_image("samples/small", "v1", "pushed at one replica");
    let pushed = at_one.get("/acr/v1/samples/small/_tags/v1").expect(200).json()["tag"].clone();
    let listed = at_other.get("/acr/v1/samples/small/_tags").expect(200).json()["tags"][0].clone();
    assert_eq!(listed["digest"], digest(&manifest));
    assert_eq!(listed["createdTime"], pushed["createdTime"], "one index, not one of each");
    let manifests = at_other.get("/acr/v1/samples/small/_manifests").expect(200).json()["manifests"].clone();
    assert_eq!((&manifests[0]["digest"], &manifests[0]["tags"][0]), (&listed["digest"], &"v1".into()));

    let direct = Caller::anonymous(upstream.address());
    for number in 0..IMAGES {
        direct.push_image("samples/large", &format!("v{number}"), &format!("image {number}"));
    }
    let at_one = Caller { address: one.address(), authorization: Some(large.basic()) };
    thread::scope(|scope| {
        scope.spawn(|| {
            let headers = [("Authorization", at_one.authorization.as_deref().unwrap())];
            crate::harness::http::request(at_one.address, "DELETE", "/acr/v1/samples/large", &headers, b"")
        });
        wait_until("some of it is gone", || tags_behind(&direct) < IMAGES - 5);
        one.process().signal("KILL");
    });
    wait_until("the replica is gone", || one.process().ended().is_some());
    let left = tags_behind(&direct);
    assert!(left > 0, "it was cut off before its end");
    // The one that began it has some seconds to go on.
    wait_until("the other replica goes on with it", || tags_behind(&direct) < left);
    wait_until("what was begun is finished", || tags_behind(&direct) == 0);
    let at_other = Session::named(other.address(), &name, large);
    wait_until("the repository is gone at the other replica", || at_other.get("/acr/v1/samples/large").status == 404);
}
