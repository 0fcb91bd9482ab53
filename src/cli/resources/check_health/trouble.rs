//! What goes wrong in a check, in the words of `az acr check-health`.

use crate::clock::Timestamp;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    code: &'static str,
    text: String,
    harmless: bool,
}

impl Trouble {
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), harmless: false }
    }

    pub(super) fn unexpected(text: impl Into<String>) -> Self {
        Self::new("UNEXPECTED_ERROR", text)
    }

    /// A program that this machine need not have.
    pub(super) fn not_installed(code: &'static str, program: &str) -> Self {
        let text = format!("Please verify if {program} is installed. What needs it was not looked at.");
        Self { harmless: true, ..Self::new(code, text) }
    }

    pub(super) const fn is_harmless(&self) -> bool {
        self.harmless
    }

    /// The whole message. The address is Microsoft's page about these codes.
    pub(super) fn told(&self, now: Timestamp) -> String {
        let Self { code, text, .. } = self;
        let time = now.strftime("%Y-%m-%d %H:%M:%S%.6f");
        format!(
            "{time} An error occurred: {code}\n{text}\n\nPlease refer to https://aka.ms/acr/errors#{} for more information.",
            code.to_ascii_lowercase()
        )
    }
}
