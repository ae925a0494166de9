//! Memory goes to swap and comes back at once.

use super::{
    Evidence, Finding, Outcome, Rule, Severity, Window,
    common::{cgroup, mean, needs_interval, no_source},
};
use crate::{model::Model, snapshot::coverage::Source, units};

/// Seconds of history that the rule looks at.
const LOOK_BACK_SECONDS: f64 = 10.0;
/// Bytes a second that come back from swap soon after they went from which it is thrashing: each is a fault that waited.
const REFAULTS: f64 = 1024.0 * 1024.0;
/// Share of the time in which no task made progress for want of memory from which work stands still.
const FULL_STALLS: f64 = 0.1;

pub(super) const RULE: Rule =
    Rule { name: "swap_thrash", about: "Memory is swapped out and needed again at once.", check };

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    let (models, _) = window.last(LOOK_BACK_SECONDS);
    let no_swap = newest.memory.meminfo.as_ref().and_then(|m| m.swap_total) == Some(0);
    if no_swap {
        return Outcome::Quiet;
    }
    let rates = mean(models, |m| m.memory.vm.refault_anon).zip(mean(models, |m| m.memory.vm.swap_in));
    let Some((refaults, swap_in)) = rates else {
        return no_source(window, "bytes that came back from swap", Source::VMSTAT);
    };
    // What is swapped in once, after hours, is no thrashing: only a refault comes back soon.
    if refaults < REFAULTS || swap_in <= 0.0 {
        return Outcome::Quiet;
    }
    Outcome::Fires(finding(window, models, refaults, swap_in))
}

fn finding(window: &Window<'_>, models: &[Model], refaults: f64, swap_in: f64) -> Finding {
    let newest = window.newest();
    let vmstat = |name: &str| format!("/proc/vmstat {name}");
    let mut evidence = vec![
        Evidence::new(
            "came back from swap soon after it went",
            units::bytes_per_second(refaults),
            vmstat("workingset_refault_anon"),
        ),
        Evidence::new("read from swap", units::bytes_per_second(swap_in), vmstat("pswpin")),
    ];
    if let Some(out) = mean(models, |m| m.memory.vm.swap_out) {
        evidence.push(Evidence::new("written to swap", units::bytes_per_second(out), vmstat("pswpout")));
    }
    if let Some(used) = newest.memory.swap_used_ratio {
        evidence.push(Evidence::new("swap in use", units::percent(used), "/proc/meminfo SwapTotal, SwapFree"));
    }
    let full = newest.pressure.as_ref().and_then(|p| p.memory.as_ref()?.full).map(|stall| stall.avg10);
    if let Some(full) = full {
        let what = "no task made progress for want of memory, last 10 s";
        evidence.push(Evidence::new(what, units::percent(full), "/proc/pressure/memory full avg10"));
    }
    // A cgroup's counters contain those below it: the deepest of equal ones is the one that thrashes.
    let cgroups = newest.cgroups.iter().flatten().filter(|c| c.now.path.as_str() != "/");
    let worst = cgroups.filter_map(|c| Some((c, c.refaults_anon.filter(|r| *r > 0.0)?)));
    let worst = worst
        .max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.now.path.as_str().len().cmp(&b.0.now.path.as_str().len())));
    if let Some((c, rate)) = worst {
        evidence.push(Evidence::new(
            format!("of it in {}", cgroup(Some(&c.now.path), None)),
            units::bytes_per_second(rate),
            "memory.stat workingset_refault_anon",
        ));
    }
    let swapped = newest.processes.iter().flat_map(|p| &p.list).filter(|p| p.swap.is_some_and(|s| s > 0));
    let largest = swapped.max_by_key(|p| p.swap);
    if let Some(p) = largest {
        evidence.push(Evidence::new(
            format!("largest in swap: {} (pid {})", p.comm, p.pid),
            units::or_unknown(p.swap.map(|s| s as f64), units::bytes),
            "/proc/PID/status VmSwap",
        ));
    }
    let who = match (worst, largest) {
        (Some((c, _)), _) => format!(", most of all {}", cgroup(Some(&c.now.path), None)),
        (None, Some(p)) => format!("; the largest in swap is {} (pid {})", p.comm, p.pid),
        (None, None) => String::new(),
    };
    Finding {
        rule: RULE.name,
        severity: if full.is_some_and(|f| f >= FULL_STALLS) { Severity::Critical } else { Severity::Warning },
        verdict: format!("Swap thrashes: memory that was swapped out is needed again at once{who}"),
        evidence,
        advice: vec![
            "More memory is in use than there is RAM: limit or move what grew last (`observer report memory`).".into(),
            "If page cache stays large meanwhile, lower vm.swappiness; on a slow swap device, put zram before it."
                .into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::memory::{Meminfo, Vmstat},
    };

    fn outcome(swap: u64, refaults: u64, swap_in: u64) -> Outcome {
        let at = |second: u64| {
            let mut s = snapshot_at(second);
            s.memory.meminfo =
                Some(Meminfo { swap_total: Some(swap), swap_free: Some(swap / 2), ..Meminfo::default() });
            s.memory.vmstat = Some(Vmstat {
                workingset_refault_anon_bytes: Some(refaults * second),
                pswpin_bytes: Some(swap_in * second),
                pswpout_bytes: Some(swap_in * second),
                ..Vmstat::default()
            });
            s
        };
        check(&Window::new(&models(&[at(1), at(2)])).unwrap())
    }

    #[test]
    fn what_comes_back_at_once_is_thrashing() {
        assert_eq!(fired(outcome(1 << 30, 50 << 20, 60 << 20)).severity, Severity::Warning);
    }

    #[test]
    fn what_comes_back_after_hours_is_not_and_no_swap_is_none() {
        assert_eq!(outcome(1 << 30, 0, 60 << 20), Outcome::Quiet);
        assert_eq!(outcome(0, 50 << 20, 60 << 20), Outcome::Quiet);
    }

    #[test]
    fn without_vmstat_it_cannot_tell() {
        let models = models(&[snapshot_at(1), snapshot_at(2)]);
        assert!(matches!(check(&Window::new(&models).unwrap()), Outcome::NoData { .. }));
    }
}
