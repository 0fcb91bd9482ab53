//! Private endpoints that asked for a registry and that no connection of it names: each is told once.
//!
//! Whoever can reach a private listener can be one, so how many are remembered is bounded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::observed::UnknownEndpoint;
use crate::policy::network::{EndpointMark, PrivateEndpointConnection};
use crate::telemetry::metrics::Metrics;

/// As many as a registry may have connections (requirements B.9).
const MOST: usize = 200;

/// What was told since the start.
pub(super) struct UnknownEndpoints {
    metrics: Arc<Metrics>,
    told: HashMap<Arc<str>, HashSet<EndpointMark>>,
}

impl UnknownEndpoints {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, told: HashMap::new() }
    }

    /// Tells of those that were not told yet.
    pub(super) fn note(&mut self, sightings: impl Iterator<Item = UnknownEndpoint>) {
        for UnknownEndpoint { registry, mark } in sightings {
            let told = self.told.entry(Arc::clone(&registry)).or_default();
            if told.len() >= MOST || !told.insert(mark.clone()) {
                continue;
            }
            self.metrics.private_endpoint_unknown(&registry);
            let (name, add) = (PrivateEndpointConnection::name_for(&mark), PrivateEndpointConnection::approval(&mark));
            tracing::warn!(
                %registry,
                endpoint = %mark,
                "a private endpoint that is not known was refused; to approve it, run \
                 `seawall private-endpoint-connection approve -r {registry} -n {name}`, or add `- {add}` to \
                 registries.{registry}.privateEndpointConnections"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(metrics: &Metrics, registry: &str) -> u64 {
        let line = format!("seawall_private_endpoints_unknown_total{{registry=\"{registry}\"}} ");
        let text = metrics.render().unwrap();
        text.lines().find_map(|one| one.strip_prefix(&line)).map_or(0, |value| value.parse().unwrap())
    }

    #[test]
    fn each_endpoint_of_a_registry_is_told_once_and_no_more_than_so_many() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut endpoints = UnknownEndpoints::new(Arc::clone(&metrics));
        let seen = |registry: &str, id| UnknownEndpoint { registry: registry.into(), mark: EndpointMark::LinkId(id) };
        endpoints.note([seen("first", 1), seen("first", 1), seen("second", 1), seen("first", 2)].into_iter());
        endpoints.note([seen("first", 2)].into_iter());
        assert_eq!((counted(&metrics, "first"), counted(&metrics, "second")), (2, 1));
        endpoints.note((0..10_000).map(|id| seen("first", id)));
        assert_eq!((counted(&metrics, "first"), counted(&metrics, "second")), (200, 1));
        assert_eq!(endpoints.told["first"].len(), 200);
    }
}
