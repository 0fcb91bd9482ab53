//! A metric with one enum as its label: every child is made at the start and found by position.

use std::marker::PhantomData;

use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use super::MetricsError;
use super::sharded::{Counters, IntCounter};
use crate::telemetry::labels::Label;

#[derive(Debug)]
pub(super) struct Family<L, M> {
    children: Vec<M>,
    label: PhantomData<L>,
}

impl<L: Label, M> Family<L, M> {
    /// The child of `label`.
    #[expect(clippy::indexing_slicing, reason = "there is a child for every value of the enum")]
    pub(super) fn of(&self, label: L) -> &M {
        &self.children[label.position()]
    }

    fn new(child: impl Fn(&str) -> Result<M, prometheus::Error>) -> Result<Self, MetricsError> {
        let children = L::ALL.iter().map(|label| child(label.text())).collect::<Result<_, _>>()?;
        Ok(Self { children, label: PhantomData })
    }
}

impl<L: Label> Family<L, IntCounter> {
    pub(super) fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> Result<Self, MetricsError> {
        let counters = Counters::new(registry, name, help, [label])?;
        Self::new(|value| counters.of([value]))
    }
}

impl<L: Label> Family<L, Histogram> {
    pub(super) fn histograms(
        registry: &Registry,
        name: &str,
        help: &str,
        label: &str,
        buckets: &[f64],
    ) -> Result<Self, MetricsError> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histograms = HistogramVec::new(options, &[label])?;
        registry.register(Box::new(histograms.clone()))?;
        Self::new(|value| histograms.get_metric_with_label_values(&[value]))
    }
}
