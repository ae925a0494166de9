//! Kills made on purpose, and the kernel's own reports of them: each is read whole, and explained with what brought it about.
//!
//! Where `OBSERVER_OOM_LOGS` names a folder the reports are kept there; `tests/oom/logs` has those that are explained without
//! a kernel.

mod cgroups;
mod host;
mod kernel_memory;
mod kinds;
mod log;
mod names;
mod nodes;
mod victims;

use std::time::Duration;

use observer::{
    diagnose::oom::{Cause, Explanation, Memory, explain},
    output::{oom, text::Style},
    snapshot::oom_report::{Constraint, OomReport, UseKind},
};

use self::log::Since;
use crate::support::{cgroup::Cgroup, seen, wait::wait_for, workload::Workload};

/// Times that a kill is made anew because its report was held back, or had lines of others between its own.
const TRIES: usize = 5;
/// The kernel writes at most ten reports in this time, and of others only the kill. Source: `oom_kill_process`.
const RATE_LIMIT: Duration = Duration::from_secs(5);

const MIB: u64 = 1 << 20;

/// A report of a kernel, and what is said of it.
struct Told {
    report: OomReport,
    explanation: Explanation,
}

/// Makes a scene until the kernel writes a whole report of it, keeps that under the scene's name, and gives it with what
/// `make` gave. `is_ours` knows the report.
fn told<T>(scene: &str, mut make: impl FnMut() -> T, is_ours: impl Fn(&OomReport, &T) -> bool) -> (Told, T) {
    for _ in 0..TRIES {
        let mut log = Since::now();
        let made = make();
        let report = wait_for("the report of the kill", || log.reports().into_iter().find(|r| is_ours(r, &made)));
        if report.cut.is_some() || !report.unread.is_empty() {
            seen!("{scene}, again: cut {:?}, unread {:?}", report.cut, report.unread);
            drop(made);
            // Nothing tells when the kernel writes whole reports again.
            std::thread::sleep(RATE_LIMIT);
            continue;
        }
        log.keep(scene, &report);
        let told = Told { explanation: explain(&report), report };
        told.is_whole();
        return (told, made);
    }
    panic!("{TRIES} times the kernel wrote no whole report of {scene}");
}

impl Told {
    /// Asserts what holds for every report, and shows what is said of it.
    fn is_whole(&self) {
        let Self { report, explanation } = self;
        let text = oom::text(explanation, report, Style { width: Some(100), color: false });
        seen!("\n{text}");
        assert_eq!(report.unknown_fields.as_slice(), &[], "{report:#?}");
        assert!(report.request.as_ref().is_some_and(|r| r.tid.is_some() && r.gfp.is_some()), "{report:#?}");
        assert!(!report.trace.is_empty() && !report.tasks.is_empty(), "{report:#?}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!((3..=6).contains(&explanation.summary.len()), "{:#?}", explanation.summary);
    }

    /// The weightiest reason.
    fn first_cause(&self) -> Option<Cause> {
        self.explanation.reasons.first().map(|r| r.cause)
    }

    /// Bytes of a reason.
    fn bytes_of(&self, cause: Cause) -> u64 {
        let found = self.explanation.reasons.iter().find(|r| r.cause == cause);
        found.unwrap_or_else(|| panic!("{cause:?} is not named: {:#?}", self.explanation.reasons)).bytes
    }

    /// Asserts who asked and who was killed.
    fn is_of(&self, trigger: u32, victim: u32) {
        let asked = self.report.request.as_ref().and_then(|r| r.tid);
        assert_eq!((asked, self.report.victim_pid()), (Some(trigger), Some(victim)), "{:#?}", self.report);
        let told = self.explanation.victim.as_ref().expect("the victim is explained");
        assert_eq!((told.pid, told.is_trigger), (victim, Some(victim == trigger)));
    }

    /// Asserts that the limit of a cgroup was met, as the kernel's files have it, so many levels above the victim's cgroup.
    fn is_of_cgroup(&self, cgroup: &Cgroup, limit: u64, levels: usize) {
        let decision = self.report.decision.as_ref().expect("the decision is written");
        assert_eq!((&decision.constraint, decision.global), (&Constraint::Memcg, false));
        let Memory::Cgroup { path, levels_above, kind, .. } = &self.explanation.limit.memory else {
            panic!("{:?}", self.explanation.limit)
        };
        assert_eq!((path.as_str(), *levels_above), (cgroup.name().as_str(), Some(levels)));
        let file = cgroup.file("memory.limit_in_bytes", "memory.max");
        assert_eq!(file.trim().parse(), Ok(limit));
        assert_eq!(self.explanation.limit.limit, Some(limit), "{kind:?}");
        // The kernel charges in batches, and at the moment of the report some may be given back; a victim that ends has most.
        let usage = self.explanation.limit.usage.expect("use is written");
        let least = if self.report.exiting.is_some() { 0 } else { limit / 4 * 3 };
        assert!((least..=limit).contains(&usage), "{usage} of {limit}");
        let uses = &self.report.memcg.as_ref().expect("its use is written").uses;
        assert!(uses.iter().any(|u| u.kind == UseKind::Memory), "{uses:?}");
        // Newer kernels of version 1 count nothing where memory and swap together have the same limit.
        let met = self.explanation.limit.failcnt.is_some_and(|n| n > 0);
        assert!(met || !cgroup.is_v2(), "{uses:?}");
        assert!(self.explanation.zones.is_empty());
    }
}

/// A workload that was made to go, and was killed; its process id.
fn until_killed(mut work: Workload) -> u32 {
    let pid = work.pid();
    work.go();
    assert_eq!(work.killed_by(), Some(libc::SIGKILL));
    pid
}

/// True if the report is of the kill of this process.
fn kills(report: &OomReport, pid: u32) -> bool {
    report.kills.iter().any(|k| k.pid == pid)
}
