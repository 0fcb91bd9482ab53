//! Why a command did not do what it was asked to: one sentence, what to do about it, and the exit code of `az`.

use std::fmt;

use http::StatusCode;

use crate::cli::visible;
use crate::management::client::{ClientError, Refusal};

/// The exit code of what is not found.
const NOT_FOUND: u8 = 3;
/// The exit code of a command line that makes no sense.
const USAGE: u8 = 2;

/// A command that failed.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    message: String,
    hint: Option<String>,
    /// Of the process.
    pub(super) exit_code: u8,
    /// What the server answered, if it did.
    refusal: Option<(StatusCode, String)>,
}

impl Failure {
    /// A failure with exit code 1.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit_code: 1, refusal: None }
    }

    /// Something is wrong on the command line: clap's exit code for it, and `az`'s.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit_code: USAGE, ..Self::new(message) }
    }

    /// There is no such thing on this machine.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { exit_code: NOT_FOUND, ..Self::new(message) }
    }

    /// What a registry answered with this status, if it did.
    pub(super) fn answered(message: impl fmt::Display, status: Option<u16>) -> Self {
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let exit_code = if status == Some(StatusCode::NOT_FOUND) { NOT_FOUND } else { 1 };
        let refusal = status.map(|status| (status, String::new()));
        Self { exit_code, refusal, ..Self::new(message.to_string()) }
    }

    /// Whether the server answered at all.
    pub(super) const fn was_answered(&self) -> bool {
        self.refusal.is_some()
    }

    /// Whether the server answered that it does not do it, so that nothing can have been done.
    pub(super) fn is_clear(&self) -> bool {
        self.refusal.as_ref().is_some_and(|(status, _)| status.is_client_error())
    }

    /// Whether the server answered with this word for programs.
    pub(super) fn is_refusal(&self, code: &str) -> bool {
        self.refusal.as_ref().is_some_and(|(_, refusal)| refusal == code)
    }

    /// Whether the server answered with this status.
    pub(super) fn has_status(&self, status: StatusCode) -> bool {
        self.refusal.as_ref().is_some_and(|(refused, _)| *refused == status)
    }

    /// What to do about it, after what was said before.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.hint = Some(self.hint.map_or(hint.clone(), |before| format!("{before}\n{hint}")));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR: {}", self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n{hint}"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let failure = Self::new(match &error {
            ClientError::Refused(refusal) => on_its_lines(refusal).to_string(),
            error => error.to_string(),
        });
        match error {
            ClientError::Refused(Refusal { status, code, .. }) => {
                let failure = Self { refusal: Some((status, code)), ..failure };
                match status {
                    StatusCode::NOT_FOUND if failure.is_refusal("DenialNotFound") => {
                        Self { exit_code: NOT_FOUND, ..failure }.hint("--audit FILE looks for it in the audit log.")
                    }
                    StatusCode::NOT_FOUND => Self { exit_code: NOT_FOUND, ..failure }.hint(
                        "`seawall list` prints the registries, and `list` behind `token`, `scope-map`, `identity` and the like what there is of them. Except for registries, upper and lower case differ.",
                    ),
                    StatusCode::UNAUTHORIZED => failure.hint(
                        "Give the owner's credential, or a token of your identity provider: SEAWALL_CREDENTIAL, --credential-file, or --config on the server's machine.",
                    ),
                    _ => failure,
                }
            }
            ClientError::Unreachable { .. } => {
                failure.hint("Is seawall running, and is this its management address? See --endpoint and --config.")
            }
            ClientError::Unusable(_) | ClientError::Credential | ClientError::NotUnderstood { .. } => failure,
        }
    }
}

/// A server's message may repeat what others wrote, which must not look like a line of this command's own.
fn on_its_lines(refusal: &Refusal) -> Refusal {
    let line = |text: &String| visible::line(text).into_owned();
    Refusal {
        status: refusal.status,
        code: line(&refusal.code),
        message: line(&refusal.message),
        target: refusal.target.as_ref().map(line),
        details: refusal.details.iter().map(line).collect(),
    }
}
