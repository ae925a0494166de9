//! What the probes inside of reclaim cost, at the limit of a cgroup: every page read pushes another one out, and there are
//! inodes to be shrunk. Not a test of right and wrong: `cargo test --test kernel reclaim_cost -- --ignored --nocapture`.
//!
//! Measured is the CPU time of the task that reads, by its scheduler: the work of others on the machine is not in it, but for
//! what they take of the caches. Rounds with and without the probes take turns, each pair in the other order than the one
//! before, so that what gets slower or faster with time is in both.

use std::fs;

use observer::source::kernel::{Kernel, Options};

use crate::support::{
    bpf::runs, cgroup::Cgroup, file::BigFile, needs_root, observer::load_with, seen, workload::Workload,
};

const PROBES: &[&str] = &["reclaim_scans", "reclaim_throttles", "extfrag", "shrinker_begin", "shrinker_end"];
/// Pairs of rounds.
const ROUNDS: usize = 30;
/// CPU time that a round is to take, in seconds: how much a reading costs depends on how many shrinkers have work.
const LONG_ENOUGH: f64 = 0.4;
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Nanoseconds that a process was on a CPU. Source: /proc/PID/schedstat.
fn on_cpu_ns(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("the kernel counts CPU time");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
}

/// Seconds of CPU time to read the file so many times inside the cgroup.
fn round(cgroup: &Cgroup, file: &BigFile, times: usize) -> f64 {
    let mut work = Workload::start(&format!("read {} {times}", file.path().display()), Some(cgroup));
    let begin = on_cpu_ns(work.pid());
    assert_eq!(work.step(), "done");
    let seconds = (on_cpu_ns(work.pid()) - begin) as f64 / 1e9;
    work.finish();
    seconds
}

/// The same with the probes.
fn round_with_probes(cgroup: &Cgroup, file: &BigFile, times: usize) -> f64 {
    let _kernel = load_some();
    round(cgroup, file, times)
}

fn load_some() -> Kernel {
    load_with(&Options { only: Some(PROBES), ..Options::default() })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "it measures, and judges nothing"]
fn what_the_probes_inside_of_reclaim_cost() {
    needs_root!("what_the_probes_inside_of_reclaim_cost");
    let cgroup = Cgroup::limited("cost", 32 << 20);
    let file = BigFile::new(256 << 20);
    let mut files = Workload::start("files 20000", Some(&cgroup));
    assert_eq!(files.step(), "done");
    round(&cgroup, &file, 2);
    let times = (LONG_ENOUGH / round(&cgroup, &file, 2) * 2.0).clamp(2.0, 100.0) as usize;
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..ROUNDS {
        let (off, on) = if pair % 2 == 0 {
            let off = round(&cgroup, &file, times);
            (off, round_with_probes(&cgroup, &file, times))
        } else {
            let on = round_with_probes(&cgroup, &file, times);
            (round(&cgroup, &file, times), on)
        };
        without.push(off);
        with.push(on);
        ratios.push(on / off);
    }
    seen!("{times} readings: off {:.4} s, on {:.4} s of CPU time", median(&mut without), median(&mut with));
    let middle = median(&mut ratios);
    // Sorted by now: between these two lies the median of all there could be, 95 times of 100.
    let apart = 0.98 * (ROUNDS as f64).sqrt();
    let place = |at: f64| ratios[(at.round() as usize).min(ROUNDS - 1)];
    let half = ROUNDS as f64 / 2.0;
    seen!("median ratio {middle:.4}, from {:.4} to {:.4}", place(half - apart), place(half + apart));

    let old = fs::read_to_string(STATS).expect("the kernel counts runs");
    fs::write(STATS, "1").expect("root may have them counted");
    let kernel = load_some();
    let seconds = round(&cgroup, &file, times);
    let runs = runs();
    drop(kernel);
    fs::write(STATS, old.trim()).expect("root may set it back");
    assert_eq!(runs.len(), PROBES.len(), "{runs:?}");
    for (probe, (count, ns)) in PROBES.iter().zip(runs) {
        let mean = ns as f64 / count.max(1) as f64;
        seen!("{probe}: {:.0} a second, {mean:.0} ns each by bpf_stats, in {seconds:.3} s", count as f64 / seconds);
    }
    files.finish();
}
