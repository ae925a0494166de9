//! What observer leaves behind, and what it says of itself.

use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use observer::{
    snapshot::coverage::ProbeState,
    source::{
        Collector, Options,
        kernel::probes::{Attach, PROBES},
    },
};

use crate::support::{
    bpf::{self, Kind},
    cgroup::Cgroup,
    needs_root,
    observer::{events, load, of_process, read},
    perf::Counter,
    seen,
    wait::wait_for,
    workload::Workload,
};

/// The binary under test: where the test runs on another machine than it was built on, `OBSERVER_BIN` says where it is.
pub(crate) fn binary() -> std::ffi::OsString {
    std::env::var_os("OBSERVER_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_observer").into())
}

fn start(args: &[&str]) -> Child {
    Command::new(binary()).args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("observer starts")
}

/// Waits until a process has everything attached, and gives what it holds in the kernel.
fn attached(child: &mut Child) -> BTreeSet<(Kind, u32)> {
    let links = PROBES.iter().filter(|p| !matches!(p.attach, Attach::RunOnCpu(_))).count();
    wait_for("observer to attach its programs", || {
        assert_eq!(child.try_wait().expect("our child"), None, "observer has ended");
        let held = bpf::held_by(child.id());
        (held.iter().filter(|(kind, _)| *kind == Kind::Link).count() >= links).then_some(held)
    })
}

/// Ends observer in some way, and asserts that nothing of it stays in the kernel.
fn assert_clean_after(args: &[&str], end: impl FnOnce(&mut Child)) {
    let mut child = start(args);
    let held = attached(&mut child);
    let of = |wanted| held.iter().filter(|(kind, _)| *kind == wanted).count();
    seen!("{args:?}: {} programs, {} maps, {} links", of(Kind::Program), of(Kind::Map), of(Kind::Link));
    assert!(of(Kind::Program) > 0 && of(Kind::Map) > 0 && of(Kind::Link) > 0, "{held:?}");
    assert!(bpf::all().is_superset(&held), "what a process holds is what the kernel lists");
    end(&mut child);
    child.wait().expect("our child");
    // The kernel frees after a grace period.
    wait_for("the kernel to free what observer had", || bpf::all().is_disjoint(&held).then_some(()));
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("observer is there");
}

#[test]
fn nothing_stays_in_the_kernel_after_any_end() {
    needs_root!("nothing_stays_in_the_kernel_after_any_end");
    assert_clean_after(&["report", "--for", "2s"], |child| {
        assert!(child.wait().expect("our child").success());
    });
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        assert_clean_after(&["report", "--for", "5m"], |child| send(child, signal));
    }
}

#[test]
fn dropping_the_kernel_side_detaches_it() {
    needs_root!("dropping_the_kernel_side_detaches_it");
    let mut kernel = load();
    read(&mut kernel);
    let held = bpf::held_by(std::process::id());
    assert!(held.iter().any(|(kind, _)| *kind == Kind::Link), "{held:?}");
    drop(kernel);
    // Other tests of this binary may run beside this one and hold theirs.
    wait_for("what was dropped to go", || {
        let left: BTreeSet<_> = bpf::all().intersection(&held).copied().collect();
        left.is_subset(&bpf::held_by(std::process::id())).then_some(())
    });
}

#[test]
fn two_observers_count_the_same() {
    needs_root!("two_observers_count_the_same");
    const FAULTS: u64 = 50_000;
    let cgroup = Cgroup::new("two");
    let (mut first, mut second) = (load(), load());
    let mut work = Workload::start(&format!("fault {FAULTS}"), Some(&cgroup));
    let (pid, id) = (work.pid(), cgroup.id());
    let perf = Counter::of_process(pid, "kmem:mm_page_alloc", None);
    let before = (read(&mut first), read(&mut second));
    assert_eq!(work.step(), "done");
    let after = (read(&mut first), read(&mut second));
    let count = |now, before| events(&of_process(now, pid, id), &of_process(before, pid, id));
    let counted = (count(&after.0, &before.0), count(&after.1, &before.1));
    seen!("{counted:?}, perf {}", perf.read());
    assert_eq!(counted, (perf.read(), perf.read()));
    // The second one goes, the first one counts on.
    drop(second);
    work.finish();
    let mut more = Workload::start(&format!("fault {FAULTS}"), Some(&cgroup));
    let begin = read(&mut first);
    assert_eq!(more.step(), "done");
    let end = read(&mut first);
    let counted = events(&of_process(&end, more.pid(), id), &of_process(&begin, more.pid(), id));
    assert!((FAULTS..=FAULTS + FAULTS / 50).contains(&counted), "{counted}");
    more.finish();
}

#[test]
fn coverage_lists_every_probe_and_a_quiet_run_loses_nothing() {
    needs_root!("coverage_lists_every_probe_and_a_quiet_run_loses_nothing");
    // A busy machine may lose an event to recursion, which it then says; one run in ten at least is quiet.
    let quiet = (0..10).any(|_| {
        let mut collector = Collector::new(Options::default());
        collector.snapshot();
        let coverage = collector.snapshot().coverage;
        // Those of tunnels come while the host has a tunnel, which other programs may make.
        let (of_tunnels, always): (Vec<_>, Vec<_>) =
            coverage.probes.iter().partition(|p| p.feeds.starts_with("encapsulation"));
        assert!(of_tunnels.iter().all(|p| !PROBES.iter().any(|of_all| of_all.name == p.name)), "{of_tunnels:?}");
        let names: Vec<_> = always.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, PROBES.iter().map(|p| p.name).collect::<Vec<_>>());
        for probe in always {
            assert!(matches!(probe.state, ProbeState::Attached), "{probe:?}");
            assert!(!probe.attach.is_empty() && !probe.feeds.is_empty());
        }
        assert!(coverage.losses.len() >= PROBES.len(), "a loss of 0 is listed too: {:?}", coverage.losses);
        let lost: Vec<_> = coverage.losses.iter().filter(|l| l.count > 0).collect();
        if !lost.is_empty() {
            seen!("{lost:?}");
        }
        lost.is_empty()
    });
    assert!(quiet, "every run lost something");
}
