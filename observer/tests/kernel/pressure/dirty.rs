//! A writer that is faster than its device. The thresholds are the host's: only in a guest are they lowered.

use std::fs;

use super::{Watch, evidence};
use crate::{
    kswapd::{SMALL, total_memory},
    support::{cgroup::Cgroup, file::BigFile, needs_root, skipped, workload::Workload},
};

const DIRTY: &str = "/proc/sys/vm/dirty_bytes";
const BACKGROUND: &str = "/proc/sys/vm/dirty_background_bytes";
const MIB: u64 = 1 << 20;

/// Low thresholds. Dropping it brings back the shares of memory that were there.
struct LowThresholds {
    ratios: [(&'static str, String); 2],
}

impl LowThresholds {
    fn set() -> Self {
        let ratios = ["/proc/sys/vm/dirty_background_ratio", "/proc/sys/vm/dirty_ratio"]
            .map(|path| (path, fs::read_to_string(path).expect("the kernel has it")));
        for (path, bytes) in [(BACKGROUND, 8 * MIB), (DIRTY, 16 * MIB)] {
            fs::write(path, bytes.to_string()).expect("root may set it");
        }
        Self { ratios }
    }
}

impl Drop for LowThresholds {
    fn drop(&mut self) {
        for (path, ratio) in &self.ratios {
            let _ = fs::write(path, ratio.trim());
        }
    }
}

/// A process that writes without a pause.
pub(crate) struct Writer {
    _writer: Workload,
    pub(crate) cgroup: Cgroup,
    _file: BigFile,
    _thresholds: LowThresholds,
}

impl Writer {
    /// `None`, with the reason said, on a machine that others use.
    pub(crate) fn start(test: &str) -> Option<Self> {
        if total_memory() > SMALL {
            skipped(
                test,
                "it lowers vm.dirty_bytes, which is done only where memory is at most 4 GiB, as in the VM lane",
            );
            return None;
        }
        let (thresholds, cgroup, file) = (LowThresholds::set(), Cgroup::new("writer"), BigFile::new(128 * MIB));
        let mut writer = Workload::start(&format!("scribble {} 128", file.path().display()), Some(&cgroup));
        writer.go();
        Some(Self { _writer: writer, cgroup, _file: file, _thresholds: thresholds })
    }
}

#[test]
fn a_writer_that_waits_for_writeback_is_named() {
    needs_root!("a_writer_that_waits_for_writeback_is_named");
    let mut watch = Watch::start();
    let Some(scene) = Writer::start("a_writer_that_waits_for_writeback_is_named") else { return };
    let name = scene.cgroup.name();
    let finding = watch.until("dirty_throttling", |f| f.verdict.contains(&name));
    assert_eq!(evidence(&finding, "writers wait from"), "12 MiB and 8 MiB", "the middle of 8 and 16 MiB");
    // The kernel's own count, read around a snapshot.
    let dirtied = || -> u64 {
        let text = fs::read_to_string("/proc/vmstat").expect("/proc is there");
        let line = text.lines().find_map(|l| l.strip_prefix("nr_dirtied ")).expect("the kernel has the line");
        line.parse::<u64>().expect("a number") * crate::support::memory::page_size() as u64
    };
    let before = dirtied();
    watch.tick();
    let read = watch.snapshot().memory.vmstat.as_ref().and_then(|v| v.nr_dirtied_bytes).expect("vmstat is read");
    assert!((before..=dirtied()).contains(&read), "{read}");
}
