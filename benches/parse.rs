//! How long it takes to read a request line and a credential: the usual ones, with names of usual length.

#![expect(clippy::unwrap_used, reason = "a measurement may stop")]

use std::iter::once;

use divan::{Bencher, black_box};
use seawall::oci::{authorization, parse};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn main() {
    divan::main();
}

fn target(bencher: Bencher, method: &str, path: &str) {
    let path = path.replace("DIGEST", DIGEST);
    parse(method, &path).unwrap();
    bencher.bench_local(|| parse(black_box(method), black_box(&path)));
}

#[divan::bench]
fn ping(bencher: Bencher) {
    target(bencher, "GET", "/v2/");
}

#[divan::bench]
fn manifest_by_tag(bencher: Bencher) {
    target(bencher, "GET", "/v2/samples/team-a/frontend/manifests/v1.24.3");
}

#[divan::bench]
fn manifest_by_digest(bencher: Bencher) {
    target(bencher, "GET", "/v2/samples/team-a/frontend/manifests/DIGEST");
}

#[divan::bench]
fn blob(bencher: Bencher) {
    target(bencher, "GET", "/v2/samples/team-a/frontend/blobs/DIGEST");
}

#[divan::bench]
fn tags(bencher: Bencher) {
    target(bencher, "GET", "/v2/samples/team-a/frontend/tags/list?n=100&last=v1.24.2");
}

#[divan::bench]
fn mount(bencher: Bencher) {
    target(bencher, "POST", "/v2/samples/team-a/frontend/blobs/uploads/?mount=DIGEST&from=samples/base");
}

#[divan::bench]
fn upload_ends(bencher: Bencher) {
    let session = "/v2/samples/team-a/frontend/blobs/uploads/6e28b0dd-5dd1-4a54-9f5b-0a3d7d1c8f10";
    let state = "a".repeat(300);
    target(bencher, "PUT", &format!("{session}?_state={state}&digest=DIGEST"));
}

#[divan::bench]
fn metadata_of_a_tag(bencher: Bencher) {
    target(bencher, "GET", "/acr/v1/samples%2Fteam-a%2Ffrontend/_tags/v1.24.3");
}

fn header(bencher: Bencher, value: &str) {
    authorization::credential(once(value.as_bytes())).unwrap();
    bencher.bench_local(|| authorization::credential(once(black_box(value.as_bytes()))));
}

/// As long as an access token for one repository, signed by ES256.
#[divan::bench]
fn bearer(bencher: Bencher) {
    let part = |length: usize| "eyJ0eXAiOiJKV1Qi".repeat(length / 16);
    header(bencher, &format!("Bearer {}.{}.{}", part(800), part(480), part(80)));
}

#[divan::bench]
fn basic(bencher: Bencher) {
    header(bencher, "Basic Y2ktcHVzaDowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIz");
}
