//! Counters that threads do not take from each other: each counts in a place of its own, and whoever reads adds them up.
//!
//! A worker that counts what another has just counted waits for the other's core; with a dozen counters for each request, that was a
//! tenth of what the cheapest answers cost.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus::core::{Atomic, GenericCounter, GenericCounterVec, GenericGauge, Number};
use prometheus::{Opts, Registry};
use thread_local::ThreadLocal;

use super::MetricsError;

/// Threads that count in places of their own; any more share them.
const PLACES: usize = 8;

/// Label values whose counter a thread finds without asking the others.
const KNOWN: usize = 64;

pub(super) type IntCounter = GenericCounter<Sharded<u64>>;
type IntCounterVec = GenericCounterVec<Sharded<u64>>;

/// A gauge that only goes up and down by one.
pub(super) type Level = GenericGauge<Sharded<i64>>;

/// A number in parts.
pub(super) struct Sharded<T> {
    places: [Place; PLACES],
    number: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Sharded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded").finish_non_exhaustive()
    }
}

/// In a line of the processor's cache of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place(AtomicU64);

/// A number of 64 bits, of which parts can be added up as they are.
pub(super) trait Whole: Number {
    fn bits(self) -> u64;
    fn of(bits: u64) -> Self;
}

impl Whole for u64 {
    fn bits(self) -> u64 {
        self
    }

    fn of(bits: u64) -> Self {
        bits
    }
}

impl Whole for i64 {
    fn bits(self) -> u64 {
        self.cast_unsigned()
    }

    fn of(bits: u64) -> Self {
        bits.cast_signed()
    }
}

impl<T> Sharded<T> {
    fn own(&self) -> &AtomicU64 {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
        }
        let place = PLACE.with(|place| *place);
        let [first, ..] = &self.places;
        &self.places.get(place).unwrap_or(first).0
    }
}

impl<T: Whole> Atomic for Sharded<T> {
    type T = T;

    fn new(value: T) -> Self {
        let sharded = Self { places: Default::default(), number: PhantomData };
        sharded.set(value);
        sharded
    }

    /// What others count meanwhile may be lost.
    fn set(&self, value: T) {
        let [first, others @ ..] = &self.places;
        first.0.store(value.bits(), Ordering::Relaxed);
        for place in others {
            place.0.store(0, Ordering::Relaxed);
        }
    }

    fn get(&self) -> T {
        let parts = self.places.iter().map(|place| place.0.load(Ordering::Relaxed));
        T::of(parts.fold(0, u64::wrapping_add))
    }

    fn inc_by(&self, delta: T) {
        self.own().fetch_add(delta.bits(), Ordering::Relaxed);
    }

    fn dec_by(&self, delta: T) {
        self.own().fetch_sub(delta.bits(), Ordering::Relaxed);
    }
}

/// A family of counters that every thread finds for itself.
pub(super) struct Counters<const N: usize> {
    family: IntCounterVec,
    known: ThreadLocal<RefCell<Known<N>>>,
}

/// Counters by the values of their labels.
type Known<const N: usize> = Vec<([Box<str>; N], IntCounter)>;

impl<const N: usize> fmt::Debug for Counters<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

impl<const N: usize> Counters<N> {
    pub(super) fn new(registry: &Registry, name: &str, help: &str, labels: [&str; N]) -> Result<Self, MetricsError> {
        let family = IntCounterVec::new(Opts::new(name, help), &labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self { family, known: ThreadLocal::new() })
    }

    /// The counter of these values; it cannot be had where a label is missing, and the type has all of them.
    pub(super) fn of(&self, values: [&str; N]) -> Result<IntCounter, prometheus::Error> {
        self.family.get_metric_with_label_values(&values)
    }

    /// Counts one more.
    pub(super) fn count(&self, values: [&str; N]) {
        let mut known = self.known.get_or_default().borrow_mut();
        let is_meant =
            |(own, _): &&([Box<str>; N], IntCounter)| own.iter().zip(values).all(|(own, value)| **own == *value);
        if let Some((_, counter)) = known.iter().find(is_meant) {
            counter.inc();
            return;
        }
        let Ok(counter) = self.of(values) else { return };
        counter.inc();
        if known.len() < KNOWN {
            known.push((values.map(Box::from), counter));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_count_together() {
        let (counter, level) = (Sharded::<u64>::new(1), Sharded::<i64>::new(-1));
        thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| {
                    (0..1000).for_each(|_| counter.inc_by(3));
                    (0..1000).for_each(|_| level.inc_by(1));
                });
                scope.spawn(|| (0..1000).for_each(|_| level.dec_by(1)));
            }
        });
        assert_eq!(counter.get(), 1 + 3 * 1000 * 2 * PLACES as u64);
        assert_eq!(level.get(), -1);
        level.dec_by(2);
        assert_eq!(level.get(), -3, "below zero, over all places");
        counter.set(5);
        assert_eq!(counter.get(), 5);
    }

    /// With more values than a thread remembers, and whichever thread counts.
    #[test]
    fn every_value_of_a_label_has_its_counter() {
        let counters = Counters::new(&Registry::new(), "a_total", "a", ["one", "two"]).unwrap();
        let values: Vec<_> = (0..2 * KNOWN).map(|number| number.to_string()).collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for value in values.iter().chain(&values) {
                        counters.count([value, "x"]);
                        counters.count(["x", value]);
                    }
                });
            }
        });
        for value in &values {
            assert_eq!(counters.of([value, "x"]).unwrap().get(), 4);
            assert_eq!(counters.of(["x", value]).unwrap().get(), 4);
        }
    }
}
