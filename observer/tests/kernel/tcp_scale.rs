//! Many connections, and connections that come and go quickly: nothing is lost, and what a look costs.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use observer::{
    snapshot::{
        Snapshot,
        tcp::{ClosedTotals, Network, Share, TrafficTotals},
    },
    source::kernel::Kernel,
};

use crate::{
    support::{
        connections::{ANSWER, MOST, NETWORKS, REQUEST},
        needs_root,
        netns::Netns,
        observer::{load, missed, read},
        seen, skipped,
        wait::wait_for,
        workload::Workload,
    },
    vanish::resident_kb,
};

/// Connections that stay open, both ends of each on this host; and connections that come and go each second.
const FULL: (usize, usize) = (20_000, 2000);
/// The same on a machine of little memory or little speed.
const SMALL: (usize, usize) = (2000, 200);
/// Port of the first process's connections that stay; those that come and go have the next one.
const PORT: u16 = 5000;
/// How long they come and go.
const CHURN: Duration = Duration::from_secs(10);
/// Between two looks.
const TICK: Duration = Duration::from_secs(1);
/// Memory of the machine from which on all of it is made.
const ENOUGH_KB: u64 = 3 << 20;

/// CPU time in milliseconds.
fn cpu_ms(who: UsageWho) -> f64 {
    let used = getrusage(who).expect("getrusage");
    (used.user_time() + used.system_time()).num_microseconds() as f64 / 1e3
}

/// A look, and the CPU time that it took.
fn timed(kernel: &mut Kernel) -> (Snapshot, f64) {
    let begin = cpu_ms(UsageWho::RUSAGE_SELF);
    let snapshot = read(kernel);
    (snapshot, cpu_ms(UsageWho::RUSAGE_SELF) - begin)
}

/// CPU time of one run of `ss`; `None` if it is not there.
fn ss(netns: &Netns, options: &str) -> Option<f64> {
    let begin = cpu_ms(UsageWho::RUSAGE_CHILDREN);
    let run = || Command::new("ss").arg(options).stdout(Stdio::null()).stderr(Stdio::null()).status();
    netns.inside(run).ok().filter(std::process::ExitStatus::success)?;
    Some(cpu_ms(UsageWho::RUSAGE_CHILDREN) - begin)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn total(snapshot: &Snapshot) -> TrafficTotals {
    snapshot.tcp.traffic.as_ref().expect("traffic is added up").total
}

/// All connections that have closed, of every namespace.
fn closed(snapshot: &Snapshot) -> ClosedTotals {
    let closed = snapshot.tcp.closed.as_ref().expect("closed connections are counted");
    let all = closed.list.iter().map(|g| g.totals).chain([closed.other]);
    all.reduce(|a, b| ClosedTotals {
        connections: a.connections + b.connections,
        bytes_acked: a.bytes_acked + b.bytes_acked,
        bytes_received: a.bytes_received + b.bytes_received,
        ..a
    })
    .unwrap_or_default()
}

fn of<K: PartialEq>(shares: &[Share<K>], key: &K) -> TrafficTotals {
    shares.iter().find(|s| s.key == *key).map(|s| s.totals).unwrap_or_default()
}

/// Asserts that rows of each kind add up to no more than the total, and exactly to it where all have a row.
fn assert_sums(snapshot: &Snapshot) {
    let traffic = snapshot.tcp.traffic.as_ref().expect("traffic is added up");
    fn sum<K>(shares: &[Share<K>]) -> TrafficTotals {
        let mut sum = TrafficTotals::default();
        shares.iter().for_each(|s| sum.add(&s.totals));
        sum
    }
    let all = [
        ("processes", sum(&traffic.processes), traffic.processes.len()),
        ("cgroups", sum(&traffic.cgroups), traffic.cgroups.len()),
        ("networks", sum(&traffic.networks), traffic.networks.len()),
        ("services", sum(&traffic.services), traffic.services.len()),
        ("devices", sum(&traffic.devices), traffic.devices.len()),
    ];
    for (kind, sum, rows) in all {
        assert!(traffic.total.since(&sum).is_some(), "{kind}: {sum:?} of {:?}", traffic.total);
        assert!(
            rows > 0 && (rows == 100 || traffic.untold > 0 || sum == traffic.total),
            "{kind}: {rows} rows, {sum:?}"
        );
    }
}

#[test]
fn of_many_connections_none_is_lost() {
    needs_root!("of_many_connections_none_is_lost");
    let memory = std::fs::read_to_string("/proc/meminfo").expect("/proc is there");
    let memory = memory.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("MemTotal");
    let (open, rate) = if memory >= ENOUGH_KB { FULL } else { SMALL };
    let mut kernel = load();
    let netns = Netns::new();
    // As many processes as it takes, of which the first has those that come and go.
    let sizes = (0..open.div_ceil(MOST)).map(|n| MOST.min(open - n * MOST));
    let start = |(n, size): (usize, usize)| {
        let rate = if n == 0 { rate } else { 0 };
        let what = format!("connections {} {size} {rate} {}", PORT + 2 * n as u16, CHURN.as_millis());
        netns.inside(|| Workload::start(&what, None))
    };
    let mut holders: Vec<_> = sizes.enumerate().map(start).collect();
    let first = read(&mut kernel);

    holders.iter_mut().for_each(|h| assert_eq!(h.step(), "done"));
    let work = &mut holders[0];
    let opened = wait_for("all connections to be seen", || {
        let now = read(&mut kernel);
        (now.tcp.traffic.as_ref()?.followed >= 2 * open as u64).then_some(now)
    });
    assert_sums(&opened);
    let mut rivals = [Vec::new(), Vec::new()];
    let mut quiet = Vec::new();
    for _ in 0..3 {
        quiet.push(timed(&mut kernel).1);
        for (options, rival) in ["-tinm", "-tinmp"].into_iter().zip(&mut rivals) {
            rival.extend(ss(&netns, options));
        }
    }
    let (begun, early) = (Instant::now(), resident_kb());
    let (mut costs, mut last) = (Vec::new(), opened.clone());
    work.go();
    while begun.elapsed() < CHURN {
        let (now, cost) = timed(&mut kernel);
        costs.push(cost);
        assert!(total(&now).since(&total(&last)).is_some(), "a total has gone back");
        assert_sums(&now);
        last = now;
        std::thread::sleep((TICK * costs.len() as u32).saturating_sub(begun.elapsed()));
    }
    let said = work.said();
    let numbers: Vec<u64> = said.split(' ').filter_map(|n| n.parse().ok()).collect();
    let [made, ms] = numbers[..] else { panic!("{said}") };
    let grown = resident_kb().saturating_sub(early);
    let snmp = netns.snmp();
    let end = wait_for("the last ends to be told", || {
        let now = read(&mut kernel);
        let told = total(&now).ended - total(&first).ended;
        (told + missed(&now, "tcp_closed") >= 2 * made).then_some(now)
    });
    // Namespaces of others may have had their turn instead of this one.
    let mut end = end;
    for _ in 0..20 {
        if end.tcp.sockets.as_ref().is_some_and(|sockets| sockets.namespaces_waiting == 0) {
            break;
        }
        end = read(&mut kernel);
    }
    assert_sums(&end);
    let per_second = made as f64 * 1000.0 / ms as f64;
    seen!(
        "{open} connections open, {made} opened and closed in {ms} ms ({per_second:.0}/s); resident grew by {grown} kB"
    );
    let (look, busy, [plain, processes]) = (median(quiet), median(costs), rivals.map(median));
    seen!(
        "CPU time of a look at {} sockets: {look:.1} ms, under the churn {busy:.1} ms (all namespaces, processes, sums)",
        2 * open
    );
    seen!(
        "CPU time of ss -tinm: {plain:.1} ms, of ss -tinmp: {processes:.1} ms; a look is {:.2} and {:.2} of it",
        look / plain,
        look / processes
    );

    // The kernel's own counts, the load's, and observer's.
    let (open, missed) = (open as u64, missed(&end, "tcp_closed") - missed(&first, "tcp_closed"));
    assert_eq!(snmp["ActiveOpens"], open + made);
    assert_eq!(snmp["PassiveOpens"], open + made);
    assert_eq!(snmp["CurrEstab"], 2 * open);
    let counts = end.tcp.namespaces.as_ref().unwrap().iter().find(|n| n.netns == netns.inode()).unwrap();
    seen!("{counts:?}; {missed} ends missed inside of a probe");
    let traffic = end.tcp.traffic.as_ref().unwrap();
    seen!("{:?}, followed {}, untold {}", traffic.total, traffic.followed, traffic.untold);
    assert_eq!(traffic.not_followed, 0);
    let stay = 2 * (REQUEST + ANSWER) as u64;
    // Two ways to count what has closed, in two maps of the kernel side.
    let (ends, groups) =
        (total(&end).ended - total(&first).ended, closed(&end).connections - closed(&first).connections);
    assert_eq!(ends, groups);
    assert!(grown < 16 << 10, "resident memory grew by {grown} kB");
    let bytes = total(&end).bytes_received - total(&first).bytes_received;
    assert!(bytes + missed * stay >= (open + made) * stay / 2, "{bytes}");
    if traffic.untold > 0 {
        let slow =
            format!("this machine looked so seldom that {} ends were summed; the total is right", traffic.untold);
        return skipped("of_many_connections_none_is_lost", &slow);
    }
    // Of each connection that ended: what it carried, at both ends, and the FIN of each side, which counts as a byte. The SYN
    // counts as sent.
    let come_and_go = of_services(&end, &[PORT + 1]);
    assert!(come_and_go.ended <= 2 * made && come_and_go.ended + missed >= 2 * made, "{come_and_go:?}");
    assert!(come_and_go.began <= 2 * made && come_and_go.began + missed >= 2 * made, "{come_and_go:?}");
    let payload = made * stay / 2;
    let allowed = |bytes: u64, most: u64| bytes <= payload + most && bytes + missed * stay >= payload;
    assert!(allowed(come_and_go.bytes_received, 2 * made), "{come_and_go:?} of {payload}");
    assert!(allowed(come_and_go.bytes_acked, 4 * made), "{come_and_go:?} of {payload}");
    let stayed = of_services(&end, &(0..5).map(|n| PORT + 2 * n).collect::<Vec<_>>());
    assert_eq!(stayed.bytes_received, open * stay / 2 + (1 << 16));
    assert_eq!((stayed.began, stayed.ended), (2 * open, 0));
    // By network: the end that connected sees the one it went to, the end that accepted that of 127.0.0.1.
    for network in 1..=NETWORKS {
        let key = Network { address: [127, 2, network, 0].into(), prefix: 24 };
        let share = of(&traffic.networks, &key);
        let n = (made + u64::from(NETWORKS - network)) / u64::from(NETWORKS);
        assert!(share.ended <= n && share.ended + missed >= n, "{key}: {share:?}, {n}");
        let answers = n * ANSWER as u64;
        assert!((answers..=answers + n).contains(&(share.bytes_received + missed * ANSWER as u64)) || missed > 0);
    }
    let pids: Vec<u32> = holders.iter().map(Workload::pid).collect();
    let mut held = TrafficTotals::default();
    let rows = traffic.processes.iter().filter(|s| s.key.as_ref().is_some_and(|o| pids.contains(&o.pid)));
    rows.for_each(|s| held.add(&s.totals));
    seen!("known to be of the processes: {held:?}");
    assert!(held.bytes_received >= (payload + open * stay / 2) / 10 * 8, "{held:?}");
    if per_second < rate as f64 * 0.9 {
        let slow = format!("{rate} connections a second: this machine made {per_second:.0}; what was counted is right");
        skipped("of_many_connections_none_is_lost", &slow);
    }
    drop(holders);
}

/// Both ends of the connections to some ports.
fn of_services(snapshot: &Snapshot, ports: &[u16]) -> TrafficTotals {
    let mut sum = TrafficTotals::default();
    let services = &snapshot.tcp.traffic.as_ref().expect("traffic is added up").services;
    services.iter().filter(|s| ports.contains(&s.key.port)).for_each(|s| sum.add(&s.totals));
    sum
}
