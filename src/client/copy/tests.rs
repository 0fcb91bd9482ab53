//! What hostile manifests ask for.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::client::address::RegistryAddress;
use crate::client::exchange::Credential;
use crate::client::http::Http;
use crate::client::tests::Server;
use crate::clock::SystemClock;

fn digest(text: &str) -> String {
    let hash = <sha2::Sha256 as sha2::Digest>::digest(text);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// A registry that has these manifests, and the tag `v1` for the last.
async fn registry(manifests: &[String]) -> (Server, Registry) {
    let last = manifests.last().unwrap().clone();
    let by_digest: HashMap<String, String> = manifests.iter().map(|text| (digest(text), text.clone())).collect();
    let server = Server::start(move |line, _| {
        let reference = line.rsplit('/').next().unwrap_or_default();
        match by_digest.get(reference).or_else(|| (reference == "v1").then_some(&last)) {
            Some(text) => (200, "content-type: application/json\r\n".to_owned(), text.clone()),
            None => (if line == "get /v2/" { 200 } else { 404 }, String::new(), String::new()),
        }
    })
    .await;
    let address = RegistryAddress::parse(&format!("http://{}", server.address)).unwrap();
    let registry = Registry::new(Http::new(None).unwrap(), address, Credential::None, Arc::new(SystemClock));
    (server, registry)
}

fn index(children: &[String]) -> String {
    let children: Vec<Value> = children.iter().map(|text| json!({ "digest": digest(text), "size": 1 })).collect();
    json!({ "schemaVersion": 2, "manifests": children }).to_string()
}

async fn copied(manifests: &[String]) -> (CopyError, usize) {
    let (server, registry) = registry(manifests).await;
    let repository = RepositoryName::parse("a").unwrap();
    let place = Place { registry: &registry, repository: &repository };
    let reference = Reference::Tag(Tag::parse("v1").unwrap());
    let error = copy(place, &reference, place, None, true, &|_| ()).await.unwrap_err();
    (error, server.asked().len())
}

#[tokio::test]
async fn sizes_that_cannot_be_added_are_no_panic() {
    let blob = |letter: &str| json!({ "digest": format!("sha256:{}", letter.repeat(64)), "size": u64::MAX });
    let image = json!({ "schemaVersion": 2, "config": blob("a"), "layers": [blob("b")] }).to_string();
    let (error, _) = copied(&[image]).await;
    assert!(matches!(error, CopyError::Registry(_)), "{error}");
}

#[tokio::test]
async fn the_manifests_of_an_image_fit_into_memory() {
    let filler = "x".repeat(3 << 20);
    let mut manifests: Vec<String> = (0..30).map(|at| format!("{at}{filler}")).collect();
    manifests.push(index(&manifests));
    let (error, asked) = copied(&manifests).await;
    assert!(matches!(error, CopyError::TooMany), "{error}");
    assert!(asked < 60, "{asked}");
}

#[tokio::test]
async fn blobs_are_counted_over_all_manifests() {
    let image = |at: usize| {
        let layers =
            (0..7_000).map(|layer| json!({ "digest": format!("sha256:{:064x}", at * 10_000 + layer), "size": 1 }));
        json!({ "schemaVersion": 2, "layers": layers.collect::<Vec<_>>() }).to_string()
    };
    let mut manifests: Vec<String> = (0..3).map(image).collect();
    manifests.push(index(&manifests));
    let (error, _) = copied(&manifests).await;
    assert!(matches!(error, CopyError::TooMany), "{error}");
}
