//! Pressure stall information. Source: /proc/pressure/*, and `*.pressure` of a cgroup v2.

use super::Malformed;
use super::lines::{number, numbered, words};
use crate::snapshot::Name;
use crate::snapshot::pressure::{Resource, Stall};

/// Parses one pressure file: `some avg10=0.00 avg60=0.04 avg300=0.67 total=22919617`, then `full ...`.
///
/// /proc/pressure/cpu has no `full` line before Linux 5.13.
pub fn resource(bytes: &[u8]) -> Result<Resource, Malformed> {
    let mut out = Resource::default();
    for (line, text) in numbered(bytes)? {
        let mut words = words(text);
        let slot = match words.next() {
            Some(b"some") => &mut out.some,
            Some(b"full") => &mut out.full,
            _ => continue,
        };
        *slot = Some(stall(line, words)?);
    }
    if out.some.is_none() {
        return Err(Malformed::new(1, "there is no line `some`"));
    }
    Ok(out)
}

fn stall<'a>(line: usize, words: impl Iterator<Item = &'a [u8]>) -> Result<Stall, Malformed> {
    let (mut avg10, mut avg60, mut avg300, mut total) = (None, None, None, None);
    for word in words {
        let at = word.iter().position(|b| *b == b'=').unwrap_or(word.len());
        let (key, value) = (word.get(..at).unwrap_or_default(), word.get(at + 1..).unwrap_or_default());
        let bad = || Malformed::no_number(line, Name::from_bytes(key).as_str(), value);
        match key {
            b"avg10" => avg10 = Some(ratio(value).ok_or_else(bad)?),
            b"avg60" => avg60 = Some(ratio(value).ok_or_else(bad)?),
            b"avg300" => avg300 = Some(ratio(value).ok_or_else(bad)?),
            b"total" => total = Some(number(value).ok_or_else(bad)?),
            _ => {}
        }
    }
    let (Some(avg10), Some(avg60), Some(avg300), Some(micros)) = (avg10, avg60, avg300, total) else {
        return Err(Malformed::new(line, "one of avg10, avg60, avg300 and total is missing"));
    };
    Ok(Stall { avg10, avg60, avg300, total_seconds: micros as f64 / 1e6 })
}

/// `12.34`, a percentage with two decimals, as a ratio.
fn ratio(text: &[u8]) -> Option<f64> {
    let at = text.iter().position(|b| *b == b'.')?;
    let (whole, decimals) = (number(text.get(..at)?)?, text.get(at + 1..)?);
    let hundredths = number(decimals).filter(|_| decimals.len() == 2)?;
    Some((whole as f64 * 100.0 + hundredths as f64) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn percentages_become_ratios_and_microseconds_seconds() {
        let text = b"some avg10=3.26 avg60=100.00 avg300=0.12 total=379687\n";
        let some = Stall { avg10: 0.0326, avg60: 1.0, avg300: 0.0012, total_seconds: 0.379_687 };
        assert_eq!(resource(text).unwrap(), Resource { some: Some(some), full: None });
    }

    #[test]
    fn files_of_real_kernels_have_both_lines() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            for file in ["memory", "cpu", "io"] {
                let parsed = resource(&proc_file(host, &format!("pressure/{file}"))).unwrap();
                assert!(parsed.some.is_some() && parsed.full.is_some(), "{host} {file}");
            }
        }
    }

    #[test]
    fn broken_files_name_the_line() {
        let good = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        let with = |tail: &str| resource(format!("{good}{tail}").as_bytes()).unwrap_err().to_string();
        assert_eq!(with("full avg10=x avg60=0.00\n"), r#"line 2: avg10 is "x", not a number"#);
        assert_eq!(with("full avg10=0.00\n"), "line 2: one of avg10, avg60, avg300 and total is missing");
        assert_eq!(with("full"), "line 2: the file ends within the line");
        assert_eq!(resource(b"").unwrap_err().to_string(), "line 1: there is no line `some`");
        assert_eq!(resource(b"some\n").unwrap_err().line, 1);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = resource(&bytes);
            let _ = resource(&[b"some ", bytes.as_slice(), b"\n"].concat());
        }
    }
}
