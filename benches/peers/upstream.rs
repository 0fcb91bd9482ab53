//! A registry that costs next to nothing: an nginx with one worker, which knows one small manifest and one large blob.

use std::fmt::Write as _;
use std::fs::File;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::harness::caller::{digest, hex};
use crate::harness::image::MANIFEST;
use crate::peers::{Nginx, Peer};

pub(crate) const REPOSITORY: &str = "bench/app";
/// As long as the manifests of usual images are.
const LENGTH: usize = 1_203;
const COMMON: &str = "add_header Docker-Distribution-Api-Version registry/2.0";

/// The static registry.
pub(crate) struct Upstream {
    // The server first: it must have ended when its folder is removed.
    pub(crate) peer: Peer,
    _directory: TempDir,
    pub(crate) manifest: Vec<u8>,
    /// Of the blob; empty when there is none.
    blob: String,
}

impl Upstream {
    /// With a manifest only.
    pub(crate) fn start() -> Self {
        Self::with_blob(0)
    }

    /// With a blob of this length, all zero, which takes no space on the disk.
    pub(crate) fn with_blob(length: u64) -> Self {
        let directory = TempDir::new().unwrap();
        let manifest = manifest();
        let digest = digest(&manifest);
        let text = std::str::from_utf8(&manifest).unwrap();
        let mut server =
            format!("{COMMON};\nlocation = /v2/ {{ default_type application/json; return 200 '{{}}'; }}\n");
        for reference in ["v1", &digest] {
            let head = head(&digest, MANIFEST);
            let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
            writeln!(server, "location = {path} {{ {head} return 200 '{text}'; }}").unwrap();
        }
        let mut blob = String::new();
        if length > 0 {
            blob = digest_of_zeros(length);
            let file = directory.path().join("blob");
            File::create(&file).unwrap().set_len(length).unwrap();
            let (head, file) = (head(&blob, "application/octet-stream"), file.display());
            let path = format!("/v2/{REPOSITORY}/blobs/{blob}");
            writeln!(server, "location = {path} {{ {head} etag off; alias {file}; }}").unwrap();
        }
        server.push_str("location / { return 404; }\n");
        Self { peer: Nginx::of(1, &server).start(), _directory: directory, manifest, blob }
    }

    pub(crate) fn by_tag() -> String {
        format!("/v2/{REPOSITORY}/manifests/v1")
    }

    pub(crate) fn by_digest(&self) -> String {
        format!("/v2/{REPOSITORY}/manifests/{}", digest(&self.manifest))
    }

    pub(crate) fn blob(&self) -> String {
        format!("/v2/{REPOSITORY}/blobs/{}", self.blob)
    }
}

/// The headers of Distribution for something with a digest.
fn head(digest: &str, media_type: &str) -> String {
    format!(
        "default_type {media_type}; {COMMON}; add_header Docker-Content-Digest {digest}; add_header Etag '\"{digest}\"';"
    )
}

fn digest_of_zeros(length: u64) -> String {
    let zeros = vec![0; 1 << 20];
    let mut hash = Sha256::new();
    let mut left = length;
    while left > 0 {
        let now = left.min(1 << 20);
        hash.update(&zeros[..usize::try_from(now).unwrap()]);
        left -= now;
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

/// An image of four layers whose manifest has exactly [`LENGTH`] bytes.
fn manifest() -> Vec<u8> {
    let blob = |kind: &str, words: &str, size: u32| {
        format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{}\",\"size\":{size}}}", digest(words.as_bytes()))
    };
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let layers: Vec<String> =
        ["one", "two", "three", "four"].iter().map(|words| blob(layer, words, 3_145_728)).collect();
    let around = |filling: &str| {
        format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{},\"layers\":[{}],\
             \"annotations\":{{\"description\":\"{filling}\"}}}}",
            blob("application/vnd.oci.image.config.v1+json", "config", 1_469),
            layers.join(",")
        )
    };
    let manifest = around(&"x".repeat(LENGTH - around("").len())).into_bytes();
    assert_eq!(manifest.len(), LENGTH);
    manifest
}
