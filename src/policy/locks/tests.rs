use super::pattern::{TagPattern, TagPatternError};
use super::*;

fn pattern(text: &str) -> TagPattern {
    TagPattern::parse(text).unwrap()
}

#[test]
fn a_pattern_is_a_tag_with_wildcards() {
    let covers = |text: &str, tag: &str| pattern(text).covers(&Tag::parse(tag).unwrap());
    for (text, tag) in [("*", "v1"), ("v*", "v"), ("v*", "v1.2"), ("v*-rc*", "v1-rc2"), ("*.0", "1.0"), ("a", "a")] {
        assert!(covers(text, tag), "{text} {tag}");
        assert_eq!(pattern(text).to_string(), text);
    }
    for (text, tag) in [("v*", "V1"), ("v*", "latest"), ("v*-rc*", "v1"), ("v", "v1"), ("*.0", "1.01")] {
        assert!(!covers(text, tag), "{text} {tag}");
    }
    let longest = "a".repeat(128);
    assert!(TagPattern::parse(&format!("*{longest}*")).is_ok());
    let wrong = [
        ("", TagPatternError::Empty),
        ("v 1", TagPatternError::Character),
        ("v1@x", TagPatternError::Character),
        ("é*", TagPatternError::Character),
        (".v*", TagPatternError::Beginning),
        ("-*", TagPatternError::Beginning),
        (&format!("{longest}*a"), TagPatternError::TooLong),
    ];
    for (text, error) in wrong {
        assert_eq!(TagPattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn a_pattern_contains_those_that_cover_less() {
    for (wider, pattern) in [("*", "v*"), ("v*", "v*"), ("v*", "v1"), ("v*", "v*-rc*"), ("*", "*"), ("*1*", "v*1*")] {
        assert!(self::pattern(wider).contains(&self::pattern(pattern)), "{wider} {pattern}");
    }
    for (wider, pattern) in [("v*", "*"), ("v1", "v*"), ("v*1", "v*"), ("v*", "*v*")] {
        assert!(!self::pattern(wider).contains(&self::pattern(pattern)), "{wider} {pattern}");
    }
}

#[test]
fn an_unlock_has_a_reason_and_an_end() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let unlock = Unlock::begin(Duration::from_mins(30), "a mistake in v1", "jane", now).unwrap();
    assert_eq!(unlock.until, Timestamp::from_second(1_800_001_800).unwrap());
    assert!(unlock.is_open(now) && !unlock.is_open(unlock.until));
    assert!(Unlock::begin(Unlock::LONGEST, "x", "jane", now).is_ok());
    for length in [Duration::ZERO, Unlock::LONGEST + Duration::from_nanos(1), Duration::MAX] {
        assert!(Unlock::begin(length, "x", "jane", now).is_err(), "{length:?}");
    }
    for reason in ["", "  ", "two\nlines", &"x".repeat(257)] {
        assert!(Unlock::begin(Duration::from_mins(1), reason, "jane", now).is_err(), "{reason}");
    }
    assert!(Unlock::begin(Duration::from_mins(1), "x", "jane", Timestamp::MAX).is_err());
}
