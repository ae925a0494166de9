//! What the event of the probe alone tells, in the form of a report: who asked, who was killed, and no more.

use super::{Constraint, Cut, Decision, Gfp, Kill, OomReport, Origin, Request, Stamp};
use crate::snapshot::{
    Name,
    oom::{OomKill, OomReclaim},
    reclaim::ReclaimKind,
};

/// The tracepoint, where a log has its name.
const SOURCE: &str = "tracepoint oom:mark_victim";

impl From<&OomKill> for OomReport {
    /// The kernel's own report says far more; this is for a kill whose report was not found.
    fn from(kill: &OomKill) -> Self {
        let last = kill.last_reclaim.as_ref();
        let victim = &kill.victim;
        let stamp = Stamp { boot_ns: Some(kill.monotonic_ns), wall: None };
        let comm = victim.comm.clone().unwrap_or_default();
        Self {
            origin: Origin { source: SOURCE.into(), begin: stamp.clone(), end: stamp, ..Origin::default() },
            request: Some(Request {
                comm: kill.trigger.comm.clone().unwrap_or_default(),
                tid: Some(kill.trigger.tid),
                gfp: last.map(|r| Gfp { bits: r.gfp.into(), names: Vec::new() }),
                order: last.and_then(|r| i32::try_from(r.order).ok()),
                ..Request::default()
            }),
            decision: Some(Decision {
                // Whether the nodes of a cpuset or of a policy were meant, the event does not tell.
                constraint: last.and_then(constraint).unwrap_or(Constraint::Other("not in the event".into())),
                task_memcg: victim.cgroup_path.clone(),
                task: victim.comm.clone(),
                pid: Some(victim.pid.unwrap_or(victim.tid)),
                ..Decision::default()
            }),
            kills: vec![Kill {
                pid: victim.pid.unwrap_or(victim.tid),
                comm,
                reason: last.map_or_else(Name::default, |r| reason(r).into()),
                ..Kill::default()
            }],
            trace: kill.stack.clone().unwrap_or_default(),
            cut: Some(Cut::EventOnly),
            ..Self::default()
        }
    }
}

fn constraint(reclaim: &OomReclaim) -> Option<Constraint> {
    match reclaim.kind {
        ReclaimKind::Memcg => Some(Constraint::Memcg),
        ReclaimKind::Direct => None,
    }
}

/// The kernel's words for a kill that follows such a reclaim.
fn reason(reclaim: &OomReclaim) -> &'static str {
    match reclaim.kind {
        ReclaimKind::Memcg => "Memory cgroup out of memory",
        ReclaimKind::Direct => "",
    }
}

impl OomReport {
    /// True if this report tells of the kill of that event: the victim is one of its victims by process id and name, and the
    /// times are near. The clock of the kernel's log is not `CLOCK_MONOTONIC`, and after months they are minutes apart.
    /// Within seconds the process id is enough: the log has its own way to write a name with control characters.
    pub fn tells_of(&self, kill: &OomKill) -> bool {
        /// Farther apart is another kill of a process that got the same id.
        const NEAR_NS: u64 = 900 * 1_000_000_000;
        const AT_ONCE_NS: u64 = 5 * 1_000_000_000;
        let times = [self.origin.begin.boot_ns, self.origin.end.boot_ns];
        let apart = times.into_iter().flatten().map(|ns| ns.abs_diff(kill.monotonic_ns)).max();
        if apart.is_some_and(|ns| ns > NEAR_NS) {
            return false;
        }
        let at_once = apart.is_some_and(|ns| ns < AT_ONCE_NS);
        let victim = &kill.victim;
        let pid = victim.pid.unwrap_or(victim.tid);
        let is_named = |comm: &Name| at_once || victim.comm.as_ref().is_none_or(|c| c == comm);
        let killed = self.kills.iter().any(|k| k.pid == pid && is_named(&k.comm));
        let chosen =
            || self.decision.as_ref().is_some_and(|d| d.pid == Some(pid) && d.task.as_ref().is_none_or(is_named));
        killed || chosen()
    }
}
