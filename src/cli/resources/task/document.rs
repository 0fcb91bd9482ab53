//! The file that says what a task does (S4-10): `version`, and steps that build, push or run.
//!
//! What stands in it and is not understood is refused with its place, before the first step.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::build::{Build, argument};
use super::words::{Variables, split};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};
use crate::server;

/// What ACR gives a step, in seconds (S4-25).
const STEP_TIMEOUT: u32 = 600;
/// The longest that a step may be given, in seconds: a day.
const LONGEST: u32 = 86_400;
const VERSIONS: [&str; 3] = ["v1.1.0", "1.1.0", "v1.0.0"];

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    version: At<String>,
    /// Seconds for each step that says nothing else.
    #[serde(default)]
    step_timeout: Option<At<u32>>,
    #[serde(default)]
    env: Vec<At<String>>,
    steps: Vec<At<StepDocument>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StepDocument {
    #[serde(default)]
    build: Option<At<String>>,
    #[serde(default)]
    push: Option<At<Vec<At<String>>>>,
    #[serde(default)]
    cmd: Option<At<String>>,
    #[serde(default)]
    id: Option<At<String>>,
    /// Seconds.
    #[serde(default)]
    timeout: Option<At<u32>>,
    #[serde(default)]
    env: Vec<At<String>>,
    #[serde(default)]
    working_directory: Option<At<String>>,
    #[serde(default)]
    ignore_errors: Option<bool>,
}

/// One step, ready to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) timeout: Duration,
    /// `NAME=VALUE`, of a command.
    pub(super) env: Vec<String>,
    /// Below the task's context; empty for itself.
    pub(super) working_directory: String,
    pub(super) ignore_errors: bool,
    pub(super) action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Build(Build),
    /// The images.
    Push(Vec<String>),
    /// An image, and what is passed to it.
    Command(Vec<String>),
}

/// The steps of the file at `path`.
///
/// # Errors
/// Every problem.
pub(super) fn read(path: &Path, variables: &Variables) -> Result<Vec<Step>, Problems> {
    let document: Document = server::read_foreign(path)?;
    let mut problems = Problems::new();
    if !VERSIONS.contains(&document.version.as_str()) {
        let problem = Problem::new(&document.version.origin, format!("the version is not {}", VERSIONS[0]));
        problems.push(problem);
    }
    let usual = seconds(document.step_timeout.as_ref(), STEP_TIMEOUT, &mut problems);
    let env = environment(&document.env, variables, &mut problems);
    let mut steps: Vec<Step> = Vec::new();
    for (at, step) in document.steps.iter().enumerate() {
        let mut own = Problems::new();
        let read = step_of(at, step, (usual, &env), variables, &mut own);
        if let Some(step) = read.as_ref().filter(|read| steps.iter().any(|other| other.id == read.id)) {
            own.push(Problem::new(&document.steps.get(at).map_or_else(Origin::built_in, |one| one.origin.clone()), {
                format!("a step before has the id {:?} too", step.id)
            }));
        }
        problems.extend(own);
        steps.extend(read);
    }
    if steps.is_empty() && problems.is_empty() {
        problems.push(Problem::new(&document.version.origin, "there are no steps"));
    }
    if problems.is_empty() { Ok(steps) } else { Err(problems) }
}

fn step_of(
    at: usize,
    step: &At<StepDocument>,
    (usual, env): (Duration, &[String]),
    variables: &Variables,
    problems: &mut Problems,
) -> Option<Step> {
    let id = match &step.id {
        Some(id) if is_id(id) => id.value.clone(),
        Some(id) => {
            problems.push(Problem::new(&id.origin, "an id has letters, digits, `-` and `_`"));
            return None;
        }
        None => format!("acb_step_{at}"),
    };
    let timeout = match &step.timeout {
        None => usual,
        given => seconds(given.as_ref(), STEP_TIMEOUT, problems),
    };
    let mut env = env.to_vec();
    env.extend(environment(&step.env, variables, problems));
    let working_directory = step.working_directory.as_ref();
    let working_directory = working_directory.and_then(|one| expand(one, variables, problems)).unwrap_or_default();
    if !is_below(&working_directory) {
        problems.push(Problem::new(&step.origin, "workingDirectory is not below the task's context"));
    }
    let action = action(step, variables, problems)?;
    let ignore_errors = step.ignore_errors.unwrap_or_default();
    Some(Step { id, timeout, env, working_directory, ignore_errors, action })
}

fn action(step: &At<StepDocument>, variables: &Variables, problems: &mut Problems) -> Option<Action> {
    let read = match (&step.build, &step.push, &step.cmd) {
        (Some(build), None, None) => {
            let words = words(build, variables, problems)?;
            Build::read(words).map(Action::Build).map_err(|what| Problem::new(&build.origin, what))
        }
        (None, Some(images), None) => {
            let expanded = expanded(images, variables, problems);
            match expanded.iter().find(|image| !is_argument(image)) {
                None if !expanded.is_empty() => Ok(Action::Push(expanded)),
                _ => Err(Problem::new(&images.origin, "push is a list of images, REGISTRY/REPOSITORY:TAG")),
            }
        }
        (None, None, Some(command)) => {
            let words = words(command, variables, problems)?;
            match words.first() {
                Some(image) if is_argument(image) => Ok(Action::Command(words)),
                _ => Err(Problem::new(&command.origin, "cmd begins with an image")),
            }
        }
        _ => Err(Problem::new(&step.origin, "a step has one of build, push and cmd")),
    };
    read.map_err(|problem| problems.push(problem)).ok()
}

/// Whether it could not be taken for an option.
fn is_argument(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-')
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= 50 && text.bytes().all(fits)
}

/// Whether a path stays in the directory that it starts from.
pub(super) fn is_below(path: &str) -> bool {
    use std::path::Component::{CurDir, Normal};
    Path::new(path).components().all(|one| matches!(one, Normal(_) | CurDir))
}

fn seconds(given: Option<&At<u32>>, usual: u32, problems: &mut Problems) -> Duration {
    let wrong = given.filter(|given| !(1..=LONGEST).contains(&given.value));
    if let Some(wrong) = wrong {
        problems.push(Problem::new(&wrong.origin, format!("a timeout is 1 to {LONGEST} seconds")));
    }
    Duration::from_secs(given.map_or(usual, |given| given.value).into())
}

fn expand(text: &At<String>, variables: &Variables, problems: &mut Problems) -> Option<String> {
    variables.expand(text).map_err(|what| problems.push(Problem::new(&text.origin, what))).ok()
}

fn expanded(texts: &[At<String>], variables: &Variables, problems: &mut Problems) -> Vec<String> {
    texts.iter().filter_map(|text| expand(text, variables, problems)).collect()
}

/// `NAME=VALUE` each. A name alone, or a `*`, would be read from the environment of whoever runs this.
fn environment(texts: &[At<String>], variables: &Variables, problems: &mut Problems) -> Vec<String> {
    let all = expanded(texts, variables, problems);
    for text in texts.iter().filter(|text| argument(text).is_err()) {
        problems.push(Problem::new(&text.origin, "env is a list of NAME=VALUE"));
    }
    all
}

fn words(text: &At<String>, variables: &Variables, problems: &mut Problems) -> Option<Vec<String>> {
    let words = split(text).and_then(|words| words.iter().map(|word| variables.expand(word)).collect());
    words.map_err(|what| problems.push(Problem::new(&text.origin, what))).ok()
}
