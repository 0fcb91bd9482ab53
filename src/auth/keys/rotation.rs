//! Which keys change when a signing key is rotated or revoked. Rules only: nothing is made, read or written here.

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::super::refresh_token::REFRESH_TOKEN_SECONDS;

/// From the making of a key until it signs: by then every replica knows it.
const LEAD: SignedDuration = SignedDuration::from_secs(5);
/// By how much the clocks of replicas may differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);
/// The longest that anything lives which a key signed. Access tokens, even with the grace of an upload, live shorter.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_secs(REFRESH_TOKEN_SECONDS as i64);

/// The time in which a signing key counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The key's.
    pub id: String,
    pub active_from: Timestamp,
    pub retires_at: Option<Timestamp>,
}

/// What happens when a new signing key takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// When the new key begins to sign.
    pub active_from: Timestamp,
    /// The keys that retire now, or earlier than they were to, with their new terms.
    pub retiring: Vec<Term>,
    /// The ids of keys that have retired: nobody needs them any more.
    pub gone: Vec<String>,
}

/// Why a key cannot be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Irrevocable {
    #[error("there is no such signing key")]
    Unknown,
    #[error("it is the only signing key: rotate first, then revoke it")]
    Last,
}

/// A new key takes over from `keys`. They go on verifying until everything that they signed has expired.
pub fn rotation(keys: &[Term], now: Timestamp) -> Rotation {
    let active_from = later(now, LEAD);
    let end = end_after(active_from);
    let (gone, alive): (Vec<&Term>, Vec<&Term>) = keys.iter().partition(|term| has_retired(term, now));
    let retiring = alive.into_iter().filter(|term| term.retires_at.is_none_or(|at| end < at));
    Rotation {
        active_from,
        retiring: retiring.map(|term| Term { retires_at: Some(end), ..term.clone() }).collect(),
        gone: gone.into_iter().map(|term| term.id.clone()).collect(),
    }
}

/// The key `id` is taken away, with everything that it signed. The answer is the term of another key that changes with
/// it: when no key is left that does not retire, the newest of the others goes on signing.
///
/// # Errors
/// [`Irrevocable`].
pub fn revocation(keys: &[Term], id: &str, now: Timestamp) -> Result<Option<Term>, Irrevocable> {
    if !keys.iter().any(|term| term.id == id) {
        return Err(Irrevocable::Unknown);
    }
    let others = || keys.iter().filter(|term| term.id != id && !has_retired(term, now));
    let newest = others().max_by_key(|term| (term.active_from, &term.id)).ok_or(Irrevocable::Last)?;
    let stays = others().any(|term| term.retires_at.is_none());
    Ok((!stays).then(|| Term { retires_at: None, ..newest.clone() }))
}

/// When the last thing expires that was signed before `replaced`.
pub(super) fn end_after(replaced: Timestamp) -> Timestamp {
    later(later(replaced, LONGEST_LIFE), CLOCK_SKEW)
}

fn has_retired(term: &Term, now: Timestamp) -> bool {
    term.retires_at.is_some_and(|end| end <= now)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 5 + 11_700 + 60;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn term(id: &str, active_from: i64, retires_at: Option<i64>) -> Term {
        Term { id: id.to_owned(), active_from: at(active_from), retires_at: retires_at.map(at) }
    }

    #[test]
    fn a_replaced_key_verifies_until_everything_that_it_signed_has_expired() {
        let keys = [
            term("now", -500, None),
            term("not yet", 3, None),
            term("soon gone", -900, Some(100)),
            term("gone", -9000, Some(0)),
        ];
        let expected = Rotation {
            active_from: at(5),
            retiring: vec![term("now", -500, Some(END)), term("not yet", 3, Some(END))],
            gone: vec!["gone".to_owned()],
        };
        assert_eq!(rotation(&keys, at(0)), expected);
    }

    #[test]
    fn a_revoked_key_leaves_one_that_does_not_retire() {
        let (old, older, new) = (term("old", -20, Some(500)), term("older", -30, Some(400)), term("new", 5, None));
        let keys = [old.clone(), new, older.clone()];
        assert_eq!(revocation(&keys, "old", at(0)), Ok(None));
        assert_eq!(revocation(&keys, "new", at(0)), Ok(Some(Term { retires_at: None, ..old })));
        assert_eq!(revocation(&keys, "another", at(0)), Err(Irrevocable::Unknown));
        let alone = [older.clone()];
        assert_eq!(revocation(&alone, "older", at(0)), Err(Irrevocable::Last));
        let with_a_retired_one = [older, term("gone", -90, Some(-1))];
        assert_eq!(revocation(&with_a_retired_one, "older", at(0)), Err(Irrevocable::Last));
        assert_eq!(revocation(&with_a_retired_one, "gone", at(0)).map(|changed| changed.is_some()), Ok(true));
    }
}
