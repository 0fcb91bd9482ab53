//! The process log: life-cycle events for people, on standard error. Requests are in the audit log.
//!
//! Everything comes through `tracing`; pingora speaks `log`, which is bridged. Other people's crates are kept at `info`
//! whatever the level, because their debug output prints requests with their `Authorization` headers (threat class P).

use std::io;

use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What any client can provoke, once per connection or message, and what the metrics count instead.
///
/// - `services::listening` reports every failed TLS handshake, so every port scan, as an error;
/// - `pingora_proxy` reports every head that was cut off as an error, and requests that are tried again;
/// - `protocols` warns of malformed bodies and headers of peers.
const QUIET: &str =
    concat!("pingora_core::services::listening=off", ",", "pingora_core::protocols=error", ",", "pingora_proxy=off");

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the log cannot be set up.
#[derive(Debug, Error)]
pub enum LogError {
    #[error("cannot set up the log: {0}")]
    Filter(#[from] ParseError),
    #[error("the log is set up already: {0}")]
    Installed(#[from] TryInitError),
}

/// Makes standard error the log of the whole process; once only.
pub fn install(level: LogLevel, format: LogFormat) -> Result<(), LogError> {
    match format {
        LogFormat::Text => text(level, io::stderr)?.try_init()?,
        LogFormat::Json => json(level, io::stderr)?.try_init()?,
    }
    Ok(())
}

type Lines<W> = tracing_subscriber::fmt::SubscriberBuilder<
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    EnvFilter,
    W,
>;

fn lines<W: for<'w> MakeWriter<'w> + 'static>(level: LogLevel, writer: W) -> Result<Lines<W>, ParseError> {
    let filter = EnvFilter::builder().parse(directives(level))?;
    Ok(tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter).with_writer(writer))
}

fn text<W: for<'w> MakeWriter<'w> + Send + Sync + 'static>(
    level: LogLevel,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, ParseError> {
    Ok(lines(level, writer)?.finish())
}

fn json<W: for<'w> MakeWriter<'w> + Send + Sync + 'static>(
    level: LogLevel,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, ParseError> {
    Ok(lines(level, writer)?.json().flatten_event(true).finish())
}

fn directives(level: LogLevel) -> String {
    let (ours, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "info"),
        LogLevel::Trace => ("trace", "info"),
    };
    format!("{others},seawall={ours},{QUIET}")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn events() {
        for level in [log::Level::Error, log::Level::Warn, log::Level::Info, log::Level::Debug] {
            log::log!(target: "pingora_core::services::listening", level, "handshake {level}");
            log::log!(target: "pingora_core::protocols::http", level, "body {level}");
            log::log!(target: "pingora_core::server", level, "server {level}");
            log::log!(target: "h2::codec", level, "frame {level}");
        }
        tracing::error!(target: "seawall::x", port = 1, "ours ERROR");
        tracing::info!(target: "seawall::x", port = 1, "ours INFO");
        tracing::debug!(target: "seawall::x", port = 1, "ours DEBUG");
    }

    fn logged(level: LogLevel) -> Vec<String> {
        // Bridges `log`; a second call finds the bridge built.
        let _ = install(LogLevel::Trace, LogFormat::Text);
        log::set_max_level(log::LevelFilter::Trace);
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing::subscriber::with_default(text(level, move || writer.clone()).unwrap(), events);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn words(level: LogLevel) -> Vec<String> {
        let last_two = |line: String| {
            let words: Vec<_> = line.split_whitespace().filter(|word| !word.contains('=')).collect();
            words[words.len() - 2..].join(" ")
        };
        logged(level).into_iter().map(last_two).collect()
    }

    #[test]
    fn a_failed_handshake_is_never_a_line_and_other_errors_are() {
        let errors = ["body ERROR", "server ERROR", "frame ERROR", "ours ERROR"];
        assert_eq!(words(LogLevel::Error), errors);
        let found = words(LogLevel::Info);
        let warned =
            ["body ERROR", "server ERROR", "frame ERROR", "server WARN", "frame WARN", "ours ERROR", "ours INFO"];
        assert_eq!(found, warned);
    }

    #[test]
    fn other_crates_never_say_more_than_info() {
        let found = words(LogLevel::Trace);
        assert!(found.contains(&"ours DEBUG".to_owned()), "{found:?}");
        assert!(found.contains(&"frame INFO".to_owned()), "{found:?}");
        assert!(!found.iter().any(|line| line.ends_with("DEBUG") && !line.starts_with("ours")), "{found:?}");
        assert!(!found.iter().any(|line| line.starts_with("handshake")), "{found:?}");
    }

    #[test]
    fn json_is_one_object_a_line_with_its_fields() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing::subscriber::with_default(json(LogLevel::Info, move || writer.clone()).unwrap(), || {
            tracing::info!(target: "seawall::x", file = "a\nb", "reloaded");
        });
        let bytes = buffer.0.lock().unwrap().clone();
        let line: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (&line["level"], &line["message"], &line["file"]),
            (&"INFO".into(), &"reloaded".into(), &"a\nb".into())
        );
    }

    #[test]
    fn a_forged_line_break_stays_inside_its_line() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing::subscriber::with_default(text(LogLevel::Info, move || writer.clone()).unwrap(), || {
            tracing::info!(target: "seawall::x", file = "a\nERROR forged", "reloaded");
        });
        let bytes = buffer.0.lock().unwrap().clone();
        assert_eq!(String::from_utf8(bytes).unwrap().lines().count(), 1);
    }
}
