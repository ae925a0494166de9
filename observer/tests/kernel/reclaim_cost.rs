//! What the probes inside of reclaim cost, at the limit of a cgroup: every page read pushes another one out, and there are
//! inodes to be shrunk. Not a test of right and wrong: `cargo test --test kernel reclaim_cost -- --ignored --nocapture`.

use std::{fs, time::Instant};

use observer::source::kernel::{Kernel, Options};

use crate::support::{cgroup::Cgroup, file::BigFile, needs_root, observer::load_with, seen, workload::Workload};

const PROBES: &[&str] = &["reclaim_scans", "reclaim_throttles", "extfrag", "shrinker_begin", "shrinker_end"];
const ROUNDS: usize = 15;
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Seconds to read the file twice inside the cgroup.
fn round(cgroup: &Cgroup, file: &BigFile) -> f64 {
    let mut work = Workload::start(&format!("read {} 2", file.path().display()), Some(cgroup));
    let begin = Instant::now();
    assert_eq!(work.step(), "done");
    let seconds = begin.elapsed().as_secs_f64();
    work.finish();
    seconds
}

fn load_some() -> Kernel {
    load_with(&Options { only: Some(PROBES), ..Options::default() })
}

/// Runs and nanoseconds of this process's programs, in the order of loading.
fn runs() -> Vec<(u64, u64)> {
    let files = fs::read_dir("/proc/self/fdinfo").expect("/proc is there").flatten();
    let mut programs: Vec<(u64, u64, u64)> = files
        .filter_map(|file| {
            let text = fs::read_to_string(file.path()).ok()?;
            let number = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok());
            Some((number("prog_id:")?, number("run_cnt:")?, number("run_time_ns:")?))
        })
        .collect();
    // A link names its program too, without the counts; two descriptors of one program are one.
    programs.sort_unstable();
    programs.dedup();
    programs.into_iter().map(|(_, count, ns)| (count, ns)).collect()
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
    round(&cgroup, &file);
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let off = round(&cgroup, &file);
        let kernel = load_some();
        let on = round(&cgroup, &file);
        drop(kernel);
        without.push(off);
        with.push(on);
        ratios.push(on / off);
    }
    seen!("off {:.4} s, on {:.4} s, median ratio {:.4}", median(&mut without), median(&mut with), median(&mut ratios));
    seen!("ratios: {ratios:.3?}");

    let old = fs::read_to_string(STATS).expect("the kernel counts runs");
    fs::write(STATS, "1").expect("root may have them counted");
    let kernel = load_some();
    let seconds = round(&cgroup, &file);
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
