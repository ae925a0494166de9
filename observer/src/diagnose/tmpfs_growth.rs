//! A tmpfs, or shared memory outside of mounts, takes more and more of RAM.

use super::{Evidence, Finding, Outcome, Rule, Window, common, growth};
use crate::{
    model::{Model, memory::Tmpfs},
    snapshot::{coverage::Source, process::Process},
    units,
};

/// Share of RAM from which a tmpfs that grows matters: below it is the usual content of /run and /dev/shm.
const LEAST_RATIO: f64 = 0.05;

/// Share of the shared memory outside of mounts that a process must map to be named.
const HOLDER_RATIO: f64 = 0.5;

pub(super) const RULE: Rule = Rule {
    name: "tmpfs_growth",
    about: "A tmpfs or shared memory holds much of RAM and grows; only swap can take it.",
    check,
};

/// What grows.
enum Culprit<'a> {
    Mount(&'a Tmpfs),
    /// memfd, shared anonymous mappings and System V segments.
    Outside,
}

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let Some(shmem) = &newest.memory.shmem else {
        return common::no_source(window, "bytes of each tmpfs", Source::TMPFS);
    };
    let (Some(ram), Some(available)) = (growth::ram(newest), growth::available(newest)) else {
        return common::no_source(window, "size of RAM and what is available", Source::MEMINFO);
    };
    let (models, _) = window.last(growth::LOOK_BACK_SECONDS);

    let large = |bytes: u64| bytes as f64 >= LEAST_RATIO * ram as f64;
    let mounts = shmem.tmpfs.iter().filter_map(|t| {
        let used = t.now.used.filter(|used| large(*used))?;
        let rate = common::steady_growth(models, |m| of_mount(m, t)?.growth)?;
        Some((rate, used, Culprit::Mount(t)))
    });
    let outside = shmem.outside.map(|bytes| bytes + shmem.sysv.as_ref().map_or(0, |s| s.rss));
    let outside = outside.filter(|bytes| large(*bytes)).and_then(|bytes| {
        let rate = common::steady_growth(models, outside_growth)?;
        Some((rate, bytes, Culprit::Outside))
    });
    let fastest = mounts.chain(outside).max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((rate, bytes, culprit)) = fastest else { return Outcome::Quiet };
    let Some((severity, seconds)) = growth::exhaustion(rate, available) else { return Outcome::Quiet };

    let grows = units::bytes_per_second(rate);
    let mut evidence = Vec::new();
    let (verdict, what, advice) = match culprit {
        Culprit::Mount(t) => {
            let mount = &t.now.mount_point;
            evidence.push(Evidence::new(format!("in the tmpfs at {mount}"), growth::of_ram(bytes, ram), "statfs(2)"));
            if let Some(size) = t.now.size {
                evidence.push(Evidence::new("its size limit", units::bytes(size as f64), "statfs(2)"));
            }
            let seen_by = t.now.seen_by_pid.map(|pid| format!(" in the mount namespace of pid {pid}"));
            let seen_by = seen_by.unwrap_or_default();
            let within = t.now.seen_by_pid.map_or(String::new(), |pid| format!("nsenter -m -t {pid} "));
            (
                format!("The tmpfs at {mount}{seen_by} grows by {grows} and holds {}", growth::of_ram(bytes, ram)),
                "statfs(2), two readings",
                vec![
                    format!(
                        "See what is in it (`{within}du -xah {mount} | sort -h | tail`) and remove it; files that are deleted and still open count too (`lsof +L1`)."
                    ),
                    format!(
                        "Limit it (`{within}mount -o remount,size=SIZE {mount}`): who writes then gets ENOSPC instead of the host an OOM kill."
                    ),
                    "Only swap can take these pages: without swap they stay in RAM whatever the pressure.".into(),
                ],
            )
        }
        Culprit::Outside => {
            let source = "/proc/meminfo Shmem - statfs(2) of every tmpfs";
            evidence.push(Evidence::new("shared memory in no tmpfs", growth::of_ram(bytes, ram), source));
            // Who maps little of it is not who has it: a memfd that is written to is not mapped at all.
            let holder = most_shared(newest).filter(|(_, shared)| *shared as f64 >= HOLDER_RATIO * bytes as f64);
            if let Some((p, shared)) = holder {
                evidence.push(Evidence::new(
                    format!("{} (pid {}) maps", p.comm, p.pid),
                    units::bytes(shared as f64),
                    "/proc/PID/status RssShmem",
                ));
            }
            let unlimited: Vec<_> = shmem.tmpfs.iter().filter(|t| t.now.used.is_none()).collect();
            if let Some(first) = unlimited.first() {
                let more =
                    if unlimited.len() > 1 { format!(" and {} more", unlimited.len() - 1) } else { String::new() };
                evidence.push(Evidence::new(
                    "tmpfs without a size, of which the kernel does not tell what it holds",
                    format!("{}{more}", first.now.mount_point),
                    "statfs(2)",
                ));
            }
            let by =
                holder.map_or(String::new(), |(p, _)| format!(", most of it mapped by {} (pid {})", p.comm, p.pid));
            (
                format!("Shared memory in no tmpfs (memfd, shared mappings, System V) grows by {grows} and holds {}{by}", growth::of_ram(bytes, ram)),
                "/proc/meminfo Shmem, two readings, without what each tmpfs grew",
                vec![
                    "See who maps it (RssShmem in /proc/PID/status), open memfds (`ls -l /proc/*/fd | grep memfd`) and System V segments (`ipcs -mp`; `ipcrm -m ID` removes one that nobody is attached to).".into(),
                    "Only swap can take these pages: without swap they stay in RAM whatever the pressure.".into(),
                ],
            )
        }
    };
    evidence.extend(growth::evidence(rate, what, seconds, "what is available"));
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice })
}

/// The same tmpfs in another model.
fn of_mount<'a>(model: &'a Model, tmpfs: &Tmpfs) -> Option<&'a Tmpfs> {
    model.memory.shmem.as_ref()?.tmpfs.iter().find(|t| t.now.device == tmpfs.now.device)
}

/// Growth of shared memory that no tmpfs explains.
fn outside_growth(model: &Model) -> Option<f64> {
    let all = model.memory.growth.shmem?;
    // A tmpfs that was not there before has no growth of its own: what it took would be laid at another's door.
    let mounts: Option<f64> = model.memory.shmem.as_ref()?.tmpfs.iter().map(|t| t.growth).sum();
    Some(all - mounts?)
}

fn most_shared(model: &Model) -> Option<(&Process, u64)> {
    let list = &model.processes.as_ref()?.list;
    list.iter().filter_map(|p| Some((p, p.shmem?))).max_by_key(|(_, shared)| *shared).filter(|(_, shared)| *shared > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{
            Severity,
            testing::{fired, models, snapshot_at},
        },
        snapshot::{Snapshot, memory, process::Processes},
    };

    const MIB: u64 = 1 << 20;

    fn at(second: u64, used: u64, shmem: u64) -> Snapshot {
        let mut s = snapshot_at(second);
        s.memory.meminfo = Some(memory::Meminfo {
            total: Some(1000 * MIB),
            available: Some(500 * MIB),
            shmem: Some(shmem),
            ..Default::default()
        });
        let mount = memory::Tmpfs {
            mount_point: "/srv/cache".into(),
            device: "0:40".into(),
            used: Some(used),
            size: Some(900 * MIB),
            ..Default::default()
        };
        s.memory.shmem =
            Some(memory::Shmem { tmpfs: vec![mount], read_ns: second * 1_000_000_000, ..Default::default() });
        s
    }

    fn outcome(snapshots: &[Snapshot]) -> Outcome {
        check(&Window::new(&models(snapshots)).unwrap())
    }

    fn over(levels: [u64; 4]) -> Outcome {
        outcome(&[0, 1, 2, 3].map(|i| at(i as u64 + 1, levels[i] * MIB, levels[i] * MIB)))
    }

    #[test]
    fn a_mount_that_fills_is_named() {
        let finding = fired(over([100, 101, 102, 103]));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.verdict.contains("/srv/cache") && finding.verdict.contains("1 MiB/s"), "{finding:?}");
        assert_eq!(fired(over([100, 120, 140, 160])).severity, Severity::Critical);
    }

    #[test]
    fn a_small_one_a_full_one_and_one_jump_are_no_finding() {
        assert_eq!(over([10, 11, 12, 13]), Outcome::Quiet);
        assert_eq!(over([500, 500, 500, 500]), Outcome::Quiet);
        assert_eq!(over([100, 100, 100, 200]), Outcome::Quiet);
        assert_eq!(over([200, 190, 180, 170]), Outcome::Quiet);
    }

    #[test]
    fn memory_in_no_mount_is_laid_at_the_door_of_who_maps_it() {
        let snapshots = [1, 2, 3].map(|second| {
            let mut s = at(second, 20 * MIB, (100 + second * 5) * MIB);
            let who = Process { pid: 7, comm: "buffers".into(), shmem: Some(85 * MIB), ..Default::default() };
            s.processes = Some(Processes { list: vec![who], not_listed: 0 });
            s
        });
        let finding = fired(outcome(&snapshots));
        assert!(finding.verdict.contains("buffers (pid 7)") && finding.verdict.contains("5 MiB/s"), "{finding:?}");
    }

    #[test]
    fn without_the_source_it_says_so() {
        let snapshots = [1, 2].map(|second| Snapshot { memory: memory::Memory::default(), ..at(second, 0, 0) });
        assert!(matches!(outcome(&snapshots), Outcome::NoData { .. }));
    }
}
