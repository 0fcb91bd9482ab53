//! The metrics of the control plane: its API, the store, how fast its changes get here, and passwords that end.

use std::time::Duration;

use prometheus::{Histogram, IntGauge, IntGaugeVec, Opts, Registry};

use super::sharded::{Counters, IntCounter};
use super::{Metrics, MetricsError, counter, gauge, histogram};

/// From a write on this machine to one that a reader found after an outage.
const DELAY_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Debug)]
pub(super) struct Control {
    requests: Counters<2>,
    store_up: IntGauge,
    store_errors: IntCounter,
    policy_revision: IntGauge,
    policy_delay: Histogram,
    passwords_expiring: IntGaugeVec,
    observations_dropped: IntCounter,
    private_endpoints_unknown: Counters<1>,
}

impl Control {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let passwords_expiring = IntGaugeVec::new(
            Opts::new(
                "seawall_passwords_expiring",
                "Passwords in use whose expiry is nearer than this; those that have expired are counted as ended only.",
            ),
            &["registry", "within"],
        )?;
        registry.register(Box::new(passwords_expiring.clone()))?;
        Ok(Self {
            requests: Counters::new(
                registry,
                "seawall_management_requests_total",
                "Requests to the management API by operation and status sent.",
                ["operation", "code"],
            )?,
            store_up: gauge(registry, "seawall_store_up", "Whether the store answered when it was last asked.")?,
            store_errors: counter(
                registry,
                "seawall_store_errors_total",
                "Failed attempts to read what changed in the store.",
            )?,
            policy_revision: gauge(
                registry,
                "seawall_policy_revision",
                "The last write to the store that the policy in force contains.",
            )?,
            policy_delay: histogram(
                registry,
                "seawall_policy_delay_seconds",
                "Time from a write to the store, by the writer's clock, until it is in force here.",
                DELAY_SECONDS,
            )?,
            passwords_expiring,
            observations_dropped: counter(
                registry,
                "seawall_observations_dropped_total",
                "Uses of passwords that are not in their last-used times, because they came too fast or the store was away.",
            )?,
            private_endpoints_unknown: Counters::new(
                registry,
                "seawall_private_endpoints_unknown_total",
                "Private endpoints that asked for a registry and that no connection of it names; each counts once.",
                ["registry"],
            )?,
        })
    }

    pub(super) fn holds(&self, revision: u64) {
        self.policy_revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
    }
}

impl Metrics {
    /// Counts a request to the management API. `operation` is a name of ours, fixed at compile time.
    pub fn management_request(&self, operation: &'static str, status: u16) {
        self.control.requests.count([operation, &status.to_string()]);
    }

    /// Counts a private endpoint that nobody knows.
    pub fn private_endpoint_unknown(&self, registry: &str) {
        self.control.private_endpoints_unknown.count([registry]);
    }

    /// The store answered.
    pub fn store_answered(&self) {
        self.control.store_up.set(1);
    }

    /// The store did not answer, or not with anything that can be used.
    pub fn store_failed(&self) {
        self.control.store_up.set(0);
        self.control.store_errors.inc();
    }

    /// Notes how long each of some writes to the store took until it was in force here.
    pub fn store_changes_applied(&self, delays: &[Duration]) {
        for delay in delays {
            self.control.policy_delay.observe(delay.as_secs_f64());
        }
    }

    /// Counts uses of passwords that nobody will know of.
    pub fn observations_dropped(&self, observations: u64) {
        self.control.observations_dropped.inc_by(observations);
    }

    /// Shows how many passwords of `registry` expire `within` a time, which is a fixed word.
    pub fn passwords_expiring(&self, registry: &str, within: &'static str, passwords: usize) {
        if let Ok(gauge) = self.control.passwords_expiring.get_metric_with_label_values(&[registry, within]) {
            gauge.set(i64::try_from(passwords).unwrap_or(i64::MAX));
        }
    }

    /// Forgets the expiring passwords of all registries, before they are counted anew: one of them may be gone.
    pub fn forget_passwords_expiring(&self) {
        self.control.passwords_expiring.reset();
    }
}
