//! The metrics of what is kept of registries' contents.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::sharded::{Counters, IntCounter};
use super::{Metrics, MetricsError};
use crate::telemetry::labels::ContentResult;

/// Where contents are kept.
const PLACES: [&str; 2] = ["memory", "disk"];

#[derive(Debug)]
pub(super) struct Content {
    requests: Counters<2>,
    rejected: Counters<1>,
    bytes: IntGaugeVec,
}

impl Content {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let bytes = IntGaugeVec::new(
            Opts::new(
                "seawall_content_cache_bytes",
                "Bytes of manifests and blobs that are kept, by registry and place.",
            ),
            &["registry", "place"],
        )?;
        registry.register(Box::new(bytes.clone()))?;
        Ok(Self {
            requests: Counters::new(
                registry,
                "seawall_content_cache_requests_total",
                "Permitted downloads of manifests and blobs by digest, by registry and what the content cache had.",
                ["registry", "result"],
            )?,
            rejected: Counters::new(
                registry,
                "seawall_content_cache_rejected_total",
                "Answers of upstreams that were not kept because their bytes have another digest, by registry.",
                ["registry"],
            )?,
            bytes,
        })
    }
}

/// Those of one registry, reached without a look-up.
#[derive(Debug)]
pub struct ContentMetrics {
    requests: Vec<IntCounter>,
    rejected: Option<IntCounter>,
    memory: Option<IntGauge>,
    disk: Option<IntGauge>,
}

impl Metrics {
    /// The metrics of the contents of `registry`.
    pub fn content(&self, registry: &str) -> ContentMetrics {
        let Content { requests, rejected, bytes } = &self.content;
        let results = ContentResult::ALL.iter();
        let gauge = |place| bytes.get_metric_with_label_values(&[registry, place]).ok();
        ContentMetrics {
            requests: results.filter_map(|result| requests.of([registry, result.as_str()]).ok()).collect(),
            rejected: rejected.of([registry]).ok(),
            memory: gauge("memory"),
            disk: gauge("disk"),
        }
    }

    /// Nothing is kept of `registry` any more.
    pub fn forget_content(&self, registry: &str) {
        for place in PLACES {
            // It may never have been there.
            let _ = self.content.bytes.remove_label_values(&[registry, place]);
        }
    }
}

impl ContentMetrics {
    /// Counts a request by what became of it.
    pub fn asked(&self, result: ContentResult) {
        if let Some(counter) = self.requests.get(result as usize) {
            counter.inc();
        }
    }

    /// Counts an answer of the upstream whose bytes have another digest.
    pub fn rejected(&self) {
        self.rejected.iter().for_each(IntCounter::inc);
    }

    /// Shows how many bytes are kept in memory.
    pub fn holds_in_memory(&self, bytes: u64) {
        show(self.memory.as_ref(), bytes);
    }

    /// Shows how many bytes are kept on the disk.
    pub fn holds_on_disk(&self, bytes: u64) {
        show(self.disk.as_ref(), bytes);
    }
}

fn show(gauge: Option<&IntGauge>, bytes: u64) {
    if let Some(gauge) = gauge {
        gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
