//! Lists of repositories, as roles and anonymous pull are confined to some.

use std::collections::HashSet;

use super::error::ApiError;
use crate::policy::RepositoryPattern;

/// In one list.
const MOST: usize = 500;

/// What `patterns` mean, each once, read by the same function as those in files. `target` is their place in the body.
///
/// # Errors
/// 400 for an empty list, which would be a strange way to say nobody or everybody, and for what is no pattern.
pub(super) fn checked(target: &str, patterns: &[String]) -> Result<Vec<RepositoryPattern>, ApiError> {
    if patterns.is_empty() {
        let message = "this covers no repository; write `*` for all of them";
        return Err(ApiError::invalid(target, message));
    }
    if patterns.len() > MOST {
        return Err(ApiError::invalid(target, format!("there are at most {MOST} repositories in a list")));
    }
    let read = |(position, pattern): (usize, &String)| {
        let refused = |error| ApiError::invalid(&format!("{target}[{position}]"), format!("`{pattern}`: {error}"));
        RepositoryPattern::parse(pattern).map_err(refused)
    };
    let mut read = patterns.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    read.retain(|pattern| seen.insert(pattern.to_string()));
    Ok(read)
}

/// In their one form.
pub(super) fn texts(patterns: &[RepositoryPattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}
