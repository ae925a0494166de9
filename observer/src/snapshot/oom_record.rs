//! What the flight recorder stores of one OOM kill, beside the snapshots of the minutes before it.

use serde::{Deserialize, Serialize};

use super::{Coverage, Host, Stamp, oom::OomKill, oom_report::OomReport, oom_watch::OomCounts};

/// One kill, as far as it is known. It is stored when the kill is seen, and again when the kernel's log has told the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OomRecord {
    /// When observer saw it.
    pub seen: Stamp,
    /// The machine.
    pub host: Host,
    /// The event of the probe; `None` if the kernel's log alone told of the kill.
    pub event: Option<OomKill>,
    /// What the kernel's log says of it.
    pub report: Reported,
    /// Kills by source when the last snapshot before it was taken; `None` if there was none.
    pub before: Option<OomCounts>,
    /// Kills by source when the record was completed; `None` if it was not.
    pub after: Option<OomCounts>,
    /// Snapshots that are stored with it, oldest first, all of them older than the kill was seen.
    pub snapshots: u32,
    /// Snapshots that had to make room for newer ones before the kill: what led up to it is known only from then on.
    pub snapshots_dropped: u64,
    /// File name of the record before it, which has the older snapshots: of several kills in a row only the first stores what
    /// led up to all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<super::Name>,
    /// What was and was not seen.
    pub coverage: Coverage,
}

impl OomRecord {
    /// Process id of the victim, by the event or the log.
    pub fn victim_pid(&self) -> Option<u32> {
        self.event.as_ref().and_then(|e| e.victim.pid).or_else(|| self.report.get().and_then(OomReport::victim_pid))
    }
}

/// The kernel's report of the kill, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// It was awaited when the record was written. A record that still says so was not completed: observer, or the host,
    /// ended before.
    #[default]
    Awaited,
    /// It came.
    Whole(Box<OomReport>),
    /// It did not come.
    Missing(Missing),
}

impl Reported {
    /// The report.
    pub fn get(&self) -> Option<&OomReport> {
        match self {
            Self::Whole(report) => Some(report),
            Self::Awaited | Self::Missing(_) => None,
        }
    }
}

/// What is known of a kill after its first sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The probe's event; `None` if the log alone tells of the kill.
    pub event: Option<OomKill>,
    /// What the log says.
    pub report: Reported,
}

/// Why a kill has no report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The kernel's log cannot be read.
    NoLog(super::Name),
    /// It did not come in time: the victim was ending already, of which the kernel writes nothing, or the log overflowed.
    NotInTime {
        /// Seconds that it was awaited.
        awaited_seconds: u32,
        /// Records of the log that were lost meanwhile.
        records_lost: u64,
    },
}
