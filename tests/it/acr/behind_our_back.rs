//! The index ends equal to the upstream, whoever wrote there: eight clients at once, somebody past seawall, and a process that
//! was killed in the middle of a deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::caller::{Caller, digest};
use crate::harness::http::Response;
use crate::harness::image::MANIFEST;
use crate::harness::registry::Distribution;
use crate::harness::seawall::{Place, Seawall};
use crate::harness::wait_until;
use crate::harness::wall::{MINE, NO_SWEEP, REGISTRY, Setup, World};

const REPOSITORIES: [&str; 3] = ["mine/one", "mine/two", "mine/three"];
const CLIENTS: usize = 8;
const TURNS: usize = 25;

/// Nothing is believed for longer than a second.
fn watchful(upstream: &str) -> Seawall {
    let place = Place::new();
    let document = Setup::new(upstream).document(&place);
    place.start(&document.replace(NO_SWEEP, "metadata: {maximumAge: 1s}"))
}

/// Tags with their digests as the upstream itself has them.
fn upstream_tags(direct: &Caller, repository: &str) -> BTreeMap<String, String> {
    let list = direct.get(&format!("/v2/{repository}/tags/list"));
    if list.status == 404 {
        return BTreeMap::new();
    }
    let names = list.expect(200).json()["tags"].as_array().cloned().unwrap_or_default();
    let digest = |name: &serde_json::Value| {
        let name = name.as_str().unwrap().to_owned();
        let path = format!("/v2/{repository}/manifests/{name}");
        let answer = direct.send("HEAD", &path, &[("Accept", MANIFEST)], b"");
        // Distribution 2 may fail half-way when two delete at once: then it lists a tag whose manifest is gone.
        (answer.status == 200).then(|| (name, answer.expect_header("Docker-Content-Digest").to_owned()))
    };
    names.iter().filter_map(digest).collect()
}

/// All pages of a listing.
fn pages(caller: &Caller, first: &str, of: &str) -> Vec<serde_json::Value> {
    let (mut path, mut all) = (first.to_owned(), Vec::new());
    loop {
        let answer = caller.get(&path);
        if answer.status == 404 {
            return all;
        }
        let answer = answer.expect(200);
        all.extend(answer.json()[of].as_array().cloned().unwrap_or_default());
        let Some(link) = answer.header("Link") else { return all };
        path = link.strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The same as the index says, by name and by time.
fn indexed_tags(caller: &Caller, repository: &str, order: &str) -> BTreeMap<String, String> {
    let tags = pages(caller, &format!("/acr/v1/{repository}/_tags?n=7&orderby={order}"), "tags");
    let found: BTreeMap<String, String> = tags.iter().map(|tag| (text(&tag["name"]), text(&tag["digest"]))).collect();
    assert_eq!(found.len(), tags.len(), "no tag is on two pages: {tags:?}");
    found
}

/// Whether every listing says what the upstream has.
fn agrees(caller: &Caller, direct: &Caller, repository: &str) -> bool {
    let truth = upstream_tags(direct, repository);
    let by_name = indexed_tags(caller, repository, "");
    let by_time = indexed_tags(caller, repository, "timedesc");
    let manifests = pages(caller, &format!("/acr/v1/{repository}/_manifests?n=7"), "manifests");
    let listed: BTreeSet<String> = manifests.iter().map(|one| text(&one["digest"])).collect();
    let there = listed.iter().all(|digest| direct.has_manifest(repository, digest) == 200);
    let tagged: BTreeMap<String, String> = manifests
        .iter()
        .flat_map(|one| {
            let tags = one["tags"].as_array().cloned().unwrap_or_default();
            tags.into_iter().map(|tag| (text(&tag), text(&one["digest"]))).collect::<Vec<_>>()
        })
        .collect();
    by_name == truth && by_time == truth && tagged == truth && there && truth.values().all(|one| listed.contains(one))
}

/// What was to be deleted is gone; or the upstream has failed, which Distribution 2 does when two change the same at once.
fn expect_gone(seawall: &Seawall, answer: &Response) {
    if matches!(answer.status, 202 | 404 | 502) {
        return;
    }
    let records = seawall.audit();
    let same: Vec<_> = records.iter().filter(|record| record["status"] == answer.status).collect();
    let is_the_upstreams =
        |record: &&Value| record["rule"].as_str().is_some_and(|rule| rule.contains("the upstream answered 500"));
    let has_failed = answer.status == 503 && !same.is_empty() && same.iter().all(is_the_upstreams);
    assert!(has_failed, "{}: {}: {same:#?}", answer.status, answer.text());
}

/// Pushes as clients do: again, where the upstream has failed for the same reason.
fn push(caller: &Caller, repository: &str, tag: &str, words: &str) -> Vec<u8> {
    for _ in 0..9 {
        let (manifest, answer) = caller.try_push_image(repository, tag, words);
        if !matches!(answer.status, 500 | 502) {
            answer.expect(201);
            return manifest;
        }
    }
    caller.push_image(repository, tag, words)
}

/// Pushes, moves and deletes, in an order that depends on the client's number.
fn work(seawall: &Seawall, client: usize) {
    let caller = &Caller::of(seawall, MINE);
    for turn in 0..TURNS {
        let repository = REPOSITORIES[(client + turn) % REPOSITORIES.len()];
        let tag = format!("t{}", (client * 7 + turn * 3) % 12);
        let manifest = push(caller, repository, &tag, &format!("turn {turn} of {client}"));
        match turn % 5 {
            1 => {
                let path = format!("/v2/{repository}/manifests/{}", digest(&manifest));
                expect_gone(seawall, &caller.send("DELETE", &path, &[], b""));
            }
            3 => {
                expect_gone(seawall, &caller.send("DELETE", &format!("/acr/v1/{repository}/_tags/{tag}"), &[], b""));
            }
            _ => {}
        }
    }
}

#[test]
fn eight_clients_and_somebody_behind_our_back_leave_the_index_equal_to_the_upstream() {
    for distribution in Distribution::at_hand() {
        let registry = crate::harness::registry::Registry::start(distribution);
        let seawall = watchful(&registry.url());
        let (caller, direct) = (Caller::of(&seawall, MINE), Caller::anonymous(registry.address()));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let seawall = &seawall;
                scope.spawn(move || work(seawall, client));
            }
            // Past seawall, with the tags of the others.
            scope.spawn(|| {
                for turn in 0..TURNS {
                    let repository = REPOSITORIES[turn % REPOSITORIES.len()];
                    push(&direct, repository, &format!("t{}", turn % 12), &format!("turn {turn} behind"));
                    thread::sleep(Duration::from_millis(20));
                }
            });
        });
        for repository in REPOSITORIES {
            wait_until("the index agrees with the upstream", || agrees(&caller, &direct, repository));
        }
        let admin = Caller::of(&seawall, REGISTRY);
        let listed: Vec<String> = pages(&admin, "/acr/v1/_catalog?n=2", "repositories").iter().map(text).collect();
        let mut expected = REPOSITORIES.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(listed, expected);

        // Nothing but the upstream changes now, and nobody passes by.
        direct.push_image("mine/one", "behind", "a new tag");
        direct.push_image("mine/one", "t1", "a moved tag");
        let gone = upstream_tags(&direct, "mine/two").into_values().next().unwrap();
        direct.send("DELETE", &format!("/v2/mine/two/manifests/{gone}"), &[], b"").expect(202);
        for repository in REPOSITORIES {
            wait_until("the index follows the upstream", || agrees(&caller, &direct, repository));
        }
        let created = |caller: &Caller| {
            caller.get("/acr/v1/mine/one/_tags/behind").expect(200).json()["tag"]["createdTime"].clone()
        };
        let before = created(&caller);
        let seawall = seawall.restarted();
        let caller = Caller::of(&seawall, MINE);
        assert_eq!(created(&caller), before, "it survives a restart");
        assert!(agrees(&caller, &direct, "mine/one"));
    }
}

#[test]
fn a_deletion_that_was_cut_off_is_finished_after_a_restart() {
    for distribution in Distribution::at_hand() {
        let World { registry, seawall } = World::start(distribution);
        let (caller, direct) = (Caller::of(&seawall, MINE), Caller::anonymous(registry.address()));
        for number in 0..150 {
            direct.push_image("mine/large", &format!("v{number}"), &format!("image {number}"));
        }
        let all = upstream_tags(&direct, "mine/large").len();
        assert_eq!(all, 150);
        let cut_off = thread::spawn({
            let (address, authorization) = (caller.address, caller.authorization.clone().unwrap());
            move || {
                let headers = [("Authorization", authorization.as_str())];
                crate::harness::http::request(address, "DELETE", "/acr/v1/mine/large", &headers, b"")
            }
        });
        wait_until("some of it is gone", || upstream_tags_count(&direct) < 145);
        let seawall = seawall.restarted();
        assert!(cut_off.join().unwrap().is_none_or(|answer| answer.status == 202));
        // A replica gives the one that began it some seconds.
        wait_until("somebody goes on with it", || upstream_tags_count(&direct) < 100);
        wait_until("what was begun is finished", || upstream_tags_count(&direct) == 0);
        let admin = Caller::of(&seawall, REGISTRY);
        wait_until("an emptied repository is in no catalogue", || {
            !admin.get("/v2/_catalog").expect(200).text().contains("mine/large")
        });
        let caller = Caller::of(&seawall, MINE);
        assert_eq!(caller.get("/acr/v1/mine/large").status, 404);
        caller.push_image("mine/large", "v1", "it begins again");
        assert!(admin.get("/v2/_catalog").expect(200).text().contains("mine/large"));
    }
}

fn upstream_tags_count(direct: &Caller) -> usize {
    let list = direct.get("/v2/mine/large/tags/list");
    if list.status == 404 {
        return 0;
    }
    list.expect(200).json()["tags"].as_array().map_or(0, Vec::len)
}
