//! Hosts that were never there, for the tests of every output: a busy one, the same with names chosen by an attacker, and one
//! of which nothing can be read.
//!
//! The unit tests of the crate and its integration tests include these files, so that all outputs show the same host.

mod coverage;
mod memory;
mod network;
mod oom;
mod reclaim;
mod tunnels;
mod users;

use observer::snapshot::{Host, Name, Snapshot, Stamp};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000_000_000;

/// Seconds after boot of the first snapshot.
const BEGIN: u64 = 10_000;

fn stamp(second: u64) -> Stamp {
    let ns = (BEGIN + second) * SECOND;
    // 2026-01-31 12:00:00 UTC.
    Stamp { monotonic_ns: ns, boottime_ns: ns, realtime_ns: (1_769_860_800 + second) * SECOND }
}

/// What others named on a host.
struct Names {
    processes: [Name; 4],
    /// The first is the root.
    cgroups: [Name; 4],
    /// Of the second and the third cgroup.
    pods: [Name; 2],
    link: Name,
}

impl Names {
    fn usual() -> Self {
        Self {
            processes: ["java", "stress-ng-vm", "nginx: worker", "kworker/u8:2"].map(Name::from),
            cgroups: [
                "/",
                "/kubepods.slice/kubepods-burstable.slice/pod4a6f/batch",
                "/kubepods.slice/kubepods-burstable.slice/pod77aa/web",
                "/system.slice/ssh.service",
            ]
            .map(Name::from),
            pods: ["batch-0", "web-7"].map(Name::from),
            link: "eth0".into(),
        }
    }

    /// Made to break screens, reports and formats.
    fn hostile() -> Self {
        Self {
            processes: [
                Name::from_bytes(b"\x1b[2J\x1b]0;owned\x07"),
                Name::from_bytes("漢字漢字漢字漢字漢字漢字".as_bytes()),
                Name::from_bytes(b"a\nb\r\n\xff\xfe\"'`$(reboot)"),
                Name::from_bytes("👩‍👩‍👧‍👦é\u{202e}evil".as_bytes()),
            ],
            cgroups: [
                Name::from("/"),
                Name::from_bytes(format!("/{}", "x".repeat(4000)).as_bytes()),
                Name::from_bytes("/コンテナ/\u{1b}[31mred/ﷺ/z̸̢a̵l̷g̶o̴".as_bytes()),
                Name::from_bytes(b"/\xf0\x28\x8c\x28/\t"),
            ],
            pods: [Name::from_bytes(b"\x1b[31m\"x'\n\xff"), Name::from_bytes("ﷺ".as_bytes())],
            link: Name::from_bytes("網路介面卡網路\u{7}".as_bytes()),
        }
    }
}

/// A host under memory pressure with lossy connections: so many snapshots, a second apart.
pub(crate) fn busy(count: u64) -> Vec<Snapshot> {
    let names = Names::usual();
    (0..count).map(|n| snapshot(n, &names)).collect()
}

/// The same host with names that were made to break outputs.
pub(crate) fn hostile(count: u64) -> Vec<Snapshot> {
    let names = Names::hostile();
    (0..count).map(|n| snapshot(n, &names)).collect()
}

/// A host of which nothing can be read: every probe and every file has its reason.
pub(crate) fn unreadable(count: u64) -> Vec<Snapshot> {
    let coverage = coverage::of_nothing();
    (0..count).map(|n| Snapshot { stamp: stamp(n), coverage: coverage.clone(), ..Snapshot::default() }).collect()
}

fn snapshot(n: u64, names: &Names) -> Snapshot {
    let host = Host {
        hostname: "db-17".into(),
        kernel_release: "6.12.38-amd64".into(),
        machine: "x86_64".into(),
        boot_id: "0f9e".into(),
        cpus: Some(8),
        page_size: Some(4096),
    };
    Snapshot {
        stamp: stamp(n),
        host,
        memory: memory::memory(n, names),
        pressure: Some(memory::pressure(n)),
        cgroups: Some(users::cgroups(n, names)),
        processes: Some(users::processes(n, names)),
        page_alloc: Some(users::page_alloc(n, names)),
        reclaim: Some(reclaim::reclaim(n, names)),
        kswapd: Some(reclaim::kswapd(n, names)),
        compaction: Some(reclaim::compaction(n)),
        extfrag: Some(reclaim::extfrag(n, names)),
        shrinkers: Some(reclaim::shrinkers(n)),
        retries: Some(reclaim::retries(n, names)),
        oom: Some(reclaim::oom(n, names)),
        oom_watch: Some(oom::watch(n, names)),
        cpus: Some(network::cpus(n)),
        drops: Some(network::drops(n)),
        buffers: Some(network::buffers(n)),
        tcp: network::tcp(n),
        links: Some(network::links(n, names)),
        network: Some(tunnels::network(n, names)),
        encapsulation: Some(tunnels::encapsulation(n)),
        coverage: coverage::of_much(),
    }
}
