//! Listings of 10,000 tags and 2,000 repositories, page by page, cold and warm; and what the index costs a pull.
//!
//! The upstream is a real Distribution whose storage is filled behind seawall's back, so that cold means: nothing of it was
//! ever seen. `TAGS` and `REPOSITORIES` change the numbers. A pull is measured in turns at a seawall that learns from it and
//! at the upstream itself, in one run.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement may stop, and prints"
)]

#[path = "../tests/it/harness/mod.rs"]
#[expect(
    dead_code,
    clippy::print_stderr,
    reason = "the integration tests use the rest of it, where all of this is allowed"
)]
mod harness;

use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::caller::{Caller, digest};
use harness::http::Connection;
use harness::image::MANIFEST;
use harness::registry::{Distribution, Registry};
use harness::stopwatch::Stopwatch;
use harness::wall::{REGISTRY, Setup};

/// Different images that the tags are of.
const IMAGES: usize = 200;
const PULLS: usize = 3_000;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Tags, as Distribution's file system driver keeps them.
fn tag(repository: &Path, name: &str, digest: &str) {
    let hex = digest.strip_prefix("sha256:").unwrap();
    for place in ["current".to_owned(), format!("index/sha256/{hex}")] {
        let folder = repository.join("_manifests/tags").join(name).join(place);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("link"), digest).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// All pages; how many items there were, how many pages, and how long the first one and all of them took.
fn read(caller: &Caller, first: &str, of: &str) -> (usize, usize, Duration, Duration) {
    let watch = Stopwatch::start();
    let (mut path, mut items, mut pages, mut one) = (first.to_owned(), 0, 0, Duration::ZERO);
    loop {
        let answer = caller.get(&path).expect(200);
        items += answer.json()[of].as_array().map_or(0, Vec::len);
        pages += 1;
        if pages == 1 {
            one = watch.elapsed();
        }
        let Some(link) = answer.header("Link") else { return (items, pages, one, watch.elapsed()) };
        link.strip_prefix('<').unwrap().split_once('>').unwrap().0.clone_into(&mut path);
    }
}

fn tell(what: &str, caller: &Caller, path: &str, of: &str, expected: usize) {
    for state in ["cold", "warm"] {
        let (items, pages, first, all) = read(caller, path, of);
        assert_eq!(items, expected, "{what}");
        println!("{what:<34} {state}  {items:>6} in {pages:>4} pages  first {first:>9.1?}  all {all:>9.1?}");
    }
}

/// Times of one manifest's GET on a kept connection, sorted.
fn pulls(caller: &Caller, path: &str) -> Vec<Duration> {
    let mut connection = Connection::open(caller.address).unwrap();
    let request = caller.head("GET", path, &format!("Accept: {MANIFEST}\r\n"));
    let mut times = Vec::with_capacity(PULLS);
    for _ in 0..PULLS {
        let watch = Stopwatch::start();
        connection.send(request.as_bytes());
        assert_eq!(connection.answer("GET").unwrap().status, 200);
        times.push(watch.elapsed());
    }
    times.sort();
    times
}

fn main() {
    let (tags, repositories) = (number("TAGS", 10_000), number("REPOSITORIES", 2_000));
    for distribution in Distribution::at_hand() {
        println!("{distribution:?}: {tags} tags of {IMAGES} images, {repositories} repositories");
        let registry = Registry::start(distribution);
        let direct = Caller::anonymous(registry.address());
        let storage = registry.storage().join("docker/registry/v2/repositories");
        direct.push_image("mine/small", "v1", "small");
        for one in 1..repositories {
            copy(&storage.join("mine/small"), &storage.join(format!("mine/small-{one:04}")));
        }
        let images: Vec<String> = (0..IMAGES)
            .map(|one| digest(&direct.push_image("large/tags", &format!("image-{one}"), &format!("image {one}"))))
            .collect();
        for one in IMAGES..tags {
            tag(&storage.join("large/tags"), &format!("tag-{one:05}"), &images[one % IMAGES]);
        }
        let seawall = Setup::new(&registry.url()).start();
        let admin = Caller::of(&seawall, REGISTRY);
        tell("/v2/_catalog?n=100", &admin, "/v2/_catalog?n=100", "repositories", repositories + 1);
        tell("/acr/v1/_catalog", &admin, "/acr/v1/_catalog", "repositories", repositories + 1);
        tell("/v2/NAME/tags/list?n=100", &admin, "/v2/large/tags/tags/list?n=100", "tags", tags);
        tell("/acr/v1/NAME/_tags", &admin, "/acr/v1/large/tags/_tags", "tags", tags);
        tell("/acr/v1/NAME/_tags?orderby=timedesc", &admin, "/acr/v1/large/tags/_tags?orderby=timedesc", "tags", tags);
        tell("/acr/v1/NAME/_manifests", &admin, "/acr/v1/large/tags/_manifests", "manifests", IMAGES);
        for turn in 0..3 {
            for (who, caller) in [("direct", &direct), ("seawall", &admin)] {
                let times = pulls(caller, "/v2/large/tags/manifests/image-1");
                println!("pull {turn} {who:<8} p50 {:?} p99 {:?}", times[PULLS / 2], times[PULLS * 99 / 100]);
            }
        }
    }
}
