//! The access tokens that a worker saw last: a client presents the same one with every request, and to hash it takes longer than
//! to look at everything else that it asks for.
//!
//! Every thread has its own, so that none waits for another. A token is found by its text alone, all of which is compared, in a
//! time that depends on nothing but its length; where to look for it is in its last characters, which are those of its signature.
//! So here, and only here, tokens lie in memory as they are: a few, where those that come with every request lie as well.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::VerifiedAccess;
use crate::secret::Secret;

/// How many tokens a thread keeps; a power of two.
const PLACES: usize = 64;
/// The longest that is kept, in bytes: with [`PLACES`] the most that a thread keeps is 256 KiB, and about as much again of what they
/// say.
const LONGEST: usize = 4096;
/// As many characters at the end say where a token is kept.
const TAIL: usize = 8;

thread_local! {
    static RECENT: RefCell<Vec<Option<Place>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Place {
    owner: u64,
    token: Secret,
    claims: Arc<VerifiedAccess>,
}

/// The recent tokens of one [`super::AccessTokens`].
#[derive(Debug)]
pub(super) struct Recent {
    owner: u64,
}

impl Recent {
    pub(super) fn new() -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        Self { owner: OWNERS.fetch_add(1, Ordering::Relaxed) }
    }

    /// What this token was found to say, if this thread saw it lately.
    pub(super) fn find(&self, token: &str) -> Option<Arc<VerifiedAccess>> {
        RECENT.with_borrow(|recent| {
            let place = recent.get(place_of(token)?)?.as_ref()?;
            let is_it = place.owner == self.owner
                && verify_slices_are_equal(place.token.expose().as_bytes(), token.as_bytes()).is_ok();
            is_it.then(|| Arc::clone(&place.claims))
        })
    }

    /// Forgets a token that is good no more.
    pub(super) fn forget(&self, token: &str) {
        RECENT.with_borrow_mut(|recent| {
            let place = place_of(token).and_then(|at| recent.get_mut(at));
            if let Some(place) = place.filter(|place| place.as_ref().is_some_and(|kept| kept.owner == self.owner)) {
                *place = None;
            }
        });
    }

    /// Keeps what `token` says, in place of another.
    pub(super) fn keep(&self, token: &Secret, claims: &VerifiedAccess) {
        let Some(at) = place_of(token.expose()) else { return };
        // Of its own, so that no thread waits for another to count who uses it.
        let claims = Arc::new(VerifiedAccess { granted: Arc::new((*claims.granted).clone()), ..claims.clone() });
        RECENT.with_borrow_mut(|recent| {
            recent.resize_with(PLACES, || None);
            if let Some(place) = recent.get_mut(at) {
                *place = Some(Place { owner: self.owner, token: token.clone(), claims });
            }
        });
    }
}

/// `None`: such a token is not kept.
fn place_of(token: &str) -> Option<usize> {
    let tail = token.as_bytes().last_chunk::<TAIL>().filter(|_| token.len() <= LONGEST)?;
    // Every bit of the characters counts: the last one has only a few that differ.
    let mixed = u64::from_le_bytes(*tail).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> (u64::BITS - PLACES.trailing_zeros())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::access_token::tests::verified;

    #[test]
    fn a_token_is_found_by_all_of_its_text_and_by_its_owner_only() {
        let (recent, other) = (Recent::new(), Recent::new());
        let token = Secret::new("header.payload.signature");
        recent.keep(&token, &verified("a"));
        assert_eq!(recent.find(token.expose()).map(|claims| claims.id.clone()).as_deref(), Some("a"));
        for changed in ["Header.payload.signature", "header.payloae.signature", "payload.signature", "signature", ""] {
            assert_eq!(recent.find(changed), None, "{changed}");
        }
        assert_eq!(other.find(token.expose()), None);
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| recent.find(token.expose())).join().unwrap());
        assert_eq!(elsewhere, None);
        recent.keep(&token, &verified("b"));
        assert_eq!(recent.find(token.expose()).map(|claims| claims.id.clone()).as_deref(), Some("b"));
        recent.forget(token.expose());
        assert_eq!(recent.find(token.expose()), None);
    }

    #[test]
    fn few_are_kept_and_no_long_ones() {
        let recent = Recent::new();
        let long = Secret::new("x".repeat(LONGEST + 1));
        recent.keep(&long, &verified("long"));
        assert_eq!(recent.find(long.expose()), None);
        let tokens: Vec<_> = (0..1000).map(|number| Secret::new(format!("a.b.signature-{number:04}"))).collect();
        for token in &tokens {
            recent.keep(token, &verified(token.expose()));
        }
        let kept = tokens.iter().filter(|token| recent.find(token.expose()).is_some()).count();
        assert!((PLACES / 2..=PLACES).contains(&kept), "{kept}");
    }
}
