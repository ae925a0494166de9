//! Numbers for people: the same words in reports, screens and findings.

/// What is shown where a value is not known; the reason stands beside it or in the coverage.
pub const UNKNOWN: &str = "?";

/// Bytes with a binary prefix: `512 B`, `1.5 GiB`.
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// Bytes a second with a binary prefix: `1.5 MiB/s`.
pub fn bytes_per_second(rate: f64) -> String {
    format!("{}/s", bytes(rate))
}

/// Bits a second with a decimal prefix, from bytes a second, as links are named: `940 Mbit/s`.
pub fn bits_per_second(bytes_per_second: f64) -> String {
    scaled(bytes_per_second * 8.0, 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// A count with a decimal prefix: `12.3 k`.
pub fn count(n: f64) -> String {
    scaled(n, 1000.0, &["", "k", "M", "G", "T"]).trim_end().to_owned()
}

/// Events a second: `12.3 k/s`.
pub fn per_second(rate: f64) -> String {
    format!("{}/s", count(rate))
}

/// A time: `1.2 ms`, `3.4 s`, `5 min 6 s`, `2 h 3 min`, `4 d 5 h`.
pub fn seconds(seconds: f64) -> String {
    let size = seconds.abs();
    if size >= 86_400.0 {
        format!("{:.0} d {:.0} h", (seconds / 86_400.0).trunc(), (size % 86_400.0 / 3600.0).trunc())
    } else if size >= 3600.0 {
        format!("{:.0} h {:.0} min", (seconds / 3600.0).trunc(), (size % 3600.0 / 60.0).trunc())
    } else if size >= 60.0 {
        format!("{:.0} min {:.0} s", (seconds / 60.0).trunc(), (size % 60.0).trunc())
    } else if size >= 1.0 || size == 0.0 {
        format!("{} s", significant(seconds))
    } else if size >= 1e-3 {
        format!("{} ms", significant(seconds * 1e3))
    } else if size >= 1e-6 {
        format!("{} us", significant(seconds * 1e6))
    } else {
        format!("{} ns", significant(seconds * 1e9))
    }
}

/// A ratio from 0 to 1 as a percentage: `12.3 %`.
pub fn percent(ratio: f64) -> String {
    format!("{} %", significant(ratio * 100.0))
}

/// Shows a value that may be missing.
pub fn or_unknown(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// Three significant digits, without zeros that say nothing.
fn significant(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        // What would be shown as a full step belongs to the next unit.
        if value.abs() < base - 0.5 {
            break;
        }
        value /= base;
        unit = next;
    }
    format!("{} {unit}", significant(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_three_digits() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(1024.0 * 1024.0 - 1.0), "1 MiB");
        assert_eq!(bytes(-2048.0), "-2 KiB");
    }

    #[test]
    fn times_take_the_unit_that_fits() {
        assert_eq!(seconds(0.000_000_25), "250 ns");
        assert_eq!(seconds(0.0125), "12.5 ms");
        assert_eq!(seconds(75.0), "1 min 15 s");
        assert_eq!(seconds(90_000.0), "1 d 1 h");
    }

    #[test]
    fn rates_are_decimal() {
        assert_eq!(bits_per_second(125_000_000.0), "1 Gbit/s");
        assert_eq!(per_second(999.6), "1 k/s");
        assert_eq!(per_second(5.0), "5/s");
        assert_eq!(percent(0.1234), "12.3 %");
    }
}
