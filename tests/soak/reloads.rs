//! The policy changes again and again while requests run: none fails, and none is decided by two policies at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::harness::http;
use crate::harness::image::digest;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::session::{Account, Session};
use crate::size;

const PASSWORD: &str = "the-password-of-a-reload-test";

/// One policy lets the token read the source of a mount, the other lets it write to the target, none lets it do both:
/// a mount that succeeds was decided by a mixture.
const POLICIES: [&str; 2] = [
    "\"mixed/source\": [content/read], \"mixed/target\": [metadata/read]",
    "\"mixed/source\": [metadata/read], \"mixed/target\": [content/read, content/write]",
];

fn document(place: &Place, upstream: &Registry, repositories: &str) -> String {
    let password = place.secret("puller", PASSWORD);
    place.document(&format!(
        "registries:\n  reloads:\n    loginServer: \"{}\"\n    upstream: {{ url: \"{}\" }}\n    scopeMaps:\n      \
         changing: {{ repositories: {{ \"always/*\": [content/read, content/write], {repositories} }} }}\n    \
         tokens:\n      puller: {{ scopeMap: changing, passwords: [ {{ name: password1, file: \"{}\" }} ] }}\n",
        place.login_server(),
        upstream.url(),
        password.display()
    ))
}

fn upload(session: &Session, repository: &str, bytes: &[u8]) {
    let started = session.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"").expect(202);
    let location = started.expect_header("Location");
    let join = if location.contains('?') { '&' } else { '?' };
    let path = format!("{location}{join}digest={}", digest(bytes));
    session.send("PUT", &path, &[("Content-Type", "application/octet-stream")], bytes).expect(201);
}

#[test]
fn reloads_under_load_fail_no_request_and_never_mix_policies() {
    let reloads = size("SOAK_RELOADS", 1000);
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let everything = "\"mixed/*\": [content/read, content/write]";
    let first = document(&place, &upstream, everything);
    let mut seawall = place.start(&first);
    let account = Account::new("puller", PASSWORD);
    let session = Session::new(seawall.address(), account.clone());
    let bytes = vec![7_u8; 256 * 1024];
    upload(&session, "always/there", &bytes);
    upload(&session, "mixed/source", &bytes);

    let documents = POLICIES.map(|repositories| document(seawall.place(), &upstream, repositories));
    seawall.edit(&documents[0]);
    let address = seawall.address();
    let over = AtomicBool::new(false);
    let (pulls, mounts) = (AtomicU64::new(0), AtomicU64::new(0));
    let (pull, mount) = (
        format!("/v2/always/there/blobs/{}", digest(&bytes)),
        format!("/v2/mixed/target/blobs/uploads/?mount={}&from=mixed/source", digest(&bytes)),
    );
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let basic = account.basic();
                while !over.load(Ordering::Relaxed) {
                    let answer = http::request(address, "GET", &pull, &[("Authorization", &basic)], b"");
                    let answer = answer.expect("a pull was cut off").expect(200);
                    assert_eq!(answer.body.len(), bytes.len());
                    pulls.fetch_add(1, Ordering::Relaxed);
                    let answer = http::request(address, "POST", &mount, &[("Authorization", &basic)], b"");
                    let status = answer.expect("a mount was cut off").status;
                    assert!(matches!(status, 202 | 401), "a mount that no policy permits was answered by {status}");
                    mounts.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..reloads {
            seawall.edit(&documents[usize::from(round % 2 == 0)]);
        }
        over.store(true, Ordering::Relaxed);
    });
    seawall.process().expect_running();
    println!("{reloads} reloads, {} pulls, {} mounts", pulls.into_inner(), mounts.into_inner());
}
