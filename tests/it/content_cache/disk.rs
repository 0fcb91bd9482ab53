//! Large blobs, kept on a disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{blob_path, count, expect_upstream, number, served_from, start, wait_until, with_cache};
use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, Then, answer};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::wall::{MINE, READER, REGISTRY, Setup};

const BLOB: usize = 3 * 1024 * 1024 + 7;

fn content(first: u8) -> Vec<u8> {
    (0..BLOB).map(|at| u8::try_from(at % 251).unwrap().wrapping_add(first)).collect()
}

fn cache(directory: &Path, size: &str) -> String {
    format!("{{disk: {{directory: \"{}\", size: {size}, largestBlob: 4MiB}}}}", directory.display())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let folder = directory.join("seawall-content").join(REGISTRY);
    fs::read_dir(folder).map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
}

/// Reads until the answer is from the disk.
fn read_until_kept(seawall: &Seawall, caller: &Caller, path: &str, content: &[u8]) {
    wait_until("it is served from the disk", || {
        let answer = caller.get(path).expect(200);
        assert!(answer.body == content, "other bytes");
        served_from(seawall, &answer).as_deref() == Some("disk")
    });
}

#[test]
fn large_blobs_are_written_while_they_pass_and_given_out_again() {
    for distribution in Distribution::at_hand() {
        let registry = Registry::start(distribution);
        let place = Place::new();
        let directory = place.path().join("cache");
        let document = with_cache(&Setup::new(&registry.url()).document(&place), &cache(&directory, "20MiB"));
        let seawall = place.start(&document);
        let (mine, reader) = (Caller::of(&seawall, MINE), Caller::of(&seawall, READER));
        let first = content(0);
        let path = blob_path("mine/app", &mine.push_blob("mine/app", &first));
        read_until_kept(&seawall, &mine, &path, &first);
        read_until_kept(&seawall, &reader, &path, &first);
        let head = reader.send("HEAD", &path, &[], b"").expect(200);
        assert_eq!(served_from(&seawall, &head).as_deref(), Some("disk"));
        assert_eq!(head.expect_header("Content-Length"), BLOB.to_string());
        let part = reader.send("GET", &path, &[("Range", "bytes=5-9")], b"").expect(206);
        assert_eq!((&part.body[..], served_from(&seawall, &part)), (&first[5..10], None));
        // For its owner only.
        let found = files(&directory);
        assert_eq!(found.len(), 1, "{found:?}");
        let rights = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((rights(&found[0]), rights(found[0].parent().unwrap())), (0o600, 0o700));
        let bytes = seawall.metric("seawall_content_cache_bytes{place=\"disk\",registry=\"myregistry\"}");
        assert!((3_000_000.0..4_000_000.0).contains(&bytes), "{bytes}");

        // The least recently used ones go.
        for number in 1..8 {
            let more = content(number);
            read_until_kept(&seawall, &mine, &blob_path("mine/app", &mine.push_blob("mine/app", &more)), &more);
        }
        wait_until("no more is kept than fits", || files(&directory).len() <= 5);
        // Gone at once, as everything that is deleted.
        let last = blob_path("mine/app", &digest(&content(7)));
        mine.send("DELETE", &last, &[], b"").expect(202);
        mine.get(&last).expect(404);
        // Another process begins with an empty directory.
        let seawall = seawall.restarted();
        wait_until("the directory is empty", || files(&directory).is_empty());
        let mine = Caller::of(&seawall, MINE);
        expect_upstream(&seawall, &mine.get(&path), 200);
    }
}

/// What somebody has done to a file is not served; what is somebody else's is not touched.
#[test]
fn a_file_that_was_cut_and_a_directory_of_others_are_not_used() {
    let registry = Registry::start(Distribution::V2);
    let place = Place::new();
    let directory = place.path().join("cache");
    let document = with_cache(&Setup::new(&registry.url()).document(&place), &cache(&directory, "20MiB"));
    let seawall = place.start(&document);
    let (mine, first) = (Caller::of(&seawall, MINE), content(0));
    let path = blob_path("mine/app", &mine.push_blob("mine/app", &first));
    read_until_kept(&seawall, &mine, &path, &first);
    fs::OpenOptions::new().write(true).open(&files(&directory)[0]).unwrap().set_len(1_000).unwrap();
    let answer = mine.get(&path);
    expect_upstream(&seawall, &answer, 200);
    assert!(answer.body == first, "other bytes");
    read_until_kept(&seawall, &mine, &path, &first);

    let others = seawall.place().path().join("others");
    fs::create_dir(&others).unwrap();
    fs::write(others.join("precious"), "data").unwrap();
    seawall.edit(&document.replace(&directory.display().to_string(), &others.display().to_string()));
    for _ in 0..3 {
        expect_upstream(&seawall, &mine.get(&path), 200);
    }
    assert_eq!(fs::read_dir(&others).unwrap().count(), 1);
    wait_until("what was kept before is removed", || files(&directory).is_empty());
}

#[test]
fn corrupt_blobs_are_not_kept_on_a_disk_either() {
    let (right, wrong) = (content(0), content(1));
    let wanted = digest(&right);
    let text = String::from_utf8(vec![b'x'; wrong.len()]).unwrap();
    let fake = Fake::answering(move |_, stream| {
        let _ = std::io::Write::write_all(stream, answer("200 OK", "Content-Type: a/b\r\n", &text).as_bytes());
        Then::KeepOpen
    });
    let directory = tempfile::tempdir().unwrap();
    let seawall = start(&fake.url(), &cache(directory.path(), "20MiB"));
    let (mine, path) = (Caller::of(&seawall, MINE), blob_path("mine/app", &wanted));
    wait_until("it was looked at", || {
        expect_upstream(&seawall, &mine.get(&path), 200);
        number(&seawall, "seawall_content_cache_rejected_total{registry=\"myregistry\"}") >= 2
    });
    assert_eq!(count(&seawall, "hit"), 0);
    wait_until("nothing is left", || files(directory.path()).is_empty());
}
