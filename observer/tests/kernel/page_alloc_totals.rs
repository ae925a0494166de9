//! The sum over all processes of the host, against perf's count on every CPU.

use observer::{
    snapshot::{Snapshot, page_alloc::ORDERS},
    source::kernel::{Kernel, Options},
};

use crate::support::{
    cgroup::Cgroup,
    needs_root,
    observer::{events, load, load_with, missed, page_alloc, read},
    perf::Counter,
    seen,
    workload::Workload,
};

const ALLOC: &str = "kmem:mm_page_alloc";

/// A snapshot between two readings of perf: what perf counted before is in it, what perf counted after is not.
struct Between {
    first: u64,
    snapshot: Snapshot,
    last: u64,
}

fn between(kernel: &mut Kernel, perf: &Counter) -> Between {
    let first = perf.read();
    let snapshot = read(kernel);
    Between { first, snapshot, last: perf.read() }
}

/// Asserts that the growth of the total lies between perf's smallest and largest possible count of the same window, and
/// gives the width of that bracket as a share of the count.
fn assert_bracketed(what: &str, begin: &Between, end: &Between, order: Option<usize>) -> f64 {
    let (now, before) = (page_alloc(&end.snapshot).total(), page_alloc(&begin.snapshot).total());
    let observed = match order {
        None => events(&now, &before),
        Some(o) => now.allocated[o] + now.failed[o] - before.allocated[o] - before.failed[o],
    };
    let missed = missed(&end.snapshot, "page_alloc") - missed(&begin.snapshot, "page_alloc");
    let (least, most) = (end.first - begin.last, end.last - begin.first);
    let width = (most - least) as f64 / most.max(1) as f64;
    seen!("{what}: {least} <= observer {observed} (missed {missed}) <= {most}, width {:.3} %", width * 100.0);
    assert!(observed <= most && observed + missed >= least, "{what}: {least} <= {observed} + {missed} <= {most}");
    width
}

#[test]
fn the_sum_over_all_processes_is_what_the_kernel_counted() {
    needs_root!("the_sum_over_all_processes_is_what_the_kernel_counted");
    let mut kernel = load();
    let perf = Counter::everywhere(ALLOC, None);
    // The inequality must hold every time. It says little where the host was busy while the maps were read, so one window
    // at least must be bracketed to one part in a hundred.
    let narrowest = (0..10).map(|_| {
        let mut faults = Workload::start("fault 200000", None);
        let mut churn = Workload::start("churn 100 1000", None);
        let begin = between(&mut kernel, &perf);
        churn.go();
        faults.go();
        assert_eq!((faults.said(), churn.said()), ("done".to_owned(), "done".to_owned()));
        let end = between(&mut kernel, &perf);
        assert!(end.first - begin.last >= 300_000, "the work itself");
        assert_bracketed("all orders", &begin, &end, None)
    });
    assert!(narrowest.into_iter().any(|width| width < 0.01), "no window was bracketed to 1 %");
}

#[test]
fn each_order_is_what_the_kernel_counted() {
    needs_root!("each_order_is_what_the_kernel_counted");
    let mut kernel = load();
    let filter = |order| if order + 1 < ORDERS { format!("order == {order}") } else { format!("order >= {order}") };
    let perf: Vec<_> = (0..ORDERS).map(|order| Counter::everywhere(ALLOC, Some(&filter(order)))).collect();
    let readings = || perf.iter().map(Counter::read).collect::<Vec<_>>();
    let mut work = Workload::start("churn 200 200", None);

    let (first, begin, last) = (readings(), read(&mut kernel), readings());
    assert_eq!(work.step(), "done");
    let (end_first, end, end_last) = (readings(), read(&mut kernel), readings());
    for order in 0..ORDERS {
        let a = Between { first: first[order], snapshot: begin.clone(), last: last[order] };
        let b = Between { first: end_first[order], snapshot: end.clone(), last: end_last[order] };
        assert_bracketed(&format!("order {order}"), &a, &b, Some(order));
    }
    assert!(
        end_first[2] > last[2] || end_first[1] > last[1] || end_first[3] > last[3],
        "only single pages were asked for"
    );
    work.finish();
}

#[test]
fn a_full_map_loses_names_but_no_counts() {
    needs_root!("a_full_map_loses_names_but_no_counts");
    let mut kernel = load_with(&Options { memory_budget: 0, ..Options::default() });
    let perf = Counter::everywhere(ALLOC, None);
    let cgroup = Cgroup::new("full");
    let mut work = Workload::start("churn 600 200", Some(&cgroup));
    let begin = between(&mut kernel, &perf);
    assert_eq!(work.step(), "done");
    let end = between(&mut kernel, &perf);
    let other = events(&page_alloc(&end.snapshot).other, &page_alloc(&begin.snapshot).other);
    seen!("{other} allocations found no place");
    assert!(other > 50_000, "600 processes of 200 pages do not fit into the smallest map: {other}");
    assert_bracketed("full map", &begin, &end, None);
    work.finish();
}
