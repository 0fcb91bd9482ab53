//! Where the files of a task or of a build come from: nowhere, a directory, or a git repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::document::is_below;
use crate::cli::resources::exec::child::{self, Ended, Manners, Signals};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::passes::withhold;
use crate::cli::visible;

const NOTHING: &str = "/dev/null";
/// For each of git's steps.
const PATIENCE: Duration = Duration::from_mins(10);
/// How git may fetch: nothing that runs a program of the URL's choice.
const PROTOCOLS: &str = "https:http:ssh:git:file";

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// `/dev/null` (S4-13).
    Nothing,
    Directory(PathBuf),
    Git(Repository),
}

/// `URL[#REFERENCE[:DIRECTORY]]`, as Docker writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    url: String,
    /// A branch, a tag or a commit; `HEAD` when nothing is said.
    reference: String,
    /// Below its root; empty for the root.
    directory: String,
}

/// What was fetched.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) path: PathBuf,
    /// S4-26.
    pub(super) head: String,
}

impl Source {
    /// Reads `text`.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == NOTHING {
            return Ok(Self::Nothing);
        }
        match Repository::parse(text)? {
            Some(repository) => Ok(Self::Git(repository)),
            None if text.is_empty() || text.starts_with('-') => Err(format!("`{text}` is no context")),
            None => Ok(Self::Directory(PathBuf::from(text))),
        }
    }
}

impl Repository {
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let has_scheme = ["https://", "http://", "ssh://", "git://", "file://"].iter().any(|one| url.starts_with(one));
        let is_path = (url.starts_with("git@") || url.starts_with('/')) && path_ends_with_git(url);
        if !has_scheme && !is_path {
            return Ok(None);
        }
        if has_password(url) {
            return Err(
                "a password in the URL of a git repository could be read in the list of processes and in the task: \
                        keep it with git (`git help credentials`)"
                    .to_owned(),
            );
        }
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        if reference.starts_with('-') || !is_below(directory) {
            return Err(format!("`{text}` is no git repository: write URL#BRANCH or URL#BRANCH:DIRECTORY"));
        }
        let reference = if reference.is_empty() { "HEAD" } else { reference };
        let (url, reference, directory) = (url.to_owned(), reference.to_owned(), directory.to_owned());
        Ok(Some(Self { url, reference, directory }))
    }

    /// Fetches one commit into the new directory `to`.
    pub(super) async fn fetch(&self, to: &Path, signals: &mut Signals) -> Result<Checkout, Failure> {
        let git = |words: &[&str]| {
            let mut command = Command::new("git");
            command.args(["-c", "advice.detachedHead=false", "-c", "init.defaultBranch=main"]);
            command.args(words).env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", PROTOCOLS);
            withhold(&mut command);
            command.stdout(Stdio::null());
            command
        };
        let path = to.display().to_string();
        self.done(git(&["init", "--quiet", "--", &path]), signals).await?;
        let fetch = ["-C", &path, "fetch", "--quiet", "--depth", "1", "--", &self.url, &self.reference];
        self.done(git(&fetch), signals).await?;
        self.done(git(&["-C", &path, "checkout", "--quiet", "FETCH_HEAD"]), signals).await?;
        let head = git(&["-C", &path, "rev-parse", "HEAD"]).stdout(Stdio::piped()).output();
        let head = head.map_err(|error| self.failed(&error.to_string()))?;
        let head = String::from_utf8_lossy(&head.stdout).trim().to_owned();
        Ok(Checkout { path: below(to, &self.directory)?, head })
    }

    async fn done(&self, command: Command, signals: &mut Signals) -> Result<(), Failure> {
        match child::run(command, Manners::Group { timeout: PATIENCE }, signals).await {
            Ok(Ended::Exited(status)) if status.success() => Ok(()),
            Ok(Ended::Exited(status)) => Err(self.failed(&status.to_string())),
            Ok(Ended::TimedOut) => Err(self.failed("it took too long")),
            Ok(Ended::Stopped) => Err(Failure::new("told to end")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(self.failed("the command git is not installed"))
            }
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    fn failed(&self, why: &str) -> Failure {
        let url = visible::line(&self.url);
        Failure::new(format!("cannot fetch {} of {}: {why}", self.reference, without_credential(&url)))
    }
}

fn path_ends_with_git(url: &str) -> bool {
    Path::new(url).extension().is_some_and(|extension| extension == "git")
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// A URL without what may be a password in it.
fn without_credential(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}"),
        None => url.to_owned(),
    }
}

/// The directory or file `inside` of `root`, wherever links in it lead.
pub(super) fn below(root: &Path, inside: &str) -> Result<PathBuf, Failure> {
    let missing = |error: std::io::Error| Failure::new(format!("{inside} is not there: {error}"));
    let root = root.canonicalize().map_err(missing)?;
    let path = root.join(inside).canonicalize().map_err(missing)?;
    if path.starts_with(&root) { Ok(path) } else { Err(Failure::new(format!("{inside} leads out of the context"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_as_people_write_them() {
        assert_eq!(Source::parse("/dev/null"), Ok(Source::Nothing));
        assert_eq!(Source::parse("."), Ok(Source::Directory(".".into())));
        assert_eq!(Source::parse("/srv/app"), Ok(Source::Directory("/srv/app".into())));
        let table = [
            ("https://example.com/a.git#main", ("https://example.com/a.git", "main", "")),
            ("https://example.com/a#v1:sub/dir", ("https://example.com/a", "v1", "sub/dir")),
            ("/srv/repository.git", ("/srv/repository.git", "HEAD", "")),
            ("git@example.com:a/b.git#:x", ("git@example.com:a/b.git", "HEAD", "x")),
        ];
        for (text, (url, reference, directory)) in table {
            let expected = Repository { url: url.into(), reference: reference.into(), directory: directory.into() };
            assert_eq!(Source::parse(text), Ok(Source::Git(expected)), "{text}");
        }
        for wrong in ["", "-x", "https://example.com/a.git#--upload-pack=x", "https://example.com/a.git#main:../.."] {
            assert!(Source::parse(wrong).is_err(), "{wrong}");
        }
        let refused = Source::parse("https://user:secret@example.com/a.git").unwrap_err();
        assert!(refused.contains("password") && !refused.contains("secret"), "{refused}");
        for right in ["https://user@example.com:8443/a@b:c.git", "ssh://git@example.com:22/a.git"] {
            assert!(matches!(Source::parse(right), Ok(Source::Git(_))), "{right}");
        }
        assert_eq!(without_credential("https://token@example.com/a"), "https://example.com/a");
    }
}
