//! Large blobs, kept on a disk.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::{blob_path, count, expect_upstream, number, served_from, start, wait_until, with_cache};
use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, Then, answer, read_head};
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

    let elsewhere = seawall.place().path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    let linked = seawall.place().path().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink(&elsewhere, linked.join("seawall-content")).unwrap();
    seawall.edit(&document.replace(&directory.display().to_string(), &linked.display().to_string()));
    for _ in 0..3 {
        expect_upstream(&seawall, &mine.get(&path), 200);
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
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

/// Before anything was said to the client, the registry behind can still be asked; and from then on the blob is kept again.
#[test]
fn a_file_that_cannot_be_read_is_as_none() {
    let registry = Registry::start(Distribution::V2);
    let place = Place::new();
    let directory = place.path().join("cache");
    let sample = place.path().join("sample");
    fs::create_dir_all(sample.join("x")).unwrap();
    let length = usize::try_from(fs::metadata(&sample).unwrap().len()).unwrap();
    let settings = cache(&directory, "20MiB").replacen('{', "{largestBlob: 8B, ", 1);
    let document = with_cache(&Setup::new(&registry.url()).document(&place), &settings);
    let seawall = place.start(&document);
    let (mine, first) = (Caller::of(&seawall, MINE), content(0)[..length].to_vec());
    let path = blob_path("mine/app", &mine.push_blob("mine/app", &first));
    // Opening it waits for somebody who writes, as a disk that hangs.
    let pipe = seawall.place().path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for hangs in [false, true] {
        read_until_kept(&seawall, &mine, &path, &first);
        let is_file = |file: &&PathBuf| fs::metadata(file).unwrap().is_file();
        let file = files(&directory).iter().find(is_file).unwrap().clone();
        fs::remove_file(&file).unwrap();
        if hangs {
            fs::hard_link(&pipe, &file).unwrap();
        } else {
            // Opens and has the right length: the error comes with the first piece.
            fs::create_dir_all(file.join("x")).unwrap();
        }
        let hits = count(&seawall, "hit");
        let answer = mine.get(&path);
        expect_upstream(&seawall, &answer, 200);
        assert!(answer.body == first, "other bytes");
        assert_eq!(count(&seawall, "hit"), hits);
        read_until_kept(&seawall, &mine, &path, &first);
    }
    // The thread that waits ends with it.
    drop(fs::OpenOptions::new().write(true).open(&pipe).unwrap());
}

/// The client must not take it for whole, and it is not the client's fault.
#[test]
fn a_file_that_breaks_in_the_middle_of_a_body_cuts_the_connection() {
    const LENGTH: usize = 24 * 1024 * 1024;
    let content: Vec<u8> = (0..LENGTH).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let (wanted, sent) = (digest(&content), content.clone());
    let fake = Fake::answering(move |_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: {LENGTH}\r\n\r\n");
        for piece in sent.chunks(1024 * 1024) {
            let _ = stream.write_all(piece);
            // Nothing is to be left out because the disk of this machine is busy.
            sleep(Duration::from_millis(20));
        }
        Then::KeepOpen
    });
    let directory = tempfile::tempdir().unwrap();
    let settings = cache(directory.path(), "200MiB").replace("4MiB", "50MiB");
    let seawall = start(&fake.url(), &settings);
    let (mine, path) = (Caller::of(&seawall, MINE), blob_path("mine/app", &wanted));
    read_until_kept(&seawall, &mine, &path, &content);

    let mut stream = TcpStream::connect(mine.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(mine.head("GET", &path, "").as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream).unwrap();
    assert_eq!(head.line, "HTTP/1.1 200 OK");
    let mut body = vec![0; 1024 * 1024];
    stream.read_exact(&mut body).unwrap();
    fs::OpenOptions::new().write(true).open(&files(directory.path())[0]).unwrap().set_len(1_000).unwrap();
    let ended = stream.read_to_end(&mut body);
    assert!(body.len() < LENGTH && content.starts_with(&body), "{} of {LENGTH}, {ended:?}", body.len());
    let id = head.header("X-Ms-Correlation-Request-Id").unwrap();
    let mut records = Vec::new();
    wait_until("the audit record is written", || {
        records = seawall.audit().into_iter().filter(|record| record["requestId"] == *id).collect();
        !records.is_empty()
    });
    let record = &records[0];
    assert_eq!((&record["decision"], &record["reason"]), (&"error".into(), &"internal".into()), "{record}");
    assert_eq!((&record["status"], &record["servedFrom"]), (&200.into(), &"disk".into()), "{record}");
    let metric = "seawall_decisions_total{outcome=\"error\",reason=\"internal\",registry=\"myregistry\"}";
    assert_eq!(number(&seawall, metric), 1);

    let answer = mine.get(&path);
    expect_upstream(&seawall, &answer, 200);
    assert!(answer.body == content, "other bytes");
}
