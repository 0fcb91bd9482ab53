//! `--expiration` and `--expiration-in-days`.

use clap::Args;
use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::failure::Failure;
use crate::clock::Timestamp;

const FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";
const HOURS_OF_A_DAY: i64 = 24;

/// When a password ends. Without any, never.
#[derive(Debug, Args)]
pub(super) struct Expiration {
    /// The moment in UTC, such as 2030-12-31T12:59:59Z, from which on the passwords are refused. Default: never.
    #[arg(long, value_name = "TIME")]
    expiration: Option<String>,
    /// The number of days for which the passwords are valid. Default: for ever.
    #[arg(long, value_name = "DAYS", allow_negative_numbers = true, alias = "days")]
    expiration_in_days: Option<i64>,
}

impl Expiration {
    /// Whether there is one.
    pub(super) fn is_given(&self) -> bool {
        self.expiration.is_some() || self.expiration_in_days.is_some()
    }

    /// RFC 3339, in UTC.
    pub(super) fn expiry(&self, now: Timestamp) -> Result<Option<String>, Failure> {
        match (&self.expiration, self.expiration_in_days) {
            (Some(_), Some(_)) => {
                Err(Failure::new("usage error: --expiration and --expiration-in-days are mutually exclusive."))
            }
            (Some(text), None) => moment(text).map(Some),
            (None, Some(days)) => after(now, days).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn moment(text: &str) -> Result<String, Failure> {
    let read = DateTime::strptime(FORMAT, text);
    read.map(|time| time.strftime(FORMAT).to_string())
        .map_err(|_| Failure::new(format!("Input '{text}' is not valid datetime. Valid example: 2025-12-31T12:59:59Z")))
}

fn after(now: Timestamp, days: i64) -> Result<String, Failure> {
    if days <= 0 {
        return Err(Failure::new("Days must be positive."));
    }
    let end =
        days.checked_mul(HOURS_OF_A_DAY).and_then(|hours| now.checked_add(SignedDuration::try_from_hours(hours)?).ok());
    end.map(|end| end.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
        .ok_or_else(|| Failure::new(format!("{days} days from now is after the year 9999. Leave it out for never.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiry(expiration: Option<&str>, expiration_in_days: Option<i64>) -> Result<Option<String>, String> {
        let now = "2026-01-31T10:00:00.5Z".parse().unwrap();
        let expiration = Expiration { expiration: expiration.map(str::to_owned), expiration_in_days };
        expiration.expiry(now).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_moment_or_days_from_now() {
        assert_eq!(expiry(None, None), Ok(None));
        assert_eq!(expiry(Some("9999-12-31T23:59:59Z"), None), Ok(Some("9999-12-31T23:59:59Z".to_owned())));
        assert_eq!(expiry(None, Some(30)), Ok(Some("2026-03-02T10:00:00.500000Z".to_owned())));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "2026-01-31", "2026-13-31T10:00:00Z", "2026-01-31T10:00:00", "2026-01-31T10:00:00+01:00"] {
            let message = format!("ERROR: Input '{text}' is not valid datetime. Valid example: 2025-12-31T12:59:59Z");
            assert_eq!(expiry(Some(text), None), Err(message));
        }
        for days in [0, -1, i64::MIN] {
            assert_eq!(expiry(None, Some(days)), Err("ERROR: Days must be positive.".to_owned()));
        }
        for days in [3_000_000, i64::MAX] {
            assert!(expiry(None, Some(days)).is_err());
        }
        let both = "ERROR: usage error: --expiration and --expiration-in-days are mutually exclusive.";
        assert_eq!(expiry(Some("2026-01-31T10:00:00Z"), Some(1)), Err(both.to_owned()));
    }
}
