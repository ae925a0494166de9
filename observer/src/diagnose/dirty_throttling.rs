//! So much page cache is dirty that the kernel makes writers wait.

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window,
    common::{mean, needs_interval, no_source, process, top_allocator},
};
use crate::{model::Model, snapshot::coverage::Source, units};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Share of the time in which some task waited for a device from which writers are really held up.
const IO_STALLS: f64 = 0.1;
/// Share of the time in which all tasks did.
const IO_FULL_STALLS: f64 = 0.5;

pub(super) const RULE: Rule =
    Rule { name: "dirty_throttling", about: "Writers wait because too much page cache is dirty.", check };

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let (models, _) = window.last(LOOK_BACK_SECONDS);
    let Some(info) = &newest.memory.meminfo else {
        return no_source(window, "dirty page cache", Source::MEMINFO);
    };
    let vm = &newest.memory.vm;
    let Some((threshold, background)) = vm.dirty_threshold.zip(vm.dirty_background_threshold) else {
        return no_source(window, "thresholds of dirty page cache", Source::VMSTAT);
    };
    // `dirty_freerun_ceiling` of mm/page-writeback.c: below the middle of the two nobody waits.
    let ceiling = threshold.midpoint(background) as f64;
    let held = |m: &Model| {
        let info = m.memory.meminfo.as_ref()?;
        Some((info.dirty? + info.writeback.unwrap_or(0)) as f64)
    };
    let Some(dirty) = mean(models, held) else { return no_source(window, "dirty page cache", Source::MEMINFO) };
    if dirty < ceiling {
        return Outcome::Quiet;
    }
    let io = newest.pressure.as_ref().and_then(|p| p.io.as_ref());
    let (some, full) = (io.and_then(|r| r.some).map(|s| s.avg10), io.and_then(|r| r.full).map(|s| s.avg10));
    let severity = match (some, full) {
        (_, Some(full)) if full >= IO_FULL_STALLS => Severity::Critical,
        (Some(some), _) if some < IO_STALLS => Severity::Info,
        _ => Severity::Warning,
    };
    let bytes = |v: Option<u64>| units::or_unknown(v.map(|v| v as f64), units::bytes);
    let mut evidence = vec![
        Evidence::new(
            "dirty and under writeback",
            format!("{} and {}", bytes(info.dirty), bytes(info.writeback)),
            "/proc/meminfo Dirty, Writeback",
        ),
        Evidence::new(
            "writers wait from, and writeback begins at",
            format!("{} and {}", units::bytes(ceiling), units::bytes(background as f64)),
            "/proc/vmstat nr_dirty_threshold, nr_dirty_background_threshold",
        ),
    ];
    let rates = mean(models, |m| m.memory.vm.dirtied).zip(mean(models, |m| m.memory.vm.written));
    if let Some((dirtied, written)) = rates {
        evidence.push(Evidence::new(
            "dirtied and written back",
            format!("{} and {}", units::bytes_per_second(dirtied), units::bytes_per_second(written)),
            "/proc/vmstat nr_dirtied, nr_written",
        ));
    }
    if let Some(some) = some {
        let what = "some task waited for a device, last 10 s";
        evidence.push(Evidence::new(what, units::percent(some), "/proc/pressure/io some avg10"));
    }
    // The root's numbers contain all others.
    let by_cgroup = newest.cgroups.iter().flatten().filter(|c| c.now.path.as_str() != "/");
    let dirtiest = by_cgroup.filter_map(|c| Some((c, c.now.stat.as_ref()?.file_dirty.filter(|d| *d > 0)?)));
    let dirtiest = dirtiest.max_by_key(|(c, dirty)| (*dirty, c.now.path.as_str().len()));
    if let Some((c, dirty)) = dirtiest {
        let what = format!("most of it in cgroup {}", c.now.path);
        evidence.push(Evidence::new(what, units::bytes(dirty as f64), "memory.stat file_dirty (v2), total_dirty (v1)"));
        // Who writes allocates the page cache that it dirties.
        if let Some(p) = top_allocator(newest, Some(c.now.id)) {
            evidence.push(Evidence::new(
                format!("allocates most in it: {}", process(&p.comm, p.pid)),
                units::or_unknown(p.allocs.allocations, units::per_second),
                "kmem:mm_page_alloc",
            ));
        }
    }
    let who = dirtiest.map_or(String::new(), |(c, _)| format!("; most is dirtied by cgroup {}", c.now.path));
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity,
        verdict: format!("Writers wait for writeback: dirty page cache is above what the kernel lets run free{who}"),
        evidence,
        advice: vec![
            "The device takes less than is written: see its utilisation (`iostat -x 1`) before memory is touched.".into(),
            "For shorter waits let writeback begin earlier: lower vm.dirty_background_bytes; a higher vm.dirty_bytes only puts the wait off.".into(),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::{
            memory::{Meminfo, Vmstat},
            pressure::{Pressure, Resource, Stall},
        },
    };

    const MIB: u64 = 1 << 20;

    fn outcome(dirty: u64, io: f64) -> Outcome {
        let at = |second: u64| {
            let mut s = snapshot_at(second);
            s.memory.meminfo = Some(Meminfo { dirty: Some(dirty), writeback: Some(0), ..Meminfo::default() });
            s.memory.vmstat = Some(Vmstat {
                nr_dirty_threshold_bytes: Some(200 * MIB),
                nr_dirty_background_threshold_bytes: Some(100 * MIB),
                ..Vmstat::default()
            });
            let stall = Stall { avg10: io, avg60: 0.0, avg300: 0.0, total_seconds: 0.0 };
            s.pressure = Some(Pressure { io: Some(Resource { some: Some(stall), full: None }), ..Pressure::default() });
            s
        };
        check(&Window::new(&models(&[at(1), at(2)])).unwrap())
    }

    #[test]
    fn between_the_thresholds_writers_wait() {
        assert_eq!(outcome(149 * MIB, 0.9), Outcome::Quiet);
        assert_eq!(fired(outcome(151 * MIB, 0.9)).severity, Severity::Warning);
        assert_eq!(fired(outcome(151 * MIB, 0.0)).severity, Severity::Info);
    }

    #[test]
    fn without_thresholds_it_cannot_tell() {
        let models = models(&[snapshot_at(1), snapshot_at(2)]);
        assert!(matches!(check(&Window::new(&models).unwrap()), Outcome::NoData { .. }));
    }
}
