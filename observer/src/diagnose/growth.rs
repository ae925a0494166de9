//! Growth of a use of memory: when nothing is left, and how bad that is.

use super::{Evidence, Severity};
use crate::{model::Model, units};

/// Seconds of history that the rules of growth look at: long enough that one burst does not fill it.
pub(super) const LOOK_BACK_SECONDS: f64 = 15.0;
/// Growth that leaves nothing within an hour is worth a warning: somebody can still look for it. What grows slower is no
/// more than noise in a window of seconds.
const WARN_SECONDS: f64 = 3600.0;
/// Growth that leaves nothing within a minute: what comes next is reclaim, swap and OOM kills.
const CRITICAL_SECONDS: f64 = 60.0;

/// When `left` bytes are used up, in seconds, and how bad that is. `None` if it is far away.
pub(super) fn exhaustion(per_second: f64, left: u64) -> Option<(Severity, f64)> {
    let seconds = left as f64 / per_second;
    if per_second <= 0.0 || seconds >= WARN_SECONDS {
        return None;
    }
    Some((if seconds < CRITICAL_SECONDS { Severity::Critical } else { Severity::Warning }, seconds))
}

/// RAM of the host in bytes.
pub(super) fn ram(model: &Model) -> Option<u64> {
    model.memory.meminfo.as_ref()?.total
}

/// What new work may take, in bytes.
pub(super) fn available(model: &Model) -> Option<u64> {
    model.memory.meminfo.as_ref()?.available
}

/// `BYTES (SHARE of RAM)`.
pub(super) fn of_ram(bytes: u64, ram: u64) -> String {
    format!("{} ({} of RAM)", units::bytes(bytes as f64), units::percent(bytes as f64 / ram.max(1) as f64))
}

/// The evidence that growth gives: how fast, and when nothing is left.
pub(super) fn evidence(per_second: f64, source: &str, seconds: f64, left: &str) -> [Evidence; 2] {
    [
        Evidence::new("growth", units::bytes_per_second(per_second), source),
        Evidence::new(format!("at that rate {left} is used up in"), units::seconds(seconds), "/proc/meminfo"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sooner_the_worse() {
        assert_eq!(exhaustion(1.0, 30), Some((Severity::Critical, 30.0)));
        assert_eq!(exhaustion(1.0, 600), Some((Severity::Warning, 600.0)));
        assert_eq!(exhaustion(1.0, 4000), None);
        assert_eq!(exhaustion(0.0, 0), None);
        assert_eq!(exhaustion(-1.0, 1), None);
    }
}
