//! The metrics of what is known of the upstreams' contents.

use std::time::Duration;

use prometheus::{Histogram, IntGauge, Registry};

use super::sharded::IntCounter;
use super::{Family, Metrics, MetricsError, gauge, histogram};
use crate::clock::Timestamp;
use crate::telemetry::labels::{Noted, UpstreamCall};

/// From a small registry to one that takes the whole time that there is for it.
const SWEEP_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

#[derive(Debug)]
pub(super) struct Metadata {
    notes: Family<Noted, IntCounter>,
    calls: Family<UpstreamCall, IntCounter>,
    sweep_seconds: Histogram,
    last_sweep: IntGauge,
}

impl Metadata {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            notes: Family::counters(
                registry,
                "seawall_metadata_notes_total",
                "Requests that the metadata index learns from, by what became of them.",
                "result",
            )?,
            calls: Family::counters(
                registry,
                "seawall_upstream_calls_total",
                "Requests that seawall itself made to upstreams, by how they ended.",
                "result",
            )?,
            sweep_seconds: histogram(
                registry,
                "seawall_metadata_sweep_duration_seconds",
                "Time to read at the upstreams everything that nobody had read for long.",
                SWEEP_SECONDS,
            )?,
            last_sweep: gauge(
                registry,
                "seawall_metadata_last_sweep_timestamp_seconds",
                "Unix time at which everything was last read at the upstreams.",
            )?,
        })
    }
}

impl Metrics {
    /// Counts a note about what passed by.
    pub fn metadata_noted(&self, result: Noted) {
        self.metadata.notes.of(result).inc();
    }

    /// Counts a request of our own to an upstream.
    pub fn upstream_called(&self, result: UpstreamCall) {
        self.metadata.calls.of(result).inc();
    }

    /// Everything at the upstreams was read, in this time, until this moment.
    pub fn metadata_swept(&self, took: Duration, at: Timestamp) {
        self.metadata.sweep_seconds.observe(took.as_secs_f64());
        self.metadata.last_sweep.set(at.as_second());
    }
}
