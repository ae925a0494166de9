//! How requests that failed were made, against an ftrace recording of the same requests, whose flags the kernel names itself.

use observer::{
    model::{Model, alloc_failure::Manner},
    snapshot::{Snapshot, Stamp, page_alloc::AllocFailure},
};

use crate::support::{
    cgroup::Cgroup,
    needs_root,
    observer::{load, missed, page_alloc, read},
    seen,
    trace::Trace,
    workload::Workload,
};

fn rows(snapshot: &Snapshot, pid: u32) -> Vec<&AllocFailure> {
    let failures = page_alloc(snapshot).failures.as_ref().expect("it is known how they were made");
    failures.rows.iter().filter(|row| row.pid == Some(pid)).collect()
}

#[test]
fn flags_of_refused_pages_are_those_that_the_kernel_names() {
    needs_root!("flags_of_refused_pages_are_those_that_the_kernel_names");
    const PAGES: u64 = 20;
    const BLOCKS: u64 = 5;
    let cgroup = Cgroup::limited("flags", 16 << 20);
    cgroup.no_oom_killer();
    let mut kernel = load();
    let mut work = Workload::start(&format!("pipes {PAGES} {BLOCKS}"), Some(&cgroup));
    let pid = work.pid();
    let filter = format!("common_pid == {pid} && pfn == 0xffffffffffffffff");
    let trace = Trace::start("flags", 1024, &[("kmem/mm_page_alloc", Some(&filter))]);
    let mut before = read(&mut kernel);
    assert_eq!(work.step(), format!("refused {PAGES}"));
    let mut after = read(&mut kernel);
    let (lines, lost) = (trace.lines(), trace.lost());
    assert_eq!((lost, missed(&after, "page_alloc") - missed(&before, "page_alloc")), (0, 0));
    assert!(rows(&before, pid).is_empty(), "nothing failed before");

    before.stamp = Stamp { monotonic_ns: 1_000_000_000, ..Stamp::default() };
    after.stamp = Stamp { monotonic_ns: 2_000_000_000, ..Stamp::default() };
    let failures = Model::new(&after, Some(&before)).page_alloc.unwrap().failures.unwrap();
    let own: Vec<_> = failures.iter().filter(|f| f.pid == Some(pid)).collect();
    for row in &own {
        seen!("{} of order {}: {:?} {:?}", row.count, row.order, row.manner, row.flags);
        assert_eq!((row.cgroup, row.comm.as_ref().map(|c| c.as_str())), (Some(cgroup.id()), Some("obs-pipes")));
        let flags = row.flags.as_ref().expect("the flags have names");
        let has = |name: &str| flags.iter().any(|f| f.as_str() == name);
        // The kernel names sums of flags first: GFP_NOWAIT has __GFP_NOWARN in it.
        let words = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
        let silent = |w: &[String]| w.iter().any(|w| ["__GFP_NOWARN", "GFP_NOWAIT"].contains(&w.as_str()));
        let sleeps = |w: &[String]| {
            let sums = ["GFP_KERNEL", "GFP_USER", "GFP_HIGHUSER", "__GFP_DIRECT_RECLAIM", "__GFP_RECLAIM"];
            w.iter().any(|w| sums.iter().any(|sum| w.starts_with(sum)))
        };
        let same = lines.iter().filter(|line| {
            let words = words(line.word("gfp_flags"));
            line.number("order") == u64::from(row.order)
                && words.iter().any(|w| w == "__GFP_NORETRY") == has("__GFP_NORETRY")
                && silent(&words) == has("__GFP_NOWARN")
                && sleeps(&words) == has("__GFP_DIRECT_RECLAIM")
        });
        let alike = own.iter().filter(|other| {
            let other_has = |name: &str| other.flags.iter().flatten().any(|f| f.as_str() == name);
            let decisive = ["__GFP_NORETRY", "__GFP_NOWARN", "__GFP_DIRECT_RECLAIM"];
            other.order == row.order && decisive.iter().all(|name| other_has(name) == has(name))
        });
        assert_eq!(same.count() as u64, alike.map(|f| f.count).sum::<u64>(), "{row:?}: {lines:?}");
    }
    assert_eq!(own.iter().map(|f| f.count).sum::<u64>(), lines.len() as u64, "{own:?}");
    let of = |order: u32, manner| -> u64 {
        own.iter().filter(|f| f.order == order && f.manner == Some(manner)).map(|f| f.count).sum()
    };
    assert!(of(0, Manner::Sleeping) >= PAGES, "a write to a pipe has no other way: {own:?}");
    assert_eq!(of(9, Manner::Expected), BLOCKS, "a block is tried for first: {own:?}");
    let counts = page_alloc(&after).processes.iter().filter(|p| p.pid == pid).map(|p| p.counts.failures());
    assert_eq!(counts.sum::<u64>(), lines.len() as u64, "by order and by flags it is the same");
    work.finish();
}
