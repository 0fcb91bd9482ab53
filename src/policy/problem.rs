//! A problem: something wrong in a file that a human wrote. All of them are collected; none stops the reading.

use std::collections::HashSet;
use std::fmt;

use super::origin::Origin;

/// One mistake, where it stands, and what to write instead where we know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    pub what: String,
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(origin: &Origin, what: impl Into<String>) -> Self {
        Self { origin: origin.clone(), what: what.into(), hint: None }
    }

    /// The same problem with a hint: a sentence that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Every problem found so far, in the order of their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problems yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    /// Adds those of `other` that are at places without a problem so far.
    ///
    /// For a second look at something whose reading failed: what stands in for a refused value is at the place of its
    /// problem, so nobody is told twice about one mistake.
    pub fn extend_elsewhere(&mut self, other: Problems) {
        let places: HashSet<Origin> = self.0.iter().map(|problem| problem.origin.clone()).collect();
        self.0.extend(other.0.into_iter().filter(|problem| !places.contains(&problem.origin)));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems, by file, line and column.
    pub fn sorted(mut self) -> Vec<Problem> {
        self.0.sort_by(|a, b| a.origin.cmp(&b.origin));
        self.0
    }

    /// The problems in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}
