//! Guests, and which tests run in each.

use crate::vm::Series;
use std::time::Duration;

/// Longest time for all tests in one guest. Emulation is five to ten times slower than the machine.
pub(super) const GUEST_TIME: Duration = Duration::from_secs(1800);

/// Longest time for one test without a sign: four times what the slowest takes in a guest.
pub(super) const TEST_TIME: Duration = Duration::from_secs(700);

/// Longest silence of a guest: longer than a test may take, so that it can still say where it is.
pub(super) const SILENCE: Duration = Duration::from_secs(800);

/// The slow disk: its size, bytes a second that it takes, and what it is called in the guest. Tests write to it only when
/// they are told its name.
pub(super) const SLOW_DISK: (&str, u64, &str) = ("512M", 4 << 20, "OBSERVER_TEST_SLOW_DISK=/dev/vda");

/// Mounts the memory controller as version 1 and nothing else, then becomes the program that follows. Nobody has made a
/// cgroup yet, so the kernel lets the controller go.
pub(super) const V1_ALONE: &str = "umount /sys/fs/cgroup && mount -t tmpfs cgroup /sys/fs/cgroup && \
     mkdir /sys/fs/cgroup/memory && mount -t cgroup -o memory memory /sys/fs/cgroup/memory && exec \"$@\"";

/// A guest and the tests that are run in it.
pub(super) struct Room {
    pub(super) name: &'static str,
    pub(super) series: Series,
    pub(super) memory: &'static str,
    pub(super) numa: u32,
    /// True if its CPUs are emulated in turns: tests that switch tracepoints on and off all the time would kill it otherwise.
    pub(super) one_thread: bool,
    /// True if it has a disk that takes little in a second.
    pub(super) slow_disk: bool,
    /// True if the memory controller is moved to a hierarchy of version 1, and version 2 is not mounted.
    pub(super) v1_alone: bool,
    /// True if its tests start observer itself; a small guest has no room for two large programs.
    pub(super) with_observer: bool,
    /// True if programs go there without symbols as well as without debug information: a small guest has no room for them.
    pub(super) stripped: bool,
    /// True if its tests leave recordings.
    pub(super) records: bool,
    /// Which tests: words that their names have; none for all.
    tests: &'static [&'static str],
    /// Words that the names of tests have that are left out.
    without: &'static [&'static [&'static str]],
}

impl Room {
    /// Which tests, as arguments of the test program.
    pub(super) fn chosen(&self) -> Vec<&'static str> {
        let without = self.without.iter().flat_map(|words| words.iter()).flat_map(|word| ["--skip", word]);
        self.tests.iter().copied().chain(without).collect()
    }
}

/// Tests that need little memory.
const PRESSURE: &[&str] = &["pressure::"];
/// Tests of the network: half of all, which have guests of their own, so that no guest takes too long.
const NETWORK: &[&str] = &[
    "drops::",
    "encapsulation::",
    "first_byte::",
    "flows::",
    "listeners::",
    "netns_totals::",
    "sock_diag::",
    "tcp_",
    "tunnel_sources::",
    "tunnels::",
];

/// Every guest. Memory pressure is made in a small one, where it comes soon, with two nodes to be out of balance.
pub(super) const ROOMS: &[Room] = &[
    Room {
        name: "kernel 6.1",
        series: Series::V6_1,
        memory: "1G",
        numa: 1,
        one_thread: true,
        slow_disk: false,
        v1_alone: false,
        with_observer: true,
        stripped: false,
        records: false,
        tests: &[],
        without: &[PRESSURE, NETWORK],
    },
    Room {
        name: "kernel 6.12",
        series: Series::V6_12,
        memory: "1G",
        numa: 1,
        one_thread: true,
        slow_disk: false,
        v1_alone: false,
        with_observer: true,
        stripped: false,
        records: false,
        tests: &[],
        without: &[PRESSURE, NETWORK],
    },
    Room {
        name: "network 6.1",
        series: Series::V6_1,
        memory: "1G",
        numa: 1,
        one_thread: true,
        slow_disk: false,
        v1_alone: false,
        with_observer: true,
        stripped: false,
        records: false,
        tests: NETWORK,
        without: &[],
    },
    Room {
        name: "network 6.12",
        series: Series::V6_12,
        memory: "1G",
        numa: 1,
        one_thread: true,
        slow_disk: false,
        v1_alone: false,
        with_observer: true,
        stripped: false,
        records: false,
        tests: NETWORK,
        without: &[],
    },
    Room {
        name: "cgroup v1 alone 6.1",
        series: Series::V6_1,
        memory: "1G",
        numa: 1,
        one_thread: true,
        slow_disk: false,
        v1_alone: true,
        with_observer: false,
        stripped: false,
        records: false,
        tests: &["hierarchy::", "cgroups_scale::two_thousand", "reclaim::", "oom::"],
        without: &[],
    },
    Room {
        name: "pressure 6.12",
        series: Series::V6_12,
        memory: "512M",
        numa: 2,
        one_thread: false,
        slow_disk: true,
        v1_alone: false,
        with_observer: false,
        stripped: false,
        records: true,
        tests: &["pressure::", "oom_reports::nodes::"],
        without: &[],
    },
    Room {
        name: "out of memory 6.12",
        series: Series::V6_12,
        memory: "512M",
        numa: 1,
        one_thread: false,
        slow_disk: false,
        v1_alone: false,
        with_observer: true,
        stripped: true,
        records: false,
        tests: &["oom_records::global"],
        without: &[],
    },
];
