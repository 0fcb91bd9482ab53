//! `seawall what-if`: which decisions of an audit log other files would change.
//!
//! The files alone are asked, on this machine and without a server: what the API has set is not in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::arguments::{Global, name};
use super::columns;
use super::explain::policy_of;
use super::failure::Failure;
use crate::cli::format::{self, Outcome};
use crate::cli::output;
use crate::policy::PolicySnapshot;
use crate::policy::explain::{Recorded, Replay, Replayed};

/// As `diff` has it: it cannot be told.
const TROUBLE: u8 = 2;
/// The longest line that is read, in bytes. A record has a few names of bounded length.
const LONGEST_LINE: u64 = 64 * 1024;

/// `what-if`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhatIf {
    /// The configuration file that might come. It alone is asked: what the API has set counts as absent.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The audit log, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    /// The name of the one registry whose requests are asked again. Default: all.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    registry: Option<String>,
    #[command(flatten)]
    global: Global,
}

/// Exit code 0: nothing changes. 1: something does. 2: it cannot be told.
pub(super) fn run(arguments: &WhatIf) -> ExitCode {
    match printed(arguments) {
        Ok((text, changes)) if output::bytes(text.as_bytes()) == ExitCode::SUCCESS => ExitCode::from(u8::from(changes)),
        Ok(_) => ExitCode::from(TROUBLE),
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(TROUBLE)
        }
    }
}

/// What is printed, and whether anything changes.
fn printed(arguments: &WhatIf) -> Result<(String, bool), Failure> {
    let WhatIf { config, audit, registry, global } = arguments;
    let policy = policy_of(config)?;
    let replay = Replay::new(&policy, registry.clone());
    let unreadable = |error: io::Error| Failure::new(format!("cannot read the audit log {}: {error}", audit.display()));
    let replayed = if audit == Path::new("-") {
        replayed(replay, io::stdin().lock()).map_err(unreadable)?
    } else {
        let file = File::open(audit).map_err(unreadable)?;
        replayed(replay, BufReader::with_capacity(1 << 18, file)).map_err(unreadable)?
    };
    if !global.only_show_errors {
        output::complain(summary(&replayed));
    }
    if replayed.unchanged + replayed.changed == 0 {
        told_by_nothing(&policy, registry.as_deref(), &replayed)?;
    }
    let changes = replayed.changed > 0;
    let value = serde_json::to_value(&replayed).map_err(|error| Failure::new(error.to_string()))?;
    let outcome = Outcome::table(value, columns::changes);
    let text = format::text(outcome, global.query.as_ref(), global.output, io::stdout().is_terminal());
    Ok((text.map_err(Failure::new)?, changes))
}

/// What no record was asked again for is not the answer that nothing changes.
fn told_by_nothing(policy: &PolicySnapshot, registry: Option<&str>, replayed: &Replayed) -> Result<(), Failure> {
    match registry {
        Some(name) if policy.registry_named(name).is_none() => {
            Err(Failure::new(format!("there is no registry `{name}`, and no decision of one in the audit log")))
        }
        _ if replayed.records > 0 => Err(Failure::new("no record of the audit log could be asked again")),
        _ => Ok(()),
    }
}

/// One line after the other, so that the length of the log costs no memory.
fn replayed(mut replay: Replay<'_>, mut log: impl BufRead) -> io::Result<Replayed> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(replay.finish());
        }
        if line.last() != Some(&b'\n') && read as u64 == LONGEST_LINE {
            log.skip_until(b'\n')?;
            replay.unreadable();
        } else if !line.trim_ascii().is_empty() && !is_of_a_kind(&line) {
            match serde_json::from_slice::<Recorded>(&line) {
                Ok(recorded) => replay.record(recorded),
                Err(_) => replay.unreadable(),
            }
        }
    }
}

/// Whether the line is about something else than a request, such as the management API: it counts nowhere.
fn is_of_a_kind(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct OfAKind {
        #[serde(rename = "kind")]
        _kind: IgnoredAny,
    }
    serde_json::from_slice::<OfAKind>(line).is_ok()
}

/// For people, whatever the format is.
fn summary(replayed: &Replayed) -> String {
    let Replayed { records, unchanged, changed, beyond, skipped, .. } = replayed;
    let first = format!(
        "{records} records: {unchanged} decided as before, {changed} otherwise, {} not asked again. The files alone were \
         asked: what the API has set is not in them.",
        skipped.iter().map(|one| one.records).sum::<u64>()
    );
    let beyond =
        (*beyond > 0).then(|| format!("{beyond} of the changed ones are too different from the others to be listed."));
    let skipped = skipped.iter().map(|one| format!("not asked again: {}: {}", one.records, one.reason));
    std::iter::once(first).chain(beyond).chain(skipped).collect::<Vec<_>>().join("\n")
}
