//! What only one at a time may do with a thing, such as a repository, while others do it with other things.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turnstile, OwnedMutexGuard};

/// One turnstile for each key that somebody goes through or waits for. Behind it is a value, which is forgotten with the last
/// of them.
pub struct Turnstiles<K, T = ()> {
    /// As many as there are keys that somebody holds or awaits, and some that nobody does any more.
    by_key: Mutex<HashMap<K, Weak<Turnstile<T>>>>,
}

impl<K: Eq + Hash, T: Default> Turnstiles<K, T> {
    /// Waits until nobody else holds it; it is held until what is returned is dropped. In the order of those who wait.
    pub async fn take(&self, key: K) -> OwnedMutexGuard<T> {
        self.turnstile(key).lock_owned().await
    }

    fn turnstile(&self, key: K) -> Arc<Turnstile<T>> {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if by_key.len() == by_key.capacity() {
            // Before it grows: so it is at most twice as large as it must be.
            by_key.retain(|_, turnstile| turnstile.strong_count() > 0);
        }
        let slot = by_key.entry(key).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let turnstile = Arc::<Turnstile<T>>::default();
            *slot = Arc::downgrade(&turnstile);
            turnstile
        })
    }
}

impl<K, T> Default for Turnstiles<K, T> {
    fn default() -> Self {
        Self { by_key: Mutex::default() }
    }
}

impl<K, T> fmt::Debug for Turnstiles<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turnstiles").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_after_the_other_goes_through_and_others_do_not_wait() {
        let turns = Turnstiles::<&str>::default();
        let first = turns.take("a").await;
        let _other = turns.take("b").await;
        assert!(tokio::time::timeout(Duration::from_millis(20), turns.take("a")).await.is_err());
        drop(first);
        drop(turns.take("a").await);
    }

    #[tokio::test]
    async fn what_nobody_holds_is_forgotten() {
        let turns = Turnstiles::<u32, u32>::default();
        for number in 0..1_000 {
            let mut value = turns.take(number).await;
            assert_eq!(*value, 0);
            *value = 1;
        }
        assert_eq!(*turns.take(999).await, 0);
        assert!(turns.by_key.lock().unwrap().len() < 32);
    }
}
