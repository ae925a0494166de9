//! Times on the command line: `500ms`, `3s`, `2m`, `1h`.

use std::time::Duration;

const UNITS: &[(&str, f64)] = &[("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];

/// Why a time was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DurationError {
    /// It does not begin with a number.
    #[error("a time is a number and a unit, such as 500ms, 3s, 2m or 1h")]
    NoNumber,
    /// The unit is not known.
    #[error("unknown unit `{0}`: it is ms, s, m, h or d")]
    Unit(String),
    /// It is too short or too long for its use.
    #[error("it must be from {0} to {1}")]
    Range(&'static str, &'static str),
}

/// Reads a time; a bare number is seconds.
pub(super) fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| DurationError::NoNumber)?;
    let unit = if unit.trim().is_empty() { "s" } else { unit.trim() };
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| DurationError::Unit(unit.to_owned()))?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| DurationError::NoNumber)
}

/// Reads the length of an interval: 100 ms to 1 h.
pub(super) fn interval(text: &str) -> Result<Duration, DurationError> {
    between(text, (Duration::from_millis(100), "100ms"), (Duration::from_secs(3600), "1h"))
}

/// Reads the length of a recording: 100 ms to 30 days.
pub(super) fn recording(text: &str) -> Result<Duration, DurationError> {
    between(text, (Duration::from_millis(100), "100ms"), (Duration::from_secs(30 * 86_400), "30d"))
}

type Bound = (Duration, &'static str);

fn between(text: &str, low: Bound, high: Bound) -> Result<Duration, DurationError> {
    let time = parse(text)?;
    if time < low.0 || time > high.0 { Err(DurationError::Range(low.1, high.1)) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_units() {
        let millis = |text| parse(text).unwrap().as_millis();
        assert_eq!(
            ["500ms", "3s", "3", "1.5s", "2m", "2 min", "1h", "1d"].map(millis),
            [500, 3000, 3000, 1500, 120_000, 120_000, 3_600_000, 86_400_000]
        );
    }

    #[test]
    fn errors_say_what_is_wrong() {
        assert_eq!(parse("soon"), Err(DurationError::NoNumber));
        assert_eq!(parse("-3s"), Err(DurationError::NoNumber));
        assert_eq!(parse("1.2.3s"), Err(DurationError::NoNumber));
        assert_eq!(parse("3 weeks"), Err(DurationError::Unit("weeks".to_owned())));
        assert_eq!(interval("0s").unwrap_err().to_string(), "it must be from 100ms to 1h");
        assert_eq!(interval("2h").unwrap_err().to_string(), "it must be from 100ms to 1h");
        assert!(parse("99999999999999999999999d").is_err());
    }

    proptest! {
        #[test]
        fn any_text_gives_a_time_or_an_error(text in ".*") {
            let _ = recording(&text);
        }
    }
}
