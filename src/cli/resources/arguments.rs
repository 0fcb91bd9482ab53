//! Arguments that many commands share, in the words of `az`.

use clap::{Args, ValueEnum};

use super::connect::Server;
use crate::cli::format::{Output, Query};
use crate::secret::Secret;

/// What every command of this kind takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) server: Server,
    #[command(flatten)]
    pub(super) global: Global,
}

/// How much is said, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global arguments")]
pub(super) struct Global {
    /// How the result is printed.
    #[arg(short, long, value_enum, ignore_case = true, default_value = "json", value_name = "FORMAT")]
    pub(super) output: Output,
    /// A JMESPath expression that chooses what is printed (https://jmespath.org).
    #[arg(long, value_name = "JMESPATH")]
    pub(super) query: Option<Query>,
    /// Print errors only, no warnings.
    #[arg(long)]
    pub(super) only_show_errors: bool,
    /// Say what is done.
    #[arg(long)]
    pub(super) verbose: bool,
    /// Say every request, too; never a secret.
    #[arg(long)]
    pub(super) debug: bool,
}

/// The registry that is the resource.
#[derive(Debug, Args)]
pub(super) struct NamedRegistry {
    /// The name of the registry.
    #[arg(short, long, value_name = "NAME", value_parser = name, visible_short_alias = 'r', visible_alias = "registry")]
    pub(super) name: String,
}

/// Something in a registry.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The name of the token or scope map. Upper and lower case differ.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) of: OfRegistry,
}

/// The registry that something is in.
#[derive(Debug, Args)]
pub(super) struct OfRegistry {
    /// The name of the registry.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    pub(super) registry: String,
}

/// The one answer that a script can give.
#[derive(Debug, Args)]
pub(super) struct Confirmation {
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(super) yes: bool,
}

/// `true` or `false`; the flag alone means `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    True,
    False,
}

impl Switch {
    /// Whether it is on.
    pub(super) fn is_on(self) -> bool {
        self == Self::True
    }
}

/// A name that can stand in a path. Which names are right is for the server to say: files may declare more than `az` would make.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |one: char| one.is_ascii_alphanumeric() || "._-@()".contains(one);
    if text.chars().all(fits) && text.chars().any(|one| one.is_ascii_alphanumeric() || one == '_') {
        return Ok(text.to_owned());
    }
    Err("a name has letters, digits, `-`, `_`, `.` and `@`".to_owned())
}

/// A secret on the command line, which no message repeats.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a parser that may fail")]
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}
