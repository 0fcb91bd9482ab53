//! How much of a body is read at a time: about what goes through in two milliseconds.
//!
//! Where both sides are fast, large pieces keep us ahead of the upstream: what it sends is read while it is still in the processor's
//! cache. With small ones we fall behind, it fills the system's buffers, and each byte costs twice as much to copy. A client that is slow
//! gains nothing by them, and a thousand of those would hold a thousand large pieces.

use std::time::Duration;

use tokio::time::Instant;

const LEAST: usize = 64 * 1024;
const MOST: usize = 512 * 1024;

/// What a piece may take, from where it is read to where the client has it.
const QUICK: Duration = Duration::from_millis(2);

/// Of one body.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes.
    most: usize,
    began: Option<Instant>,
    is_full: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { most: LEAST, began: None, is_full: false }
    }
}

impl Pace {
    /// The most that is to be read now, in bytes: the piece before it has gone.
    pub(super) fn next(&mut self, now: Instant) -> usize {
        if let Some(began) = self.began.replace(now) {
            if now - began > QUICK {
                self.most = (self.most / 2).max(LEAST);
            } else if self.is_full {
                self.most = (self.most * 2).min(MOST);
            }
        }
        self.most
    }

    /// So many bytes were read.
    pub(super) const fn came(&mut self, bytes: usize) {
        self.is_full = bytes >= self.most;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes asked for in pieces that come full, or not, and take so many milliseconds.
    fn asked(pieces: &[(bool, u64)]) -> Vec<usize> {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let ask = |&(is_full, milliseconds): &(bool, u64)| {
            let most = pace.next(now);
            pace.came(if is_full { most } else { most - 1 });
            now += Duration::from_millis(milliseconds);
            most / 1024
        };
        pieces.iter().map(ask).collect()
    }

    #[test]
    fn pieces_grow_where_both_sides_are_quick() {
        assert_eq!(asked(&[(true, 1); 6]), [64, 128, 256, 512, 512, 512]);
    }

    #[test]
    fn they_do_not_grow_beyond_what_the_upstream_has() {
        assert_eq!(asked(&[(true, 1), (false, 1), (false, 1), (true, 1), (true, 1)]), [64, 128, 128, 128, 256]);
    }

    #[test]
    fn they_shrink_where_one_side_is_slow() {
        assert_eq!(
            asked(&[(true, 1), (true, 1), (true, 3), (true, 3), (true, 3), (true, 3)]),
            [64, 128, 256, 128, 64, 64]
        );
    }
}
