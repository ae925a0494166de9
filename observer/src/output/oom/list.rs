//! One line a kill.

use crate::{
    diagnose::oom::{Explanation, Memory},
    snapshot::oom_report::OomReport,
    units,
};

/// Time, victim, what it held, and whose limit it was.
pub fn list(explanation: &Explanation, report: &OomReport) -> String {
    let stamp = &report.origin.begin;
    let when = match (&stamp.wall, stamp.boot_ns) {
        (Some(wall), _) => wall.to_string(),
        (None, Some(ns)) => format!("[{:>12.6}]", ns as f64 / 1e9),
        (None, None) => "?".to_owned(),
    };
    let host = report.origin.host.as_ref().map_or(String::new(), |h| format!("{h}  "));
    let victim = explanation.victim.as_ref();
    let who = victim.map_or("?".to_owned(), |v| format!("{} (pid {})", v.comm, v.pid));
    let held = victim.and_then(|v| v.bytes).map_or("?".to_owned(), |b| units::bytes(b as f64));
    let limit = match &explanation.limit.memory {
        Memory::Host => "host".to_owned(),
        Memory::Cgroup { path, .. } if path.is_empty() => "a cgroup".to_owned(),
        Memory::Cgroup { path, .. } => format!("cgroup {path}"),
        Memory::Cpuset { .. } => "cpuset".to_owned(),
        Memory::Policy { .. } => "memory policy".to_owned(),
        Memory::Sysrq => "sysrq".to_owned(),
        Memory::Unknown => "?".to_owned(),
    };
    let more = if report.kills.len() > 1 { format!(" and {} more", report.kills.len() - 1) } else { String::new() };
    format!("{when}  {host}{who}{more}  {held}  {limit}\n")
}
