//! What the kernel's log says of OOM kills: of every second one, and of one that the probe did not see.

use super::{Names, reclaim, stamp};
use observer::snapshot::{
    oom::{Oom, OomKill},
    oom_report::{
        Constraint, Decision, Gfp, Kill, MemcgState, MemcgUse, OomReport, Origin, Request, Stamp, Task, UseKind,
        memcg::MemcgStats,
    },
    oom_watch::{CgroupKills, LogKills, OomCounts, OomStored, OomWatch, ProbeKills},
};

const MIB: u64 = 1 << 20;
/// The snapshot in which the log tells of a kill that the probe did not see.
const UNSEEN: u64 = 6;

/// Counts of four sources, and the reports that came in this snapshot.
pub(super) fn watch(n: u64, names: &Names) -> OomWatch {
    let Oom { kills, events_lost, recent } = reclaim::oom(n, names);
    let reported = |k: &&OomKill| k.sequence.is_multiple_of(2);
    let mut reports: Vec<OomReport> =
        recent.iter().filter(reported).filter(|k| (k.sequence - 1) * 4 == n).map(report).collect();
    if let Some(kill) = recent.front().filter(|_| n == UNSEEN) {
        let mut other = kill.clone();
        other.monotonic_ns = stamp(n).monotonic_ns - 300_000_000;
        (other.victim.pid, other.victim.tid) = (Some(777), 777);
        reports.push(report(&other));
    }
    let log = recent.iter().filter(reported).count() as u64 + u64::from(n >= UNSEEN);
    let counts = OomCounts {
        since: stamp(0),
        read: stamp(n),
        settled: false,
        last_kill: recent.back().map(|_| stamp(n)),
        vmstat: Some(kills),
        cgroups: Some(CgroupKills { living: kills, ..CgroupKills::default() }),
        probe: Some(ProbeKills { marked: kills, events_lost }),
        log: Some(LogKills { killed: log, ..LogKills::default() }),
    };
    OomWatch { counts, reports, stored: Some(OomStored { kills, failures: 0 }) }
}

/// What the kernel would write of it: the limit lies above the victim's cgroup.
fn report(kill: &OomKill) -> OomReport {
    let (victim, trigger) = (&kill.victim, &kill.trigger);
    let pid = victim.pid.unwrap_or(victim.tid);
    let comm = victim.comm.clone().unwrap_or_default();
    let path = victim.cgroup_path.as_ref().map_or("/batch", |p| p.as_str()).to_owned();
    let above = path.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above }).to_owned();
    let stamp = Stamp { boot_ns: Some(kill.monotonic_ns - 1_000_000), wall: None };
    let task = |pid: u32, comm: &observer::snapshot::Name, rss: u64| Task {
        pid,
        tgid: pid,
        comm: comm.clone(),
        rss,
        ..Task::default()
    };
    let other = trigger.comm.clone().unwrap_or_default();
    OomReport {
        origin: Origin { source: "/dev/kmsg".into(), begin: stamp.clone(), end: stamp, ..Origin::default() },
        request: Some(Request {
            comm: other.clone(),
            tid: Some(trigger.tid),
            order: Some(0),
            gfp: Some(Gfp { bits: 0xcc0, names: vec!["GFP_KERNEL".into()] }),
            ..Request::default()
        }),
        memcg: Some(MemcgState {
            uses: vec![MemcgUse { kind: UseKind::Memory, usage: 512 * MIB, limit: Some(512 * MIB), failcnt: 3656 }],
            stats: vec![MemcgStats {
                path: above.as_str().into(),
                values: vec![("anon".into(), 480 * MIB), ("file".into(), 20 * MIB)],
            }],
        }),
        tasks: vec![task(pid, &comm, 470 * MIB), task(trigger.tid, &other, 12 * MIB)],
        decision: Some(Decision {
            constraint: Constraint::Memcg,
            oom_memcg: Some(above.as_str().into()),
            task_memcg: Some(path.as_str().into()),
            task: Some(comm.clone()),
            pid: Some(pid),
            ..Decision::default()
        }),
        kills: vec![Kill {
            pid,
            comm,
            reason: "Memory cgroup out of memory".into(),
            anon_rss: Some(470 * MIB),
            file_rss: Some(0),
            ..Kill::default()
        }],
        ..OomReport::default()
    }
}
