//! Files of other programs, read with the same care: with positions, and every problem named.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{include, reader, yaml};
use crate::policy::origin::Origin;
use crate::policy::problem::{Problem, Problems};

/// The text of the file at `path`.
///
/// # Errors
/// Why it cannot be read.
pub fn text(path: &Path) -> Result<String, Problems> {
    include::text(path).map_err(|error| {
        let mut problems = Problems::new();
        problems.push(Problem::new(&Origin::new(path.to_string_lossy(), 1, 1), include::unreadable(path, &error)));
        problems
    })
}

/// Reads the YAML file at `path` as a `T`.
///
/// # Errors
/// Every problem when there is one, an unknown key included: what it means is not known, so nothing may be concluded
/// from the rest.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Problems> {
    let text = text(path)?;
    let mut problems = Problems::new();
    let tree = yaml::parse(&path.to_string_lossy(), &text, &mut problems);
    let value = tree.and_then(|tree| reader::read(tree, &mut problems));
    value.filter(|_| problems.is_empty()).ok_or(problems)
}
