//! The last denials, so that whoever was told an id can be told the reason without the audit log at hand.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lock;

/// How many are kept: a few megabytes at most, and nobody can make it more.
const KEPT: usize = 10_000;

/// Lines of denials, oldest first.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<VecDeque<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    id: String,
    line: Vec<u8>,
}

impl Denials {
    /// Keeps the line of the denial with this id; the oldest gives way, and its room is used again.
    pub(super) fn keep(&self, id: &str, line: &[u8]) {
        let mut kept = lock(&self.0);
        let room = if kept.len() == KEPT { kept.pop_front() } else { None };
        let mut room = room.unwrap_or_default();
        room.id.clear();
        room.id.push_str(id);
        room.line.clear();
        room.line.extend_from_slice(line);
        kept.push_back(room);
    }

    /// The latest with this id.
    pub(super) fn find(&self, id: &str) -> Option<String> {
        let kept = lock(&self.0);
        let found = kept.iter().rev().find(|kept| kept.id == id)?;
        String::from_utf8(found.line.clone()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_denial_gives_way() {
        let denials = Denials::default();
        let keep = |number: usize| denials.keep(&number.to_string(), format!("the line of {number}").as_bytes());
        (0..KEPT).for_each(keep);
        assert!(denials.find("0").is_some());
        keep(KEPT);
        assert!(denials.find("0").is_none() && denials.find("1").is_some());
        assert_eq!(denials.find(&KEPT.to_string()), Some(format!("the line of {KEPT}")));
        assert_eq!(lock(&denials.0).len(), KEPT);
    }
}
