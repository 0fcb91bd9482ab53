//! How much of a body is read at a time: about what goes through in two milliseconds.
//!
//! Where both sides are fast, large pieces keep us ahead of the upstream: what it sends is read while it is still in the processor's
//! cache. With small ones we fall behind, it fills the system's buffers, and each byte costs twice as much to copy. A client that is slow
//! gains nothing by them, and a thousand of those would hold a thousand large pieces. And after how much others have their turn: with
//! pieces that large nobody else would have one for long.

use std::time::Duration;

use tokio::time::Instant;

const LEAST: usize = 64 * 1024;
const MOST: usize = 512 * 1024;

/// What a piece may take, from where it is read to where the client has it.
const QUICK: Duration = Duration::from_millis(2);

/// So many bytes have to go quickly before pieces grow. The system takes up to a third of four megabytes at once for a slow client,
/// each time that so much of what it had taken has gone.
const CONVINCING: usize = 2 * 1024 * 1024;

/// After so many bytes others have their turn, if neither side made this one wait.
const TURN: usize = 4 * 1024 * 1024;

/// Of one body. All are bytes, but for the moment.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    /// When the last piece was asked for.
    began: Option<Instant>,
    came: usize,
    /// Of full pieces that went quickly, since it was otherwise.
    quick: usize,
    turn: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { most: LEAST, began: None, came: 0, quick: 0, turn: 0 }
    }
}

impl Pace {
    /// The most that is to be read now, in bytes: the piece before it has gone.
    pub(super) fn next(&mut self, now: Instant) -> usize {
        let took = self.began.replace(now).map_or(Duration::ZERO, |began| now - began);
        if took > QUICK {
            self.quick = 0;
            let in_time = self.came as u128 * QUICK.as_micros() / took.as_micros();
            self.most = usize::try_from(in_time).map_or(MOST, |bytes| bytes.clamp(LEAST, MOST));
        } else if self.came >= self.most {
            self.quick += self.came;
            if self.quick >= CONVINCING {
                self.quick = 0;
                self.most = (self.most * 2).min(MOST);
            }
        }
        self.most
    }

    /// So many bytes were read.
    pub(super) const fn came(&mut self, bytes: usize) {
        self.came = bytes;
        self.turn += bytes;
    }

    /// It has waited for others.
    pub(super) const fn goes_on(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// Whether it is somebody else's turn.
    pub(super) const fn has_had_its_turn(&mut self) -> bool {
        let is_over = self.turn >= TURN;
        if is_over {
            self.turn = 0;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of which pieces come, as much of each as is asked for or less, in so many microseconds.
    struct Body {
        pace: Pace,
        now: Instant,
    }

    impl Body {
        fn new() -> Self {
            Self { pace: Pace::default(), now: Instant::now() }
        }

        /// Passes this many pieces on; returns how many KiB are asked for after them.
        fn pass(&mut self, pieces: usize, available: usize, microseconds: u64) -> usize {
            for _ in 0..pieces {
                let most = self.pace.next(self.now);
                self.pace.came(most.min(available));
                self.now += Duration::from_micros(microseconds);
            }
            self.pace.next(self.now) / 1024
        }
    }

    #[test]
    fn pieces_grow_where_both_sides_are_quick() {
        let mut body = Body::new();
        assert_eq!(body.pass(31, MOST, 100), 64);
        assert_eq!(body.pass(1, MOST, 100), 128);
        assert_eq!(body.pass(16, MOST, 100), 256);
        assert_eq!(body.pass(8, MOST, 100), 512);
        assert_eq!(body.pass(100, MOST, 100), 512);
    }

    #[test]
    fn they_do_not_grow_beyond_what_the_upstream_has() {
        assert_eq!(Body::new().pass(1000, 100 * 1024, 100), 128);
        assert_eq!(Body::new().pass(1000, 1024, 100), 64);
    }

    #[test]
    fn they_shrink_to_what_goes_in_time() {
        let mut body = Body::new();
        body.pass(100, MOST, 100);
        assert_eq!(body.pass(1, MOST, 4_000), 256);
        assert_eq!(body.pass(1, MOST, 1_000_000), 64);
    }

    /// A client behind a network takes what its system's buffer has room for at once, and nothing for a while.
    #[test]
    fn a_slow_clients_bursts_convince_nobody() {
        let mut body = Body::new();
        for _ in 0..100 {
            assert_eq!(body.pass(21, MOST, 20), 64);
            assert_eq!(body.pass(1, MOST, 50_000), 64);
        }
    }

    #[test]
    fn others_have_their_turn() {
        let mut pace = Pace::default();
        pace.came(TURN - 1);
        assert!(!pace.has_had_its_turn());
        pace.came(1);
        assert!(pace.has_had_its_turn() && !pace.has_had_its_turn());
    }
}
