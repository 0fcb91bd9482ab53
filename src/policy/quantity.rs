//! Durations and sizes as people write them: a whole number and its unit. A number without a unit is refused, because
//! every reader guesses another one.

use std::time::Duration;

/// In milliseconds.
const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// In bytes.
const SIZES: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads `500ms`, `30s`, `15m`, `1h` or `7d`. The error is a phrase for a problem's text.
pub fn duration(text: &str) -> Result<Duration, String> {
    counted(text, TIMES, ("duration", "30s")).map(Duration::from_millis)
}

/// Reads `512B`, `64KiB`, `1MiB` or `20GiB` as a number of bytes. The error is a phrase for a problem's text.
pub fn bytes(text: &str) -> Result<u64, String> {
    counted(text, SIZES, ("size", "64MiB"))
}

/// The number in `text`, in the smallest of `units`; `what` it is, with an example.
fn counted(text: &str, units: [(&str, u64); 5], what: (&str, &str)) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let (what, example) = what;
    let Some(factor) = factor.filter(|_| !number.is_empty()) else {
        let units = units.map(|(name, _)| name).join(", ");
        return Err(format!("a {what} is a whole number and one of {units}, such as {example}"));
    };
    let counted = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    counted.ok_or_else(|| format!("this {what} is larger than seawall can count"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_with_their_unit() {
        for (text, milliseconds) in
            [("0s", 0), ("500ms", 500), ("30s", 30_000), ("15m", 900_000), ("1h", 3_600_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_no_number_no_unit_or_no_end() {
        for text in ["", "s", "30", "-1s", "+1s", "1.5h", "30 s", "30S", "1h30m", "٣s", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("30").unwrap_err().contains("30s"));
    }

    #[test]
    fn reads_sizes_with_their_unit() {
        for (text, expected) in
            [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("20GiB", 20 << 30), ("2TiB", 2 << 40)]
        {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "MiB", "64", "64M", "64MB", "64mib", "-1B", "1.5GiB", "64 MiB", "99999999999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(bytes("64MB").unwrap_err().contains("64MiB"));
    }
}
