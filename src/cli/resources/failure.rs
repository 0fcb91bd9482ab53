//! Why a command did not do what it was asked to: one sentence, what to do about it, and the exit code of `az`.

use std::fmt;

use http::StatusCode;

use crate::management::client::ClientError;

/// The exit code of what is not found.
const NOT_FOUND: u8 = 3;

/// A command that failed.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    message: String,
    hint: Option<String>,
    /// Of the process. Clap ends with 2 for what is wrong on the command line.
    pub(super) code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: 1 }
    }

    /// What to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
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
        let failure = Self::new(error.to_string());
        match error {
            ClientError::Refused(refusal) => match refusal.status {
                StatusCode::NOT_FOUND => Self { code: NOT_FOUND, ..failure },
                StatusCode::UNAUTHORIZED => failure.hint(
                    "Give the owner's credential: SEAWALL_CREDENTIAL, --credential-file, or --config on the server's machine.",
                ),
                _ => failure,
            },
            ClientError::Unreachable { .. } => {
                failure.hint("Is seawall running, and is this its management address? See --endpoint and --config.")
            }
            ClientError::Unusable { .. } | ClientError::Credential | ClientError::NotUnderstood { .. } => failure,
        }
    }
}
