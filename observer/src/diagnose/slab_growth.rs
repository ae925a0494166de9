//! A slab cache takes more and more of RAM.

use super::{Evidence, Finding, Outcome, Rule, Window, allocators, common, growth};
use crate::{
    model::{Model, memory::SlabCache},
    snapshot::{Name, coverage::Source},
    units,
};

/// Share of RAM from which a cache that grows matters: the caches of a host that has read its disks once are smaller.
const LEAST_RATIO: f64 = 0.05;
/// Share of the growth of all slab that must be unreclaimable to call the cache so: /proc/slabinfo does not tell it.
const UNRECLAIMABLE_RATIO: f64 = 0.5;

pub(super) const RULE: Rule =
    Rule { name: "slab_growth", about: "A slab cache of the kernel holds much of RAM and grows.", check };

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let Some(slabs) = &newest.memory.slabs else {
        return common::no_source(window, "bytes of each slab cache", Source::SLABINFO);
    };
    let (Some(ram), Some(available)) = (growth::ram(newest), growth::available(newest)) else {
        return common::no_source(window, "size of RAM and what is available", Source::MEMINFO);
    };
    let (models, span) = window.last(growth::LOOK_BACK_SECONDS);
    let fastest = slabs
        .iter()
        .filter(|c| c.now.bytes as f64 >= LEAST_RATIO * ram as f64)
        .filter_map(|c| Some((common::steady_growth(models, |m| of_name(m, &c.now.name)?.growth)?, c)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((rate, cache)) = fastest else { return Outcome::Quiet };

    let all = common::mean(models, |m| m.memory.growth.slab);
    let held = common::mean(models, |m| m.memory.growth.slab_unreclaimable);
    let reclaimable = all.zip(held).filter(|(all, _)| *all > 0.0).map(|(all, held)| held < UNRECLAIMABLE_RATIO * all);
    // The kernel counts reclaimable slab as available: what grows takes the free memory alone.
    let free = newest.memory.meminfo.as_ref().and_then(|m| m.free).unwrap_or(available);
    let (left, left_name) =
        if reclaimable == Some(true) { (free, "free memory") } else { (available, "what is available") };
    let Some((severity, seconds)) = growth::exhaustion(rate, left) else { return Outcome::Quiet };
    // Reclaimable slab goes when memory is needed: it slows down, it does not kill.
    let severity = if reclaimable == Some(true) { severity.min(super::Severity::Warning) } else { severity };

    let name = &cache.now.name;
    let kind = match reclaimable {
        Some(true) => "reclaimable",
        Some(false) => "unreclaimable",
        None => "of unknown kind",
    };
    let verdict = format!(
        "Slab cache {name} ({kind}) grows by {} and holds {}",
        units::bytes_per_second(rate),
        growth::of_ram(cache.now.bytes, ram)
    );
    let mut evidence = vec![
        Evidence::new(format!("slabs of {name}"), growth::of_ram(cache.now.bytes, ram), Source::SLABINFO),
        Evidence::new(
            "objects in use",
            format!(
                "{} of {}, {} each",
                units::count(cache.now.active_objects as f64),
                units::count(cache.now.objects as f64),
                units::bytes(cache.now.object_bytes as f64)
            ),
            Source::SLABINFO,
        ),
    ];
    if let Some((all, held)) = all.zip(held) {
        let value = format!("{}, unreclaimable {}", units::bytes_per_second(all), units::bytes_per_second(held));
        evidence.push(Evidence::new("growth of all slab", value, "/proc/meminfo Slab, SUnreclaim"));
    }
    evidence.extend(growth::evidence(rate, "/proc/slabinfo, two readings", seconds, left_name));
    evidence.extend(holder(newest));
    evidence.extend(allocators::hint(models, span));
    Outcome::Fires(Finding { rule: RULE.name, severity, verdict, evidence, advice: advice(name, reclaimable) })
}

fn of_name<'a>(model: &'a Model, name: &Name) -> Option<&'a SlabCache> {
    model.memory.slabs.as_ref()?.iter().find(|c| c.now.name == *name)
}

/// The cgroup below the root that is charged for most slab.
fn holder(model: &Model) -> Option<Evidence> {
    let slab = |c: &crate::model::cgroup::Cgroup| {
        let stat = c.now.stat.as_ref()?;
        Some(stat.slab_reclaimable? + stat.slab_unreclaimable?)
    };
    let rows = model.cgroups.iter().flatten().filter(|c| c.now.path.as_str() != "/");
    let (row, bytes) = rows.filter_map(|c| Some((c, slab(c)?))).max_by_key(|(_, bytes)| *bytes)?;
    (bytes > 0).then(|| {
        Evidence::new(
            format!("most slab is charged to cgroup {}", row.now.path),
            units::bytes(bytes as f64),
            "memory.stat slab",
        )
    })
}

fn advice(name: &Name, reclaimable: Option<bool>) -> Vec<String> {
    let mut advice = Vec::new();
    match name.as_str() {
        "dentry" => advice.push(
            "Many names are looked up: files made and removed, or names that are not there (`cat /proc/sys/fs/dentry-state`: the fifth number is of names that are not there). Find who does it: `perf trace -e openat,stat -a --failure-only`.".into(),
        ),
        n if n.contains("inode") => advice.push(
            "Many files are opened or made; in a tmpfs their inodes stay until they are removed (`df -i`). Find who walks the file systems: backup, updatedb, find, du.".into(),
        ),
        _ => advice.push(format!(
            "Find the code that allocates: `bpftrace -e 'tracepoint:kmem:kmem_cache_alloc {{ @[kstack, comm] = count(); }}'` for a few seconds (on kernels that give it, filter by name == \"{name}\")."
        )),
    }
    advice.push(if reclaimable == Some(true) {
        "It goes when memory is needed; until then it may be dropped by hand (`echo 2 > /proc/sys/vm/drop_caches`), or limited by a memory cgroup, which is charged for it.".into()
    } else {
        "Nothing takes it back but its owner: if it keeps growing it is a leak in the kernel or in who holds what it stands for (sockets, files, rules). `slabtop -s c` shows it over time.".into()
    });
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{
            Severity,
            testing::{fired, models, snapshot_at},
        },
        snapshot::{Snapshot, memory},
    };

    const MIB: u64 = 1 << 20;

    fn over(levels: [u64; 4], unreclaimable: bool) -> Outcome {
        let snapshots: Vec<Snapshot> = (0..4)
            .map(|i| {
                let (second, bytes) = (i as u64 + 1, levels[i] * MIB);
                let mut s = snapshot_at(second);
                s.memory.meminfo = Some(memory::Meminfo {
                    total: Some(1000 * MIB),
                    available: Some(500 * MIB),
                    free: Some(400 * MIB),
                    slab: Some(bytes),
                    slab_unreclaimable: Some(if unreclaimable { bytes } else { 0 }),
                    ..Default::default()
                });
                let cache = memory::SlabCache { name: "dentry".into(), bytes, ..Default::default() };
                s.memory.slabs = Some(memory::Slabs { list: vec![cache], read_ns: second * 1_000_000_000 });
                s
            })
            .collect();
        check(&Window::new(&models(&snapshots)).unwrap())
    }

    #[test]
    fn the_cache_that_grows_is_named() {
        let finding = fired(over([100, 110, 120, 130], false));
        assert_eq!(finding.severity, Severity::Warning, "it can be reclaimed");
        assert!(finding.verdict.contains("dentry (reclaimable)"), "{}", finding.verdict);
        assert!(finding.verdict.contains("10 MiB/s"), "{}", finding.verdict);
    }

    #[test]
    fn what_nothing_can_take_is_worse() {
        let finding = fired(over([100, 110, 120, 130], true));
        assert_eq!(finding.severity, Severity::Critical);
        assert!(finding.verdict.contains("unreclaimable"), "{}", finding.verdict);
    }

    #[test]
    fn small_steady_and_shrinking_caches_are_no_finding() {
        assert_eq!(over([10, 20, 30, 40], true), Outcome::Quiet);
        assert_eq!(over([200, 200, 200, 200], true), Outcome::Quiet);
        assert_eq!(over([400, 300, 200, 100], true), Outcome::Quiet);
    }

    #[test]
    fn without_slabinfo_it_says_so() {
        let snapshots = [snapshot_at(1), snapshot_at(2)];
        assert!(matches!(check(&Window::new(&models(&snapshots)).unwrap()), Outcome::NoData { .. }));
    }
}
