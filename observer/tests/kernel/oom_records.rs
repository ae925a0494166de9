//! Kills as observer stores them: a storm of them, and one of the whole machine with observer inside.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use observer::{
    diagnose::oom::explain,
    snapshot::oom_watch::OomCounts,
    source::{
        Collector, Options,
        oom_record::{Stored, list, read},
    },
};

use crate::{
    lifecycle::binary,
    support::{cgroup::Cgroup, needs_root, seen, skipped, wait::wait_for, workload::Workload},
};

/// observer, ended with the test.
struct Observer(Child);

impl Observer {
    fn start(args: &[&str]) -> Self {
        let child = Command::new(binary()).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Self(child.expect("observer starts"))
    }

    fn output(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().expect("stdout is a pipe"))
    }

    /// A number of its /proc/PID/status, in bytes where it has a unit.
    fn status(&self, key: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("observer lives");
        let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).expect("the line is there");
        let mut words = line.split_whitespace();
        let number: u64 = words.next().and_then(|n| n.parse().ok()).expect("a number");
        if words.next() == Some("kB") { number * 1024 } else { number }
    }

    fn end(mut self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM).expect("observer is there");
        assert!(self.0.wait().expect("our child").success(), "it ends in order");
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // It may have ended in order.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All records of a folder that are complete.
fn complete(folder: &Path) -> Vec<Stored> {
    let all = list(folder).unwrap_or_default();
    all.iter().filter_map(|path| read(path).ok()).filter(|stored| stored.complete).collect()
}

/// Asserts that the sources agree. Of the cgroups, those that were gone before they were read are known by their events.
fn assert_agree(counts: &OomCounts) {
    let all = counts.vmstat.expect("the host counts kills");
    let cgroups = counts.cgroups.expect("cgroups count kills");
    let probe = counts.probe.expect("the probe counts kills");
    assert_eq!((probe.marked, probe.events_lost), (all, 0), "{counts:?}");
    assert!((cgroups.living + cgroups.removed..=cgroups.total()).contains(&all), "{counts:?}");
    let log = counts.log.expect("the log is read");
    assert_eq!((log.killed, log.records_lost), (all, 0), "{counts:?}");
}

#[test]
fn a_storm_of_500_kills_is_stored_whole_and_all_sources_agree() {
    const CGROUPS: usize = 10;
    const LIMIT: u64 = 16 << 20;
    needs_root!("a_storm_of_500_kills_is_stored_whole_and_all_sources_agree");
    // Guests without their own processor take minutes for what takes seconds here.
    let rounds = if std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_some() { 10 } else { 50 };
    let folder = tempfile::tempdir().expect("a folder");
    let records = folder.path().join("records");
    let path = records.to_str().expect("a plain path");
    let mut observer =
        Observer::start(&["oom", "watch", "--json", "--interval", "1s", "--oom-keep", "10000", "--oom-dir", path]);
    let output = observer.output();
    let told = std::thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<_>>());
    // It watches when it has rehearsed in the folder and locked its memory; the first kill shows that it sees.
    let cgroups: Vec<Cgroup> = (0..CGROUPS).map(|_| Cgroup::limited("storm", LIMIT)).collect();
    let mut pids = BTreeSet::new();
    let mut hog = |cgroup: &Cgroup| {
        let work = Workload::start(&format!("hold {} obs-storm", 2 * LIMIT), Some(cgroup));
        pids.insert(work.pid());
        work
    };
    wait_for("observer to store a kill", || {
        let mut first = hog(&cgroups[0]);
        first.go();
        assert_eq!(first.killed_by(), Some(libc::SIGKILL));
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        while Instant::now() < deadline {
            if !list(&records).unwrap_or_default().is_empty() {
                return Some(());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        None
    });
    let mut collector = Collector::new(Options { watch_oom: true, ..Options::default() });
    wait_for("a moment without a kill", || collector.snapshot().oom_watch);
    let before_storm = pids.clone();
    let mut hog = |cgroup: &Cgroup| {
        let work = Workload::start(&format!("hold {} obs-storm", 2 * LIMIT), Some(cgroup));
        pids.insert(work.pid());
        work
    };
    let begun = Instant::now();
    for _ in 0..rounds {
        let mut round: Vec<Workload> = cgroups.iter().map(&mut hog).collect();
        round.iter_mut().for_each(Workload::go);
        round.into_iter().for_each(|work| assert_eq!(work.killed_by(), Some(libc::SIGKILL)));
        collector.snapshot();
        collector.events();
    }
    let took = begun.elapsed();
    let of_storm: BTreeSet<u32> = pids.difference(&before_storm).copied().collect();
    assert_eq!(of_storm.len(), CGROUPS * rounds);

    let counts = wait_for("all counts to settle", || {
        collector.events();
        let counts = collector.snapshot().oom_watch?.counts;
        counts.settled.then_some(counts)
    });
    seen!("{} kills in {took:?}; {counts:?}", of_storm.len());
    assert!(counts.vmstat >= Some(of_storm.len() as u64), "{counts:?}");
    assert_agree(&counts);

    let stored = wait_for("every record to be complete", || {
        let stored = complete(&records);
        let there: BTreeSet<u32> = stored.iter().filter_map(|s| s.record.victim_pid()).collect();
        there.is_superset(&of_storm).then_some(stored)
    });
    let names: BTreeSet<String> = cgroups.iter().map(Cgroup::name).collect();
    let ours = |path: Option<&observer::snapshot::Name>| path.is_some_and(|p| names.contains(p.as_str()));
    let mut victims = BTreeSet::new();
    for record in stored.iter().map(|s| &s.record) {
        let event = record.event.as_ref().expect("the probe told of it");
        if ours(event.trigger.cgroup_path.as_ref()) || ours(event.victim.cgroup_path.as_ref()) {
            assert!(ours(event.victim.cgroup_path.as_ref()), "nobody else dies for them: {event:?}");
            let pid = event.victim.pid.expect("the victim has a process id");
            assert!(victims.insert(pid), "one record each: {event:?}");
            let report = record.report.get().expect("the kernel's report is there");
            assert_eq!((report.victim_pid(), report.unread.len()), (Some(pid), 0), "{report:?}");
            // The first kills may have come before there was a moment without one, from which on all is counted.
            assert!(record.after.is_some() || !of_storm.contains(&pid), "{record:?}");
        }
    }
    // The first kills may have come before observer watched.
    assert!(victims.is_superset(&of_storm) && victims.is_subset(&pids), "exactly those that were meant: {victims:?}");
    seen!(
        "{} records; RSS {} MiB, locked {} MiB",
        stored.len(),
        observer.status("VmRSS") >> 20,
        observer.status("VmLck") >> 20
    );
    observer.end();
    let lines = told.join().expect("the reader");
    let mut pids_told = BTreeSet::new();
    for line in &lines {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        pids_told.extend(value["event"]["victim"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()));
    }
    assert!(pids_told.is_superset(&of_storm), "{} of {}", pids_told.len(), of_storm.len());
}

/// RAM of this machine in bytes.
fn ram() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").expect("meminfo");
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:")).expect("MemTotal");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn get(at: &str) -> String {
    let mut stream = TcpStream::connect(at).expect("observer listens");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("observer reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("observer answers");
    text
}

#[test]
fn global_oom_leaves_observer_alive_with_its_record_complete() {
    const NAME: &str = "global_oom_leaves_observer_alive_with_its_record_complete";
    needs_root!("global_oom_leaves_observer_alive_with_its_record_complete");
    if std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_none() || ram() > 600 << 20 {
        return skipped(NAME, "only in a guest of 512 MiB made for it");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a plain path");
    let mut observer = Observer::start(&["serve", "--listen", "127.0.0.1:0", "--interval", "1s", "--oom-dir", path]);
    let mut output = observer.output();
    let mut line = String::new();
    output.read_line(&mut line).expect("observer says where it listens");
    let at = line.trim().strip_prefix("observer: metrics at http://").and_then(|l| l.strip_suffix("/metrics"));
    let at = at.unwrap_or_else(|| panic!("{line:?}")).to_owned();
    wait_for("the first snapshots", || get(&at).contains("observer_memory").then_some(()));
    assert_eq!(
        fs::read_to_string(format!("/proc/{}/oom_score_adj", observer.0.id())).expect("it lives").trim(),
        "-999"
    );
    let (resident, locked) = (observer.status("VmRSS"), observer.status("VmLck"));
    seen!("before: RSS {} MiB, locked {} MiB of {} MiB RAM", resident >> 20, locked >> 20, ram() >> 20);
    assert!(locked > 0);
    // Enough time for two snapshots at a pace of 2 s, seen in the folder's first record below.
    let kept = Instant::now();
    wait_for("snapshots to be kept", || (kept.elapsed() > std::time::Duration::from_secs(5)).then_some(()));

    // The test is not to be chosen in the hog's place; observer was started before, and sees to itself.
    fs::write("/proc/self/oom_score_adj", "-1000").expect("oom_score_adj");
    let mut hog = Workload::start(&format!("hold {} obs-hog 0", 2 * ram()), None);
    let pid = hog.pid();
    hog.go();
    assert_eq!(hog.killed_by(), Some(libc::SIGKILL));
    assert_eq!(observer.0.try_wait().expect("our child"), None, "observer lives");

    let stored = wait_for("the record to be complete", || {
        complete(folder.path()).into_iter().find(|s| s.record.victim_pid() == Some(pid))
    });
    let event = stored.record.event.as_ref().expect("the probe told of it");
    assert_eq!(event.victim.comm.as_ref().map(|c| c.as_str()), Some("obs-hog"));
    let retry = event.last_retry.as_ref().expect("the allocator thinks of another round before it kills");
    let stack: Vec<&str> = event.stack.iter().flatten().map(|f| f.function.as_str()).collect();
    seen!("{retry:?}; {stack:?}");
    assert!(stack.contains(&"out_of_memory"), "{stack:?}");
    let report = stored.record.report.get().expect("the kernel's report is there");
    assert_eq!((report.cut, report.unread.as_slice()), (None, &[][..]));
    let explanation = explain(report);
    assert!(explanation.headline.contains("obs-hog"), "{}", explanation.headline);
    assert!(!explanation.limit.is_of_cgroup(), "{:?}", explanation.limit);
    assert!(stored.snapshots.len() >= 2 && stored.record.after.is_some(), "{} snapshots", stored.snapshots.len());
    assert_agree(stored.record.after.as_ref().expect("counts after"));
    let after = observer.status("VmRSS");
    seen!("{}; {} snapshots before; RSS after {} MiB", explanation.headline, stored.snapshots.len(), after >> 20);
    assert!(get(&at).contains("observer_memory"), "it still answers");
    observer.end();
}
