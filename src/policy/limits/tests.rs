use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::oci::Method;
use crate::policy::operation::OperationClass;
use crate::policy::tier::Tier;

const SECOND: Duration = Duration::from_secs(1);

/// Times that go on from one another by up to `step` milliseconds, from somewhere in 30 years.
fn times(step: u64) -> impl Strategy<Value = Vec<Duration>> {
    (0..946_080_000_000_u64, prop::collection::vec(0..step, 1..300)).prop_map(|(start, steps)| {
        let times = steps.into_iter().scan(start, |now, step| {
            *now += step;
            Some(Duration::from_millis(*now))
        });
        times.collect()
    })
}

proptest! {
    /// A period has at most the limit, any other stretch as long at most twice that; what waits as it is told gets on, and not before.
    #[test]
    fn no_period_has_more_than_the_limit_and_a_full_one_ends_exactly(
        times in times(2_000), limit in 1..40_u32, period in 1_000..90_000_u64,
    ) {
        let period = Duration::from_millis(period);
        let mut spent = Spent::default();
        let mut passed = Vec::new();
        let mut began = None;
        for now in times {
            if began.is_none_or(|began| now >= began + period) {
                began = Some(now);
            }
            let in_period = passed.iter().filter(|time| **time >= began.unwrap()).count();
            match spent.spend(limit, period, now) {
                Ok(next) => {
                    prop_assert!(in_period < limit as usize);
                    passed.push(now);
                    spent = next;
                }
                Err(left) => {
                    prop_assert_eq!(in_period, limit as usize, "refused too early");
                    prop_assert_eq!(now + left, began.unwrap() + period);
                    prop_assert!(spent.spend(limit, period, now + left).is_ok_and(|spent| spent.count() == 1));
                    prop_assert!(spent.spend(limit, period, now + left.saturating_sub(Duration::from_millis(1))).is_err());
                }
            }
        }
        for first in &passed {
            let stretch = passed.iter().filter(|time| *time >= first && **time < *first + period).count();
            prop_assert!(stretch <= 2 * limit as usize);
        }
    }

    /// No time, limit or state is beyond the counter.
    #[test]
    fn nothing_overflows(bits: u64, limit: u32, now: u64, period: u64) {
        let spent = Spent::from_bits(bits);
        let (period, now) = (Duration::from_secs(period), Duration::from_secs(now));
        if let Ok(next) = spent.spend(limit, period, now) {
            prop_assert!(next.count() <= u64::from(limit.min(MOST)) && next.count() > 0);
            prop_assert!(next.give_back(next).count() == next.count() - 1);
        }
        let failures = Failures::default().failed(limit, &LoginLimits { within: period, lockout: period, ..LoginLimits::DEFAULT }, now);
        prop_assert_eq!(failures.locked_for(now).is_some(), limit <= 1 && !period.is_zero() && now < now.saturating_add(period));
    }

    /// So many failures within the time lock, exactly for the lockout; while it lasts nothing prolongs it.
    #[test]
    fn the_failure_that_reaches_the_limit_locks_for_the_lockout(times in times(20_000), limit in 1..20_u32) {
        let limits = LoginLimits { within: SECOND * 60, lockout: SECOND * 300, ..LoginLimits::DEFAULT };
        let mut failures = Failures::default();
        let (mut tried, mut locked_at) = (Vec::<Duration>::new(), None::<Duration>);
        for now in times {
            let locked = locked_at.is_some_and(|at| now < at + limits.lockout);
            prop_assert_eq!(failures.locked_for(now), locked_at.filter(|_| locked).map(|at| (at + limits.lockout).saturating_sub(now)));
            if locked {
                prop_assert_eq!(failures.failed(limit, &limits, now), failures);
                continue;
            }
            if tried.first().is_none_or(|first| now >= *first + limits.within) {
                tried.clear();
            }
            tried.push(now);
            failures = failures.failed(limit, &limits, now);
            if tried.len() == limit as usize {
                locked_at = Some(now);
                tried.clear();
            }
        }
    }
}

#[test]
fn a_place_that_is_given_back_can_be_taken_in_its_own_period_only() {
    let at = |seconds| SECOND * seconds;
    let one = Spent::default().spend(1, PERIOD, at(100)).unwrap();
    assert!(one.spend(1, PERIOD, at(101)).is_err());
    assert!(one.give_back(one).spend(1, PERIOD, at(101)).is_ok());
    let later = one.spend(1, PERIOD, at(160)).unwrap();
    assert_eq!(later.give_back(one), later);
}

/// Rounded up, so that who comes back then gets on; never 0.
#[test]
fn retry_after_counts_whole_seconds_and_never_none() {
    let exhausted = |left| Exhausted::new((RateScope::Registry, Category::Read), 5, left).retry_after;
    assert_eq!([1, 999, 1_000, 1_001, 59_999].map(|ms| exhausted(Duration::from_millis(ms))), [1, 1, 1, 2, 60]);
    assert_eq!(exhausted(Duration::ZERO), 1);
}

/// Requirements B.9; wire contract 7.
#[test]
fn categories_and_tiers_are_those_of_acr() {
    for (method, class, expected) in [
        (Method::Get, OperationClass::Base, &[Category::Read][..]),
        (Method::Head, OperationClass::ManifestRead, &[Category::Read]),
        (Method::Put, OperationClass::ManifestWrite, &[Category::Write]),
        (Method::Post, OperationClass::Mount, &[Category::Write]),
        (Method::Patch, OperationClass::Upload, &[Category::Write]),
        (Method::Delete, OperationClass::ManifestDelete, &[Category::Delete]),
        (Method::Delete, OperationClass::Upload, &[Category::Delete]),
        (Method::Get, OperationClass::Referrers, &[Category::ListReferrers, Category::Read]),
    ] {
        assert_eq!(Category::of(method, class), expected, "{method:?} {class:?}");
    }
    let row = |tier, scope| Category::ALL.map(|category| RateLimits::of(tier).limit(scope, category).unwrap_or(0));
    assert_eq!(row(Tier::Standard, RateScope::Registry), [10_000, 2_000, 1_000, 500, 10_000]);
    assert_eq!(row(Tier::Standard, RateScope::Identity), [5_000, 1_000, 500, 250, 0]);
    assert_eq!(row(Tier::Premium, RateScope::Registry), [20_000, 4_000, 4_000, 2_000, 20_000]);
    assert_eq!(row(Tier::Premium, RateScope::Identity), [10_000, 2_000, 2_000, 1_000, 0]);
    assert_eq!(RateLimits::of(Tier::Basic), RateLimits::of(Tier::Standard));
    assert!(RateLimits::default().are_off());
}
