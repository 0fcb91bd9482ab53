//! The last denials, so that whoever was told an id can be told the reason without the audit log at hand.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lock;
use super::record::AuditRecord;

/// How many are kept: a few megabytes at most, and nobody can make it more.
const KEPT: usize = 10_000;

/// Records of denials, oldest first.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<VecDeque<AuditRecord>>);

impl Denials {
    /// Keeps `record` if it is a denial with an id; the oldest gives way.
    pub(super) fn keep(&self, record: AuditRecord) {
        if record.denial_id.is_none() {
            return;
        }
        let mut kept = lock(&self.0);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(record);
    }

    /// The latest with this id.
    pub(super) fn find(&self, id: &str) -> Option<AuditRecord> {
        lock(&self.0).iter().rev().find(|record| record.denial_id.as_deref() == Some(id)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::audit::tests::record;

    #[test]
    fn the_oldest_denial_gives_way() {
        let denials = Denials::default();
        let denied = |number: usize| AuditRecord { denial_id: Some(number.to_string()), ..record(&number.to_string()) };
        (0..KEPT).for_each(|number| denials.keep(denied(number)));
        denials.keep(record("permitted"));
        assert!(denials.find("0").is_some() && denials.find("permitted").is_none());
        denials.keep(denied(KEPT));
        assert!(denials.find("0").is_none() && denials.find("1").is_some());
        assert_eq!(denials.find(&KEPT.to_string()), Some(denied(KEPT)));
        assert_eq!(lock(&denials.0).len(), KEPT);
    }
}
