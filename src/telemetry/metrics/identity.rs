//! The metrics of identity providers. Their names are from the configuration, so that no client can add a series.

use prometheus::{IntGaugeVec, Opts, Registry};

use super::sharded::Counters;
use super::{Metrics, MetricsError};

/// The `provider` label of tokens that no provider could be found for.
const NO_PROVIDER: &str = "none";

#[derive(Debug)]
pub(super) struct Identity {
    provider_up: IntGaugeVec,
    tokens_refused: Counters<2>,
}

impl Identity {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let provider_up = IntGaugeVec::new(
            Opts::new(
                "seawall_identity_provider_up",
                "Whether the keys of the identity provider could be fetched when they were last asked for.",
            ),
            &["provider"],
        )?;
        registry.register(Box::new(provider_up.clone()))?;
        Ok(Self {
            provider_up,
            tokens_refused: Counters::new(
                registry,
                "seawall_identity_tokens_refused_total",
                "Tokens of identity providers that were refused or could not be verified, by reason.",
                ["provider", "reason"],
            )?,
        })
    }
}

impl Metrics {
    /// Shows whether the keys of `provider` could be fetched.
    pub fn identity_provider_answered(&self, provider: &str, up: bool) {
        if let Ok(gauge) = self.identity.provider_up.get_metric_with_label_values(&[provider]) {
            gauge.set(i64::from(up));
        }
    }

    /// A provider is not declared any more.
    pub fn forget_identity_provider(&self, provider: &str) {
        // It is not there when it was never asked.
        let _ = self.identity.provider_up.remove_label_values(&[provider]);
    }

    /// Counts a token that was refused; `reason` is a code of ours, fixed at compile time.
    pub fn identity_token_refused(&self, provider: Option<&str>, reason: &'static str) {
        self.identity.tokens_refused.count([provider.unwrap_or(NO_PROVIDER), reason]);
    }
}
