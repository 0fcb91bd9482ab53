//! Somebody who uses the registry's API directly, each request on a connection of its own.

use std::fmt::Write as _;
use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};

use super::http::{self, Response};
use super::image::MANIFEST;
use super::seawall::Seawall;
use super::wall::account;

/// An address and what goes into `Authorization`.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    pub(crate) authorization: Option<String>,
}

impl Caller {
    pub(crate) fn anonymous(address: SocketAddr) -> Self {
        Self { address, authorization: None }
    }

    /// By user name and password.
    pub(crate) fn of(seawall: &Seawall, user: &str) -> Self {
        Self { address: seawall.address(), authorization: Some(account(user).basic()) }
    }

    /// By access token.
    pub(crate) fn bearer(seawall: &Seawall, access_token: &str) -> Self {
        Self { address: seawall.address(), authorization: Some(format!("Bearer {access_token}")) }
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut all: Vec<(&str, &str)> = Vec::new();
        if let Some(authorization) = &self.authorization {
            all.push(("Authorization", authorization));
        }
        all.extend(headers);
        http::request(self.address, method, path, &all, body)
            .unwrap_or_else(|| panic!("no answer to {method} {path} {headers:?}"))
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], b"")
    }

    /// The head of a request of ours, up to and including the empty line.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &str) -> String {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{authorization}{headers}\r\n", self.address)
    }

    /// Begins an upload; returns the path of its session.
    pub(crate) fn begin(&self, repository: &str) -> String {
        let begun = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"").expect(202);
        path_of(begun.expect_header("Location")).to_owned()
    }

    /// Stores a blob; returns its digest.
    pub(crate) fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = digest(content);
        let session = with_query(&self.begin(repository), &format!("digest={digest}"));
        self.send("PUT", &session, &[("Content-Type", "application/octet-stream")], content).expect(201);
        digest
    }

    /// Stores an image of one empty layer, different for different words; returns the manifest.
    pub(crate) fn push_image(&self, repository: &str, tag: &str, words: &str) -> Vec<u8> {
        let (manifest, answer) = self.try_push_image(repository, tag, words);
        answer.expect(201);
        manifest
    }

    /// The same, with the answer to the manifest, whatever it is.
    pub(crate) fn try_push_image(&self, repository: &str, tag: &str, words: &str) -> (Vec<u8>, Response) {
        let config = format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"comment\":\"{words}\"}}");
        let config_digest = self.push_blob(repository, config.as_bytes());
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\
             \"application/vnd.oci.image.config.v1+json\",\"digest\":\"{config_digest}\",\"size\":{}}},\"layers\":[]}}",
            config.len()
        );
        let answer = self.put_manifest(&format!("/v2/{repository}/manifests/{tag}"), manifest.as_bytes());
        (manifest.into_bytes(), answer)
    }

    pub(crate) fn put_manifest(&self, path: &str, manifest: &[u8]) -> Response {
        self.send("PUT", path, &[("Content-Type", MANIFEST)], manifest)
    }

    /// The status of asking for a manifest.
    pub(crate) fn has_manifest(&self, repository: &str, reference: &str) -> u16 {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.send("GET", &path, &[("Accept", MANIFEST)], b"").status
    }

    /// The status of asking for a blob.
    pub(crate) fn has_blob(&self, repository: &str, digest: &str) -> u16 {
        self.get(&format!("/v2/{repository}/blobs/{digest}")).status
    }
}

pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(content)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The path and query of a URL, absolute or not.
pub(crate) fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').unwrap()..],
        None => location,
    }
}

/// One more parameter.
pub(crate) fn with_query(path: &str, parameter: &str) -> String {
    format!("{path}{}{parameter}", if path.contains('?') { '&' } else { '?' })
}
