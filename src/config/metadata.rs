//! How old what is known of the registries' contents may be.

use std::time::Duration;

use super::document::MetadataDocument;
use super::resolve::duration;
use crate::metadata::Settings;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};

/// More often nothing could be read to its end.
const SHORTEST_SWEEP: Duration = Duration::from_mins(1);
const NEVER: &str = "never";

pub(super) fn resolve(document: &MetadataDocument, problems: &mut Problems) -> Settings {
    let default = Settings::default();
    Settings {
        maximum_age: duration(document.maximum_age.as_ref(), default.maximum_age, problems),
        sweep_every: document.sweep_every.as_ref().map_or(default.sweep_every, |written| every(written, problems)),
    }
}

fn every(written: &At<String>, problems: &mut Problems) -> Option<Duration> {
    if written.value == NEVER {
        return None;
    }
    let before = problems.len();
    let every = duration(Some(written), SHORTEST_SWEEP, problems);
    if problems.len() == before && every < SHORTEST_SWEEP {
        let problem = Problem::new(&written.origin, "everything can be read anew once a minute at most");
        problems.push(problem.hint("at least 1m, or never"));
    }
    Some(every)
}
