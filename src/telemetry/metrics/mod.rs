//! Every metric: its name, its help, and the method that moves it.
//!
//! Labels are registries' names (from the configuration, never from a request) and the enums of `labels`: a client
//! cannot add a time series. Where all labels are enums, every series exists from the start, at zero, and is reached
//! without a look-up.

mod content;
mod control;
mod family;
mod identity;
mod metadata;
mod sharded;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntGauge, Registry, TextEncoder};
use thiserror::Error;

use super::labels::{Cache, Direction, OperationClass, Outcome, RefusedConnection, Reload, StatusClass};
use crate::clock::Timestamp;
pub use content::ContentMetrics;

use control::Control;
use family::Family;
use identity::Identity;
use sharded::{Counters, IntCounter, Level};

/// From a cached answer to a slow upload's last byte.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];
/// From loopback to an upstream that is about to be given up.
const UPSTREAM_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The `registry` label of requests whose Host names none.
const NO_REGISTRY: &str = "none";

/// A metric cannot be registered: two share a name, or a name is malformed.
#[derive(Debug, Error)]
#[error("cannot register a metric: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// What is known about a request at its end.
#[derive(Debug, Clone, Copy)]
pub struct FinishedRequest<'a> {
    /// The registry's configured name; none when the Host names none. Never text from the request.
    pub registry: Option<&'a str>,
    pub operation: OperationClass,
    /// The status sent to the client; 0 when the connection ended before.
    pub status: u16,
    /// From the request's complete head to the answer's last byte.
    pub duration: Duration,
    /// From before connecting to the upstream to the head of its answer; none when nothing was forwarded.
    pub upstream: Option<Duration>,
    /// Body bytes from the client.
    pub uploaded: u64,
    /// Body bytes to the client.
    pub downloaded: u64,
}

/// All metrics of the process, in a registry of their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Counters<3>,
    request_seconds: Family<OperationClass, Histogram>,
    upstream_seconds: Histogram,
    decisions: Counters<3>,
    shadow_decisions: Counters<2>,
    cache_hits: Family<Cache, IntCounter>,
    cache_misses: Family<Cache, IntCounter>,
    bytes: Family<Direction, IntCounter>,
    requests_in_flight: Level,
    open_transfers: Level,
    policy_version: IntGauge,
    reloads: Family<Reload, IntCounter>,
    last_reload: IntGauge,
    audit_dropped: IntCounter,
    refused_connections: Family<RefusedConnection, IntCounter>,
    malformed_requests: IntCounter,
    panics: IntCounter,
    rate_limited: Counters<3>,
    control: Control,
    identity: Identity,
    metadata: metadata::Metadata,
    content: content::Content,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let r = &registry;
        Ok(Self {
            requests: Counters::new(
                r,
                "seawall_requests_total",
                "Finished requests by registry, operation and class of the status sent.",
                ["registry", "operation", "status"],
            )?,
            request_seconds: Family::histograms(
                r,
                "seawall_request_duration_seconds",
                "Time from a request's complete head to its answer's last byte, by operation.",
                "operation",
                REQUEST_SECONDS,
            )?,
            upstream_seconds: histogram(
                r,
                "seawall_upstream_response_seconds",
                "Time the upstream takes to send the head of its answer.",
                UPSTREAM_SECONDS,
            )?,
            decisions: Counters::new(
                r,
                "seawall_decisions_total",
                "Decisions by registry, outcome and reason.",
                ["registry", "outcome", "reason"],
            )?,
            shadow_decisions: Counters::new(
                r,
                "seawall_shadow_decisions_total",
                "Requests about which the network rules that are tried (networkRuleSet.shadow) would have decided otherwise.",
                ["registry", "would"],
            )?,
            cache_hits: Family::counters(
                r,
                "seawall_credential_cache_hits_total",
                "Credentials found verified in a cache.",
                "cache",
            )?,
            cache_misses: Family::counters(
                r,
                "seawall_credential_cache_misses_total",
                "Credentials that had to be verified.",
                "cache",
            )?,
            bytes: Family::counters(
                r,
                "seawall_transferred_bytes_total",
                "Bytes of request bodies (upload) and of response bodies (download).",
                "direction",
            )?,
            requests_in_flight: level(r, "seawall_requests_in_flight", "Requests that are being answered.")?,
            open_transfers: level(r, "seawall_open_transfers", "Bodies that are being passed on.")?,
            policy_version: gauge(r, "seawall_policy_version", "Version of the policy in force.")?,
            reloads: Family::counters(
                r,
                "seawall_policy_reloads_total",
                "Attempts to reload the policy by result; after a failed one the old policy stays in force.",
                "result",
            )?,
            last_reload: gauge(
                r,
                "seawall_policy_last_reload_timestamp_seconds",
                "Unix time of the last reload that did not fail.",
            )?,
            audit_dropped: counter(
                r,
                "seawall_audit_records_dropped_total",
                "Audit records lost because their sink was too slow or failed.",
            )?,
            refused_connections: Family::counters(
                r,
                "seawall_connections_refused_total",
                "Connections that were closed without an answer, by the rule of their listener that they broke.",
                "reason",
            )?,
            malformed_requests: counter(
                r,
                "seawall_malformed_requests_total",
                "Requests that are not HTTP, refused before anything could be decided.",
            )?,
            panics: counter(r, "seawall_panics_total", "Defects that stopped a task: please report them.")?,
            rate_limited: Counters::new(
                r,
                "seawall_rate_limited_total",
                "Requests that were refused with 429, by registry, category and whose limit it was.",
                ["registry", "category", "scope"],
            )?,
            control: Control::new(r)?,
            identity: Identity::new(r)?,
            metadata: metadata::Metadata::new(r)?,
            content: content::Content::new(r)?,
            registry,
        })
    }

    /// Counts a request at its end.
    pub fn request_finished(&self, request: &FinishedRequest<'_>) {
        let registry = request.registry.unwrap_or(NO_REGISTRY);
        let status = StatusClass::of(request.status);
        self.requests.count([registry, request.operation.as_str(), status.as_str()]);
        self.request_seconds.of(request.operation).observe(request.duration.as_secs_f64());
        if let Some(upstream) = request.upstream {
            self.upstream_seconds.observe(upstream.as_secs_f64());
        }
        if request.uploaded > 0 {
            self.bytes.of(Direction::Upload).inc_by(request.uploaded);
        }
        self.bytes.of(Direction::Download).inc_by(request.downloaded);
    }

    /// Counts a decision; `reason` is a code of ours, fixed at compile time, so that it stays bounded.
    pub fn decided(&self, registry: Option<&str>, outcome: Outcome, reason: &'static str) {
        self.decisions.count([registry.unwrap_or(NO_REGISTRY), outcome.as_str(), reason]);
    }

    /// Counts a request about which the network rules that are tried would have decided otherwise: `allow` or `deny`.
    pub fn shadow_decided(&self, registry: &str, would: &'static str) {
        self.shadow_decisions.count([registry, would]);
    }

    /// Counts a look-up in a cache of verified credentials.
    pub fn cache_looked_up(&self, cache: Cache, hit: bool) {
        if hit { self.cache_hits.of(cache).inc() } else { self.cache_misses.of(cache).inc() }
    }

    /// Counts a request as in flight until the guard is dropped, however it ends.
    pub fn request_started(&self) -> Gauged {
        Gauged::new(&self.requests_in_flight)
    }

    /// Counts a transfer as open until the guard is dropped, however it ends.
    pub fn transfer_opened(&self) -> Gauged {
        Gauged::new(&self.open_transfers)
    }

    /// Shows the version of the policy in force, and the last write to the store that it contains.
    pub fn policy_in_force(&self, version: u64, revision: u64) {
        self.policy_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        self.control.holds(revision);
    }

    /// Counts an attempt, at `time`, to reload the policy.
    pub fn reloaded(&self, result: Reload, time: Timestamp) {
        self.reloads.of(result).inc();
        if result != Reload::Failed {
            self.last_reload.set(time.as_second());
        }
    }

    /// Counts audit records that were lost.
    pub fn audit_records_dropped(&self, records: u64) {
        self.audit_dropped.inc_by(records);
    }

    /// Counts a connection that was closed without an answer.
    pub fn connection_refused(&self, reason: RefusedConnection) {
        self.refused_connections.of(reason).inc();
    }

    /// Counts a request that does not parse as HTTP: it has no audit record.
    pub fn request_malformed(&self) {
        self.malformed_requests.inc();
    }

    /// Counts a request that was refused with 429; `category` and `scope` are words of ours, fixed at compile time.
    pub fn rate_limited(&self, registry: Option<&str>, category: &'static str, scope: &'static str) {
        self.rate_limited.count([registry.unwrap_or(NO_REGISTRY), category, scope]);
    }

    /// Counts a panic, from the hook that the server installs.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// One more in a gauge, for as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it at once counts nothing"]
pub struct Gauged(Level);

impl Gauged {
    fn new(gauge: &Level) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
    registered(registry, IntCounter::new(name, help)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
    registered(registry, IntGauge::new(name, help)?)
}

fn level(registry: &Registry, name: &str, help: &str) -> Result<Level, MetricsError> {
    registered(registry, Level::new(name, help)?)
}

fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> Result<M, MetricsError> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, MetricsError> {
    registered(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
}

#[cfg(test)]
mod tests;
