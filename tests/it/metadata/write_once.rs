//! Tags that are written once only (D23).

use std::thread;

use crate::harness::caller::digest;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::wall::{MINE, Setup};
use crate::harness::{caller::Caller, image::MANIFEST};

const RULE: &str = "    locks: [ { repositories: \"mine/*\", tags: \"v*\", writeOnce: true } ]\n";

fn manifest(caller: &Caller, words: &str) -> Vec<u8> {
    let config = caller.push_blob("mine/app", b"{}");
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\
         \"application/vnd.oci.image.config.v1+json\",\"digest\":\"{config}\",\"size\":2}},\"layers\":[],\
         \"annotations\":{{\"words\":\"{words}\"}}}}"
    )
    .into_bytes()
}

#[test]
fn a_write_once_tag_is_moved_by_nobody_and_one_of_many_makes_it() {
    for distribution in Distribution::at_hand() {
        let (registry, place) = (Registry::start(distribution), Place::new());
        let document = Setup::new(&registry.url()).document(&place) + RULE;
        let seawall = place.start(&document);
        let caller = Caller::of(&seawall, MINE);
        let all: Vec<_> = (0..8).map(|number| manifest(&caller, &format!("number {number}"))).collect();
        let pushes: Vec<_> = all
            .iter()
            .cloned()
            .map(|one| {
                let caller = caller.clone();
                thread::spawn(move || caller.put_manifest("/v2/mine/app/manifests/v1", &one).status)
            })
            .collect();
        let statuses: Vec<_> = pushes.into_iter().map(|push| push.join().unwrap()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 405).count(), 7, "{statuses:?}");
        let winner = &all[statuses.iter().position(|status| *status == 201).unwrap()];
        assert_eq!(registry.manifest("mine/app", "v1").body, *winner);

        let again = caller.put_manifest("/v2/mine/app/manifests/v1", winner).expect(201);
        assert_eq!(again.expect_header("Docker-Content-Digest"), digest(winner));
        let other = all.iter().find(|one| *one != winner).unwrap();
        let path = format!("/v2/mine/app/manifests/{}?tag=v1", digest(other));
        caller.put_manifest(&path, other).expect(405);
        caller.put_manifest("/v2/mine/app/manifests/latest", other).expect(201);
        caller.put_manifest("/v2/mine/app/manifests/latest", winner).expect(201);
        caller.send("DELETE", "/v2/mine/app/manifests/v1", &[], b"").expect(202);
        caller.put_manifest("/v2/mine/app/manifests/v1", other).expect(201);
    }
}
