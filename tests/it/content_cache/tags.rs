//! Tags move: unless `tagAge` says otherwise, the upstream is asked for each request.

use std::thread;
use std::time::Duration;

use super::{World, expect_upstream, manifest, manifest_path, served_from, wait_until};
use crate::harness::registry::Distribution;
use crate::harness::wall::{MINE, READER};

#[test]
fn a_moved_tag_is_seen_at_once() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{maximumAge: 1h}");
        let (mine, reader) = (world.caller(MINE), world.caller(READER));
        for (turn, pusher) in [&mine, &world.direct(), &mine, &world.direct()].into_iter().enumerate() {
            let pushed = pusher.push_image("mine/app", "v1", &format!("image {turn}"));
            for _ in 0..2 {
                let answer = manifest(&reader, "mine/app", "v1");
                expect_upstream(&world.seawall, &answer, 200);
                assert_eq!(answer.body, pushed);
            }
        }
        assert_eq!(world.hits(), 0);
    }
}

#[test]
fn a_tag_is_believed_for_as_long_as_the_file_says_unless_it_moves_here() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution, "{tagAge: 8s}");
        let (mine, reader) = (world.caller(MINE), world.caller(READER));
        let first = mine.push_image("mine/app", "v1", "first");
        expect_upstream(&world.seawall, &manifest(&reader, "mine/app", "v1"), 200);
        // The push counts as a change until its last work is done, a moment after its answer.
        let is_kept = || served_from(&world.seawall, &manifest(&mine, "mine/app", "v1")).as_deref() == Some("memory");
        wait_until("the tag is believed", is_kept);
        world.direct().push_image("mine/app", "v1", "behind our back");
        assert_eq!(manifest(&reader, "mine/app", "v1").body, first);
        thread::sleep(Duration::from_millis(8_100));
        assert_ne!(manifest(&reader, "mine/app", "v1").body, first);
        // Through here it has moved at once.
        for words in ["second", "third"] {
            let pushed = mine.push_image("mine/app", "v1", words);
            for _ in 0..2 {
                assert_eq!(manifest(&reader, "mine/app", "v1").body, pushed, "{words}");
            }
        }
        // Somebody who accepts other media types may be given something else.
        let path = manifest_path("mine/app", "v1");
        let docker = [("Accept", "application/vnd.docker.distribution.manifest.v2+json")];
        let answer = mine.send("GET", &path, &docker, b"");
        let direct = world.direct().send("GET", &path, &docker, b"");
        expect_upstream(&world.seawall, &answer, direct.status);
    }
}
