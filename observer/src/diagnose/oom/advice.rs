//! What to do next, each tied to what it is concluded from.

use super::{
    Advice,
    limit::{Limit, Memory},
    reasons::{Cause, Reason},
    usage::Usage,
    victim::Victim,
};
use crate::{
    snapshot::oom_report::{OomReport, UseKind},
    units,
};

pub(super) fn advice(
    report: &OomReport,
    limit: &Limit,
    usage: &Usage,
    reasons: &[Reason],
    victim: Option<&Victim>,
) -> Vec<Advice> {
    let mut out = Vec::new();
    let mut add = |text: String, because: &str| out.push(Advice { text, because: because.to_owned() });
    // Who holds little of it is not what to look at first.
    let largest = usage.processes.first().filter(|p| usage.holds_much(p));
    let largest = largest.map(|p| super::process(&p.comm, Some(p.pid)));
    let mut last = None;
    match &limit.memory {
        Memory::Cgroup { path, levels_above, kind, .. } => {
            let file = match &report.memcg {
                Some(_) if *kind == UseKind::MemorySwap => "memory.memsw.limit_in_bytes",
                Some(_) if *kind == UseKind::Kmem => "memory.kmem.limit_in_bytes",
                Some(_) if limit.is_of_v1(report) => "memory.limit_in_bytes",
                Some(_) => "memory.max",
                None => "the memory limit",
            };
            let what = if path.is_empty() { "the limit of that cgroup".to_owned() } else { format!("{file} of {path}") };
            let unlisted = usage.processes.is_empty().then(|| "who was killed".to_owned());
            match largest.clone().or(unlisted) {
                Some(who) => add(
                    format!("Raise {what} if {who} needs what it had; else find out why it grows (`observer top`, its own heap profile)."),
                    "that limit was met",
                ),
                None => last = Some((format!("Raise {what} if what it had is needed."), "that limit was met")),
            }
            if levels_above.is_some_and(|n| n > 0) {
                add(
                    format!("Look at all cgroups below {path}: the limit is of all of them together, and the victim's own was not met."),
                    "the limit lies above the victim's cgroup",
                );
            }
        }
        Memory::Host | Memory::Unknown => {
            if let Some(who) = &largest {
                add(
                    format!("Find out why {who} grows, and put it into a memory cgroup with a limit, so that it cannot take the host's memory from others."),
                    "it holds most",
                );
            }
        }
        Memory::Cpuset { .. } | Memory::Policy { .. } => add(
            "Let it use more NUMA nodes (cpuset.mems, `numactl --interleave` or `--preferred` instead of `--membind`): other nodes may have free memory.".to_owned(),
            &limit.what(),
        ),
        Memory::Sysrq => add("Find out who wrote `f` to /proc/sysrq-trigger or pressed the keys; kernel.sysrq can forbid it.".to_owned(), "a kill by sysrq"),
    }
    for reason in reasons {
        let text = match reason.cause {
            Cause::Fragmentation => "Ask for smaller blocks (jumbo frames, large receive rings, huge pages at run time), raise vm.min_free_kbytes, or reserve huge pages at boot.".to_owned(),
            Cause::Trapped => "Make the reserve smaller if it is larger than what it is for (`cma=` at boot; highatomic comes back by itself).".to_owned(),
            Cause::NoSwap if !limit.is_of_cgroup() => "Add swap or zram: memory that is idle can then go, and growth becomes slowness before it becomes a kill.".to_owned(),
            Cause::SwapFull if !limit.is_of_cgroup() => "Swap does not end growth, it only delays it: see what grows; or make swap larger if what is in it is idle.".to_owned(),
            Cause::SwapLimit => "Let the cgroup swap (memory.swap.max, or memory.memsw.limit_in_bytes above its memory limit) if part of its memory is idle.".to_owned(),
            Cause::Tmpfs => "Delete what lies on tmpfs (`df -t tmpfs`, `du -x /dev/shm`, `ipcs -m`) or mount it with a size: it is charged to whoever wrote it, and stays when the process ends.".to_owned(),
            Cause::Locked => "See who locks memory (`grep VmLck /proc/*/status`), and limit it (ulimit -l).".to_owned(),
            Cause::Dirty => "Lower vm.dirty_bytes and vm.dirty_background_bytes, so that writing begins earlier; see whether the disk keeps up.".to_owned(),
            Cause::Slab => match report.slabs.iter().max_by_key(|s| s.total) {
                Some(slab) => format!("Slab cache {} has {}: see who fills it (`slabtop`, `observer report memory --stacks`).", slab.name, units::bytes(slab.total as f64)),
                None => "See which slab cache grows (`slabtop`), and who fills it.".to_owned(),
            },
            Cause::HugePages => "Give back huge pages that nobody uses (vm.nr_hugepages; the report has how many are free).".to_owned(),
            Cause::PageTables => "Many processes map the same large memory: use huge pages for it, or fewer processes.".to_owned(),
            Cause::Sockets => "Buffers of sockets wait for someone to read them: see `ss -tm`, and net.ipv4.tcp_mem.".to_owned(),
            Cause::Kernel => "Kernel memory of the cgroup: dentries and inodes of many files, sockets, page tables (memory.stat, `slabtop`).".to_owned(),
            Cause::Unaccounted => match report.allocations.iter().max_by_key(|a| a.bytes) {
                Some(most) => format!("The place in the kernel that allocated most is {}, with {}: see what it is for (/proc/allocinfo).", most.site, units::bytes(most.bytes as f64)),
                None => "Look for zram (`zramctl`), rings of packet sockets, buffers of drivers and balloons: `observer report memory` tells what grows without a counter.".to_owned(),
            },
            _ => continue,
        };
        add(text, &reason.text);
    }
    if let Some((text, because)) = last {
        add(text, because);
    }
    if limit.memory != Memory::Sysrq
        && let Some(victim) = victim
        && let Some(spared) = victim.spared.iter().find(|s| s.why.contains("-1000"))
    {
        add(
            format!(
                "{} had more and may never be killed: allow it (oom_score_adj above -1000), or give it a limit of its own.",
                super::process(&spared.comm, Some(spared.pid))
            ),
            &spared.why,
        );
    }
    out
}
