//! OOM kills, explained for people: text, Markdown, one line each.

mod details;
pub mod kills;
pub mod known;
mod list;
mod markdown;
mod text;
mod watch;

use serde::Serialize;

pub use list::list;
pub use markdown::markdown;
pub use text::{Line, lines, text};
pub use watch::{only_counted, watched, watched_json};

use crate::{
    diagnose::oom::Explanation,
    snapshot::oom_report::{OomReport, Stamp},
};

/// A report with its explanation: one line of `--json`.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// Version of this form: a new one where a key changes or goes.
    pub version: u32,
    /// What is concluded.
    pub explanation: &'a Explanation,
    /// What was read.
    pub report: &'a OomReport,
}

/// Version of [`Document`].
pub const VERSION: u32 = 1;

/// When, as the log tells it.
fn when(stamp: &Stamp) -> String {
    let boot = stamp.boot_ns.map(|ns| format!("{:.3} s after the boot", ns as f64 / 1e9));
    match (&stamp.wall, boot) {
        (Some(wall), Some(boot)) => format!("{wall} ({boot})"),
        (Some(wall), None) => wall.to_string(),
        (None, Some(boot)) => boot,
        (None, None) => "at a time that is not in the log".to_owned(),
    }
}

/// Where it was read: file, line, host, kernel.
fn origin(report: &OomReport) -> String {
    let origin = &report.origin;
    let mut text =
        if origin.line > 0 { format!("{}, line {}", origin.source, origin.line) } else { origin.source.to_string() };
    if let Some(host) = &origin.host {
        text += &format!(", host {host}");
    }
    if let Some(kernel) = &report.kernel {
        text += &format!(", Linux {kernel}");
    }
    text
}
