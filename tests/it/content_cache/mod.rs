//! What is kept of manifests and blobs: given out as the upstream would, to nobody else, and not for longer than it is there.

mod age;
mod disk;
mod rights;
mod tags;
mod wire;

use crate::harness::caller::Caller;
use crate::harness::http::Response;
use crate::harness::image::MANIFEST;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::sources::record_of;
use crate::harness::wait_until;
use crate::harness::wall::{REGISTRY, Setup};

/// The line before which `contentCache` is written.
const NEXT: &str = "    adminUserEnabled: true\n";

/// A seawall before a registry, and how often it asked what it keeps.
struct World {
    registry: Registry,
    seawall: Seawall,
}

/// The file with this inside of `contentCache`.
fn with_cache(document: &str, cache: &str) -> String {
    assert!(document.contains(NEXT), "{document}");
    document.replacen(NEXT, &format!("    contentCache: {cache}\n{NEXT}"), 1)
}

fn start(upstream: &str, cache: &str) -> Seawall {
    start_with(&Setup::new(upstream), cache)
}

fn start_with(setup: &Setup, cache: &str) -> Seawall {
    let place = Place::new();
    let document = with_cache(&setup.document(&place), cache);
    place.start(&document)
}

impl World {
    fn start(distribution: Distribution, cache: &str) -> Self {
        let registry = Registry::start(distribution);
        let seawall = start(&registry.url(), cache);
        Self { registry, seawall }
    }

    fn caller(&self, user: &str) -> Caller {
        Caller::of(&self.seawall, user)
    }

    fn direct(&self) -> Caller {
        Caller::anonymous(self.registry.address())
    }

    fn hits(&self) -> u64 {
        count(&self.seawall, "hit")
    }
}

/// The value of a counter.
fn number(seawall: &Seawall, metric: &str) -> u64 {
    seawall.metric(metric).to_string().parse().unwrap()
}

/// How many requests had this result.
fn count(seawall: &Seawall, result: &str) -> u64 {
    number(seawall, &format!("seawall_content_cache_requests_total{{registry=\"{REGISTRY}\",result=\"{result}\"}}"))
}

fn manifest_path(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

fn blob_path(repository: &str, digest: &str) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

/// Asks for a manifest as clients do.
fn manifest(caller: &Caller, repository: &str, reference: &str) -> Response {
    caller.send("GET", &manifest_path(repository, reference), &[("Accept", MANIFEST)], b"")
}

/// From where the answer came, by its audit record.
fn served_from(seawall: &Seawall, answer: &Response) -> Option<String> {
    record_of(seawall, answer)["servedFrom"].as_str().map(str::to_owned)
}

fn expect_kept(seawall: &Seawall, answer: &Response) {
    assert_eq!((answer.status, served_from(seawall, answer).as_deref()), (200, Some("memory")), "{answer:?}");
}

fn expect_upstream(seawall: &Seawall, answer: &Response, status: u16) {
    assert_eq!((answer.status, served_from(seawall, answer)), (status, None), "{answer:?}");
}
