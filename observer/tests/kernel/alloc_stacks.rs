//! Sampled stacks of allocations, against what is known of the workload and what perf counts.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
};

use observer::{
    object::OBJECT,
    profile::{Profile, Stack, Trace},
    source::{
        kernel::alloc_stacks::{Filter, Sampler, kernel_btf},
        profile::{Profiler, Request},
    },
};

use crate::{
    lifecycle::binary,
    support::{bpf, cgroup::Cgroup, needs_root, perf::Counter, seen, wait::wait_for, workload::Workload},
};

const ALLOC: &str = "kmem:mm_page_alloc";

fn of(pids: &[u32]) -> Request {
    Request { pids: pids.to_vec(), every: 1, ..Request::default() }
}

fn names<'a>(profile: &'a Profile, trace: &'a Trace) -> Vec<&'a str> {
    let frames = trace.frames.iter().map(|i| &profile.frames[*i]);
    frames.filter_map(|f| Some(f.function.as_ref()?.as_str())).collect()
}

/// Rows whose user side runs through a function.
fn through<'a>(profile: &'a Profile, function: &str) -> Vec<&'a Stack> {
    let runs = |s: &&Stack| names(profile, &s.user).iter().any(|n| n.contains(function));
    profile.stacks.iter().filter(runs).collect()
}

fn samples<'a>(rows: impl IntoIterator<Item = &'a Stack>) -> u64 {
    rows.into_iter().map(|s| s.samples).sum()
}

#[test]
fn a_fault_is_seen_from_the_function_that_made_it_to_the_one_that_took_the_page() {
    needs_root!("a_fault_is_seen_from_the_function_that_made_it_to_the_one_that_took_the_page");
    const FAULTS: u64 = 20_000;
    let mut work = Workload::start(&format!("fault {FAULTS}"), None);
    let mut other = Workload::start(&format!("fault {FAULTS}"), None);
    let perf = Counter::of_process(work.pid(), ALLOC, None);
    let mut profiler = Profiler::start(OBJECT, &of(&[work.pid()])).unwrap();
    assert_eq!(work.step(), "done");
    assert_eq!(other.step(), "done");
    profiler.look().unwrap();
    let counted = perf.read();
    let profile = profiler.finish(None).unwrap();

    let matched = profile.matched.allocations;
    let missed = profile.lost.recursion_misses.unwrap_or(0);
    seen!("perf {counted}, matched {matched}, missed {missed}, rows {}", profile.stacks.len());
    assert!(matched <= counted + 50 && matched + missed >= counted, "matched {matched}, perf {counted}");
    assert!(profile.stacks.iter().all(|s| s.pid == work.pid()), "another process is in the profile");
    assert_eq!(profile.matched.samples, matched + profile.matched.failures, "every one is sampled");
    assert_eq!(samples(&profile.stacks) + profile.lost.counts_full, profile.matched.samples);

    // The access itself is the innermost frame, whether or not frame pointers lead farther.
    let rows = through(&profile, "touch");
    let rows: Vec<_> = if rows.is_empty() { through(&profile, "fault") } else { rows };
    let faults = samples(rows.iter().copied());
    assert!(faults >= FAULTS * 99 / 100, "{faults} of {FAULTS}: {:?}", profile.frames);
    let kernel = names(&profile, &rows[0].kernel);
    seen!("kernel {kernel:?}, user {:?}", names(&profile, &rows[0].user));
    assert!(kernel.iter().any(|n| n.contains("anon") || n.contains("handle_mm_fault")), "{kernel:?}");
    assert!(!kernel.iter().any(|n| n.starts_with("bpf_")), "the probe is no part of it: {kernel:?}");
    assert_eq!(rows[0].comm.as_str(), "obs-fault");
    let module = profile.frames[rows[0].user.frames[0]].module.as_ref().unwrap().as_str();
    assert!(module.contains("kernel"), "the test binary: {module}");
    work.finish();
    other.finish();
}

#[test]
fn one_in_n_estimates_what_perf_counts() {
    needs_root!("one_in_n_estimates_what_perf_counts");
    const FAULTS: u64 = 100_000;
    let mut work = Workload::start(&format!("fault {FAULTS}"), None);
    let perf = Counter::of_process(work.pid(), ALLOC, None);
    let request = Request { every: 20, ..of(&[work.pid()]) };
    let profiler = Profiler::start(OBJECT, &request).unwrap();
    assert_eq!(work.step(), "done");
    let counted = perf.read();
    let profile = profiler.finish(None).unwrap();
    let bytes: f64 = profile.stacks.iter().map(|s| profile.bytes(s)).sum();
    let pages = bytes / profile.page_size as f64;
    let error = (pages - counted as f64).abs() / counted as f64;
    seen!(
        "perf {counted} requests, estimate {pages:.0} pages of {} samples: {:.1} % off",
        profile.matched.samples,
        error * 100.0
    );
    // 5,000 samples: one standard deviation is 1.4 %. Requests of a higher order are few.
    assert!(error < 0.1, "estimate {pages}, perf {counted}");
    assert!((3000..8000).contains(&profile.matched.samples), "{:?}", profile.matched);
    work.finish();
}

#[test]
fn a_cgroup_stands_for_its_members_and_for_nobody_else() {
    needs_root!("a_cgroup_stands_for_its_members_and_for_nobody_else");
    let (chosen, other) = (Cgroup::new("stacks"), Cgroup::new("other"));
    // As reports show it, and as its folder.
    for path in [PathBuf::from(chosen.name()), chosen.path().to_owned()] {
        let mut inside = Workload::start("fault 2000", Some(&chosen));
        let mut outside = Workload::start("fault 2000", Some(&other));
        let request = Request { cgroup: Some(path), every: 1, ..Request::default() };
        let profiler = Profiler::start(OBJECT, &request).unwrap();
        assert_eq!((inside.step(), outside.step()), ("done".to_owned(), "done".to_owned()));
        let profile = profiler.finish(None).unwrap();
        assert!(samples(&profile.stacks) >= 2000, "{}", samples(&profile.stacks));
        for stack in &profile.stacks {
            assert_eq!((stack.cgroup, stack.pid), (Some(chosen.id()), inside.pid()), "{stack:?}");
            assert_eq!(stack.cgroup_path.as_ref().unwrap().as_str(), chosen.name());
        }
        inside.finish();
        outside.finish();
    }
    let gone = Request { cgroup: Some(PathBuf::from("/observer-test-none")), every: 1, ..Request::default() };
    let error = Profiler::start(OBJECT, &gone).unwrap_err().to_string();
    assert!(error.contains("/observer-test-none") && error.contains("observer report memory"), "{error}");
}

#[test]
fn a_cgroup_made_meanwhile_below_the_chosen_one_is_followed() {
    needs_root!("a_cgroup_made_meanwhile_below_the_chosen_one_is_followed");
    let parent = Cgroup::new("stacks-parent");
    let request = Request { cgroup: Some(PathBuf::from(parent.name())), every: 1, ..Request::default() };
    let mut profiler = Profiler::start(OBJECT, &request).unwrap();
    let child = parent.path().join("child");
    std::fs::create_dir(&child).expect("a cgroup below");
    profiler.look().unwrap();
    let mut work = Workload::start("fault 2000", None);
    std::fs::write(child.join("cgroup.procs"), work.pid().to_string()).expect("the cgroup takes it");
    assert_eq!(work.step(), "done");
    let profile = profiler.finish(None).unwrap();
    let pid = work.pid();
    let seen = samples(profile.stacks.iter().filter(|s| s.pid == pid));
    work.finish();
    wait_for("the cgroup to be empty", || std::fs::remove_dir(&child).ok());
    assert!(seen >= 2000, "{seen}");
}

#[test]
fn an_order_leaves_out_all_others() {
    needs_root!("an_order_leaves_out_all_others");
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let tid = nix::unistd::gettid().as_raw().cast_unsigned();
    for (orders, filter) in [((1, None), "order > 0"), ((3, Some(3)), "order == 3"), ((0, Some(0)), "order == 0")] {
        let counter = Counter::of_process(tid, ALLOC, Some(filter));
        let request = Request { orders, ..of(&[std::process::id()]) };
        let profiler = Profiler::start(OBJECT, &request).unwrap();
        let before = counter.read();
        // The kernel takes such a message in pieces of 2^3 pages.
        for _ in 0..100 {
            ours.write_all(&[7; 60_000]).unwrap();
            theirs.read_exact(&mut [0; 60_000]).unwrap();
        }
        let counted = counter.read() - before;
        let profile = profiler.finish(None).unwrap();
        seen!("{filter}: perf {counted} in this thread, observer {:?}", profile.matched);
        let (least, most) = (orders.0, orders.1.unwrap_or(u32::MAX));
        assert!(profile.stacks.iter().all(|s| (least..=most).contains(&s.order)), "{filter}: {:?}", profile.stacks);
        // Other tests run in this process too.
        assert!(profile.matched.allocations >= counted, "{filter}: perf {counted}, {:?}", profile.matched);
        if least > 0 {
            assert!(counted > 0, "{filter}: the socket asks for such pages");
            let sends = |s: &&Stack| names(&profile, &s.kernel).contains(&"unix_stream_sendmsg");
            let of_socket = samples(profile.stacks.iter().filter(sends));
            assert!(of_socket * 10 >= counted * 9, "{filter}: {of_socket} of {counted}");
        }
    }
}

#[test]
fn a_process_that_ended_is_in_the_profile_with_the_reason() {
    needs_root!("a_process_that_ended_is_in_the_profile_with_the_reason");
    let cgroup = Cgroup::new("ended");
    let request = Request { cgroup: Some(PathBuf::from(cgroup.name())), every: 1, ..Request::default() };
    let mut work = Workload::start("churn 4 500", Some(&cgroup));
    let pid = work.pid();
    let profiler = Profiler::start(OBJECT, &request).unwrap();
    assert_eq!(work.step(), "done");
    // Nobody looked while the children lived.
    let profile = profiler.finish(None).unwrap();
    let ended: Vec<_> = profile.stacks.iter().filter(|s| s.pid != pid && !s.user.frames.is_empty()).collect();
    assert!(samples(ended.iter().copied()) >= 2000, "{}", samples(ended.iter().copied()));
    for stack in ended {
        let frame = &profile.frames[stack.user.frames[0]];
        assert_eq!(frame.function, None, "{frame:?}");
        assert!(frame.unknown.as_ref().unwrap().as_str().contains("ended"), "{frame:?}");
    }
    assert!(profile.notes.iter().any(|n| n.as_str().contains("ended before")), "{:?}", profile.notes);
    work.finish();
}

#[test]
fn refused_requests_are_told_apart() {
    needs_root!("refused_requests_are_told_apart");
    const REFUSED: u64 = 50;
    let cgroup = Cgroup::limited("stacks-refuse", 16 << 20);
    cgroup.no_oom_killer();
    let mut work = Workload::start(&format!("pipes {REFUSED}"), Some(&cgroup));
    let profiler = Profiler::start(OBJECT, &of(&[work.pid()])).unwrap();
    assert_eq!(work.step(), format!("refused {REFUSED}"));
    let profile = profiler.finish(None).unwrap();
    let failed = profile.stacks.iter().filter(|s| s.failed);
    let failed = samples(failed);
    assert!(failed >= REFUSED && failed == profile.matched.failures, "{failed}, {:?}", profile.matched);
    let written = observer::output::profile::folded(&profile);
    assert!(written.lines().any(|l| l.contains("pipe_write_[k]") && l.contains(";[failed] ")), "{written}");
    work.finish();
}

#[test]
fn an_interrupt_ends_it_early_prints_and_leaves_nothing() {
    needs_root!("an_interrupt_ends_it_early_prints_and_leaves_nothing");
    let mut command = Command::new(binary());
    command.args(["report", "memory", "--stacks", "--every", "1", "--for", "10m", "--format", "folded"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("observer starts");
    let held = wait_for("observer to attach", || {
        assert_eq!(child.try_wait().expect("our child"), None, "observer has ended");
        let held = bpf::held_by(child.id());
        held.iter().any(|(kind, _)| *kind == bpf::Kind::Link).then_some(held)
    });
    let links = held.iter().filter(|(kind, _)| *kind == bpf::Kind::Link).count();
    assert_eq!(links, 1, "only the probe that was asked for");
    let mut work = Workload::start("fault 20000", None);
    let pid = work.pid();
    assert_eq!(work.step(), "done");
    let interrupt = nix::sys::signal::Signal::SIGINT;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), interrupt).expect("observer is there");
    let output = child.wait_with_output().expect("our child");
    assert!(output.status.success(), "{:?}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let mine = text.lines().filter(|l| l.starts_with(&format!("obs-fault-{pid};"))).count();
    assert!(mine > 0, "{text}");
    wait_for("the kernel to free what observer had", || bpf::all().is_disjoint(&held).then_some(()));
    work.finish();
}

#[test]
fn what_finds_no_place_is_in_the_losses() {
    needs_root!("what_finds_no_place_is_in_the_losses");
    const PROCESSES: usize = 8;
    let mut work = Workload::start(&format!("turns {PROCESSES} 200"), None);
    let pids: Vec<u32> = work.step().split(' ').map(|w| w.parse().unwrap()).collect();
    let filter = Filter { pids, cgroups: None, orders: (0, u32::MAX), every: 1, max_stacks: 1, max_counts: 4 };
    let mut sampler = Sampler::start(OBJECT, &kernel_btf(), &filter).unwrap();
    assert_eq!(work.step(), "done");
    sampler.stop();
    let (mut rows, mut kept, mut without_stack) = (0, 0, 0);
    sampler
        .counts(|key, count| {
            rows += 1;
            kept += count;
            without_stack += if key.kernel < 0 { count } else { 0 };
        })
        .unwrap();
    let (matched, lost) = (sampler.matched().unwrap(), sampler.losses().unwrap());
    seen!("{rows} rows with {kept} of {} samples, {lost:?}", matched.samples);
    assert!(matched.samples >= 200 * PROCESSES as u64, "{matched:?}");
    assert_eq!(kept + lost.counts_full, matched.samples, "each is in a row or in the losses");
    assert!(rows <= 4 && lost.counts_full > 0, "{rows} rows, {lost:?}");
    // Two walks a sample, of its kernel and its user side.
    let walks_lost = lost.stack_collisions + lost.stacks_full;
    assert!(walks_lost > without_stack && walks_lost <= 2 * matched.samples, "{without_stack}, {lost:?}");
    work.finish();
}
