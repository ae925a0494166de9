//! A writer that is faster than its disk. Only where a disk was made slow for it, as in the VM lane for memory pressure.

use std::{env, fs};

use observer::diagnose::Severity;

use super::{Watch, evidence};
use crate::support::{
    cgroup::Cgroup, memory::page_size, needs_root, observer::cgroup_number, skipped, sysctl::Sysctl, workload::Workload,
};

/// Names the disk: nothing on it is kept.
const SLOW_DISK: &str = "OBSERVER_TEST_SLOW_DISK";
/// Dirty page cache from which the kernel lets nobody run on, in bytes.
const LIMIT: u64 = 32 << 20;
/// More than the disk takes in the time of the test, in bytes.
const WRITTEN: u64 = 400 << 20;

/// A process that writes to the disk, in a cgroup of its own.
struct Flood {
    writer: Workload,
    cgroup: Cgroup,
    /// The shares of memory that hold where no bytes are set: to set them again takes the bytes away.
    _shares: [Sysctl; 2],
}

impl Flood {
    /// `None`, with the reason said, where there is no such disk.
    fn start(test: &str) -> Option<Self> {
        let Some(disk) = env::var(SLOW_DISK).ok() else {
            skipped(test, &format!("it writes to a whole disk that is slow: {SLOW_DISK} names none"));
            return None;
        };
        let shares = ["vm/dirty_ratio", "vm/dirty_background_ratio"].map(Sysctl::keep);
        for (name, bytes) in [("dirty_bytes", LIMIT), ("dirty_background_bytes", LIMIT / 2)] {
            fs::write(format!("/proc/sys/vm/{name}"), bytes.to_string()).expect("root may");
        }
        let cgroup = Cgroup::new("flood");
        let mut writer = Workload::start(&format!("dirty {disk} {WRITTEN}"), Some(&cgroup));
        writer.go();
        Some(Self { writer, cgroup, _shares: shares })
    }
}

/// A line of /proc/vmstat that counts pages, in bytes.
fn vmstat(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/vmstat").expect("/proc is there");
    let number = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')).expect("the kernel has the line");
    number.parse::<u64>().expect("a number") * page_size() as u64
}

/// Seconds in which some task waited for a device.
fn waited() -> f64 {
    let text = fs::read_to_string("/proc/pressure/io").expect("the kernel has PSI");
    let total = text.lines().next().and_then(|l| l.rsplit_once("total=")).expect("a line of some").1;
    total.parse::<f64>().expect("a number") / 1e6
}

#[test]
fn a_writer_faster_than_its_disk_is_named() {
    needs_root!("a_writer_faster_than_its_disk_is_named");
    let mut watch = Watch::start();
    let Some(scene) = Flood::start("a_writer_faster_than_its_disk_is_named") else { return };
    let name = scene.cgroup.name();
    let worst = format!("dirtied by cgroup {name}");
    let finding = watch.until("dirty_throttling", |f| f.verdict.contains(&worst) && f.severity >= Severity::Warning);
    watch.record("dirty-throttling", "dirty_throttling");
    let who = format!("allocates most in it: obs-dirty (pid {})", scene.writer.pid());
    assert_ne!(evidence(&finding, &who), "0/s");

    // The kernel's own numbers, read around a snapshot. Dirty pages come and go at the pace of the disk.
    const CHURN: u64 = 4 << 20;
    let files = || cgroup_number(&scene.cgroup, "memory.stat", ("memory.stat", "file_dirty "));
    let held = || vmstat("nr_dirty") + vmstat("nr_writeback");
    let before = (held(), files(), waited());
    watch.tick();
    let after = (held(), files(), waited());
    let near = |bytes: u64, a: u64, b: u64| a.min(b) <= bytes + CHURN && bytes <= a.max(b) + CHURN;
    let memory = &watch.snapshot().memory;
    let info = memory.meminfo.as_ref().expect("meminfo is read");
    let dirty = info.dirty.expect("it is told") + info.writeback.expect("it is told");
    assert!(near(dirty, before.0, after.0), "{} <= {dirty} <= {}", before.0, after.0);
    let thresholds = memory.vmstat.as_ref().expect("vmstat is read");
    assert_eq!(thresholds.nr_dirty_threshold_bytes, Some(vmstat("nr_dirty_threshold")));
    assert_eq!(thresholds.nr_dirty_background_threshold_bytes, Some(vmstat("nr_dirty_background_threshold")));
    assert_eq!(thresholds.nr_dirty_threshold_bytes, Some(LIMIT));
    let row = watch.snapshot().cgroups.as_ref().and_then(|c| c.by_id(scene.cgroup.id())).expect("it is listed");
    let dirty = row.stat.as_ref().and_then(|s| s.file_dirty).expect("it is told");
    assert!(near(dirty, before.1, after.1), "{} <= {dirty} <= {}", before.1, after.1);
    let some = watch.snapshot().pressure.as_ref().and_then(|p| p.io.as_ref()?.some).expect("PSI is read");
    assert!((before.2..=after.2).contains(&some.total_seconds), "{before:?} {some:?} {after:?}");
}
