//! All that is known of one cgroup or process.

use crate::{
    model::{self, page_alloc::Allocs},
    output::tui::{
        context::Context,
        strip::{About, Strip},
        table::Origin,
        theme::Tone,
    },
    snapshot::{
        Log2Histogram,
        cgroup::CgroupStat,
        coverage::Source,
        pressure::{Resource, Stall},
        reclaim::Scanner,
    },
    units,
};

const CGROUPS: Origin = ("cgroups", &[Source::CGROUPS]);
const PROCESSES: Origin = ("processes", &[Source::PROCESSES]);
const PAGE_ALLOC: Origin = ("page_alloc", &[]);
const RECLAIM: Origin = ("reclaim", &[]);

const PATH: About = About::new("cgroup", "path of the memory cgroup", "the folders of the hierarchy", CGROUPS);
const ID: About = About::new("id", "number of the cgroup, which tracepoints know it by", "kernfs, its inode", CGROUPS);
const LIMITS: [About; 7] = [
    About::new(
        "high",
        "bytes above which its tasks are slowed down; none where there is no such limit, as on v1",
        "memory.high (v2)",
        CGROUPS,
    ),
    About::new("low", "bytes that reclaim spares as long as others have some", "memory.low (v2)", CGROUPS),
    About::new("min", "bytes that reclaim never takes", "memory.min (v2)", CGROUPS),
    About::new("peak", "bytes, most that it ever used", "memory.max_usage_in_bytes (v1), memory.peak (v2)", CGROUPS),
    About::new(
        "kernel",
        "bytes of the kernel charged to it",
        "memory.kmem.usage_in_bytes (v1), memory.stat kernel (v2)",
        CGROUPS,
    ),
    About::new("swap", "bytes in swap", "memory.stat total_swap (v1), memory.swap.current (v2)", CGROUPS),
    About::new(
        "swap limit",
        "bytes of swap that it may use, on v1 of memory and swap together; none where there is no limit",
        "memory.swap.max (v2), memory.stat hierarchical_memsw_limit (v1)",
        CGROUPS,
    ),
];
const EVENTS: [About; 4] = [
    About::new(
        "limit hits",
        "times a second that its own limit was met, not that of one below",
        "memory.events.local max (v2), memory.failcnt (v1)",
        CGROUPS,
    ),
    About::new(
        "limit hits in all",
        "times that the limit was met since the cgroup was made",
        "memory.events max (v2), memory.failcnt (v1)",
        CGROUPS,
    ),
    About::new(
        "high hits",
        "times that the throttling limit was met since the cgroup was made",
        "memory.events high (v2)",
        CGROUPS,
    ),
    About::new(
        "kills",
        "OOM kills since the cgroup was made",
        "memory.oom_control (v1), memory.events oom_kill (v2)",
        CGROUPS,
    ),
];
const RATES: [About; 3] = [
    About::new(
        "refaults of files",
        "bytes a second of page cache that came back soon after they were taken",
        "memory.stat workingset_refault_file",
        CGROUPS,
    ),
    About::new(
        "refaults from swap",
        "bytes a second of anonymous memory that came back soon after they were swapped out",
        "memory.stat workingset_refault_anon",
        CGROUPS,
    ),
    About::new("major faults", "faults a second that read from a device", "memory.stat pgmajfault", CGROUPS),
];
const PSI: [About; 2] = [
    About::new(
        "some",
        "share of the last 10 seconds in which some task of it waited for memory",
        "memory.pressure some avg10 (v2)",
        CGROUPS,
    ),
    About::new(
        "all",
        "share of the last 10 seconds in which all tasks of it waited for memory",
        "memory.pressure full avg10 (v2)",
        CGROUPS,
    ),
];

/// A limit that need not be there.
fn limit(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "none".to_owned(), |b| units::bytes(b as f64))
}

/// Memory that is spared: `max` is all of it.
fn protection(bytes: u64) -> String {
    if bytes == u64::MAX { "all".to_owned() } else { units::bytes(bytes as f64) }
}

/// All that is known of a cgroup.
pub(super) fn cgroup(ctx: &Context<'_>, c: &model::cgroup::Cgroup) -> Vec<Strip> {
    let now = &c.now;
    let [high, low, min, peak, kernel, swap, swap_limit] = &LIMITS;
    let title = Strip::sentence().words(&PATH, now.path.as_str(), Tone::Plain);
    let title = title.label("  id ").words(&ID, now.id.0.to_string(), Tone::Plain);
    let limits = Strip::sentence()
        .label("high ")
        .words(high, limit(now.high), Tone::Plain)
        .label(", low ")
        .words_or_unknown(low, now.low.map(protection))
        .label(", min ")
        .words_or_unknown(min, now.min.map(protection))
        .label(", peak ")
        .bytes(peak, now.peak)
        .label(", kernel ")
        .bytes(kernel, now.kernel)
        .label(", swap ")
        .bytes(swap, now.swap)
        .label(" of ")
        .words(swap_limit, limit(now.swap_limit), Tone::Plain);
    let [hits, all_hits, high_hits, kills] = &EVENTS;
    let events = Strip::sentence()
        .label("own limit met ")
        .number(hits, c.own_limit_hits, units::per_second)
        .label(", with those below ")
        .count(all_hits, now.limit_hits)
        .label(" times in all, high met ")
        .count(high_hits, now.high_hits)
        .label(" times, kills ")
        .count(kills, now.oom_kills);
    let [file, anon, major] = &RATES;
    let rates = Strip::sentence()
        .label("came back: files ")
        .number(file, c.refaults_file, units::bytes_per_second)
        .label(", from swap ")
        .number(anon, c.refaults_anon, units::bytes_per_second)
        .label("; major faults ")
        .number(major, c.major_faults, units::per_second);
    let [some, full] = &PSI;
    let of = |pick: fn(&Resource) -> Option<Stall>| now.pressure.as_ref().and_then(pick).map(|s| s.avg10);
    let pressure = Strip::sentence()
        .label("waited for memory in the last 10 s: some task ")
        .number(some, of(|p| p.some), units::percent)
        .label(", all tasks ")
        .number(full, of(|p| p.full), units::percent);
    let allocs = ctx.model.page_alloc.as_ref().and_then(|p| p.cgroups.iter().find(|a| a.cgroup == Some(now.id)));
    let mut lines = vec![title, limits, events, rates, pressure];
    lines.extend(now.stat.as_ref().map(stat));
    lines.push(scans(ctx, c));
    lines.push(orders(ctx, allocs.map(|a| &a.allocs)));
    lines
}

const SCANNED: [About; 2] = [
    About::new(
        "looked at",
        "bytes a second that its own tasks looked at in reclaim",
        "tracepoint vmscan:mm_vmscan_lru_shrink_inactive",
        ("reclaim.scans", &[]),
    ),
    About::new(
        "took",
        "bytes a second that its own tasks reclaimed of them",
        "tracepoint vmscan:mm_vmscan_lru_shrink_inactive",
        ("reclaim.scans", &[]),
    ),
];

/// What the tasks of a cgroup looked at in reclaim.
fn scans(ctx: &Context<'_>, c: &model::cgroup::Cgroup) -> Strip {
    let [seen, took] = &SCANNED;
    let strip = Strip::sentence().label("in reclaim its tasks looked at ");
    let Some(scans) = ctx.model.reclaim.as_ref().and_then(|r| r.scans.as_ref()) else {
        return strip.missing(seen, ctx);
    };
    let own = |of: fn(&model::reclaim::Scan) -> Option<f64>| {
        let rows = scans.iter().filter(|s| s.cgroup == Some(c.now.id) && s.by == Scanner::Task);
        rows.map(of).fold(ctx.model.interval.map(|_| 0.0), |sum, v| Some(sum? + v?))
    };
    strip.number(seen, own(|s| s.scanned), units::bytes_per_second).label(" and took ").number(
        took,
        own(|s| s.reclaimed),
        units::bytes_per_second,
    )
}

/// memory.stat, line by line, in the kernel's words.
fn stat(stat: &CgroupStat) -> Strip {
    let known = stat.iter().filter_map(|(name, value)| Some((name, value?)));
    known.enumerate().fold(Strip::sentence(), |strip, (i, (name, value))| {
        let strip = strip.label(if i == 0 { "" } else { ", " }).label(name).label(" ");
        let source = format!("memory.stat {name}");
        match name {
            "pgfault" | "pgmajfault" => {
                strip.told(name, "number of faults since the cgroup was made", source, units::count(value as f64))
            }
            _ if name.starts_with("workingset") || name.starts_with("pgs") || name.starts_with("psw") => {
                strip.told(name, "bytes since the cgroup was made", source, units::bytes(value as f64))
            }
            _ => strip.told(name, "bytes", source, units::bytes(value as f64)),
        }
    })
}

const NO_REQUEST: About =
    About::new("requests", "requests in the interval by order", "tracepoint kmem:mm_page_alloc", PAGE_ALLOC);

/// Requests in the interval by order, met and failed.
fn orders(ctx: &Context<'_>, allocs: Option<&Allocs>) -> Strip {
    let strip = Strip::sentence();
    if ctx.model.page_alloc.is_none() {
        return strip.label("requests by order ").missing(&NO_REQUEST, ctx);
    }
    let counts = allocs.map(|a| a.counts).unwrap_or_default();
    let orders =
        counts.allocated.iter().zip(&counts.failed).enumerate().filter(|(_, (met, failed))| **met + **failed > 0);
    let mut strip = strip.label("requests in the interval: ");
    let mut any = false;
    for (order, (met, failed)) in orders {
        let source = "tracepoint kmem:mm_page_alloc";
        let words = match failed {
            0 => units::count(*met as f64),
            n => format!("{} and {} failed", units::count(*met as f64), units::count(*n as f64)),
        };
        let what = format!("requests in the interval for blocks of 2^{order} pages, met and failed");
        strip = strip.label(if any { ", " } else { "" }).told(
            format!("order {order}"),
            what,
            source,
            format!("{words} of order {order}"),
        );
        any = true;
    }
    if any { strip } else { strip.label("none") }
}

const NAME: About =
    About::new("process", "name and pid of the process", "/proc/PID/stat, kmem:mm_page_alloc", PROCESSES);
const HELD: [About; 6] = [
    About::new("rss", "bytes, resident set", "/proc/PID/stat", PROCESSES),
    About::new("anon", "bytes of anonymous memory", "/proc/PID/status RssAnon", PROCESSES),
    About::new("file", "bytes of mapped files", "/proc/PID/status RssFile", PROCESSES),
    About::new("shmem", "bytes of mapped shared memory and tmpfs", "/proc/PID/status RssShmem", PROCESSES),
    About::new("swap", "bytes in swap", "/proc/PID/status VmSwap", PROCESSES),
    About::new("page tables", "bytes of page tables", "/proc/PID/status VmPTE", PROCESSES),
];
const OF_PROCESS: [About; 2] = [
    About::new(
        "major faults",
        "number of faults that read from a device, swap among them, since the process began; swap-ins have no event of their own",
        "/proc/PID/stat majflt",
        PROCESSES,
    ),
    About::new(
        "OOM score adjustment",
        "number from -1000 to 1000, the higher is killed first",
        "/proc/PID/oom_score_adj",
        PROCESSES,
    ),
];
const STALL_SOURCE: &str = "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}";
const STALLED: [About; 5] = [
    About::new(
        "stalls",
        "reclaims a second of its tasks",
        "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
        RECLAIM,
    ),
    About::new(
        "stalled",
        "seconds stalled in each second, all its tasks together",
        "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
        RECLAIM,
    ),
    About::new(
        "took",
        "bytes that its tasks reclaimed in the interval",
        "tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
        RECLAIM,
    ),
    About::new("p50", "time that half of its stalls took less than, a power of two", STALL_SOURCE, RECLAIM),
    About::new("p99", "time that 99 % of its stalls took less than, a power of two", STALL_SOURCE, RECLAIM),
];

/// All that is known of a process.
pub(super) fn process(ctx: &Context<'_>, pid: u32) -> Vec<Strip> {
    let held = ctx.model.processes.as_ref().and_then(|p| p.list.iter().find(|p| p.pid == pid));
    let asked = ctx.model.page_alloc.as_ref().and_then(|a| a.processes.iter().find(|p| p.pid == pid));
    let name = asked.map(|p| &p.comm).or(held.map(|p| &p.comm));
    let path = asked.and_then(|p| p.cgroup_path.as_ref());
    let title = Strip::sentence().words_or_unknown(&NAME, name.map(|n| format!("{n} ({pid})")));
    let title = title.label("  cgroup ").words_or_unknown(&PATH, path.map(|p| p.to_string()));
    let [rss, anon, file, shmem, swap, tables] = &HELD;
    let [major, adjust] = &OF_PROCESS;
    let holds = Strip::sentence()
        .label("rss ")
        .bytes(rss, held.map(|p| p.rss))
        .label(" = anon ")
        .bytes(anon, held.and_then(|p| p.anon))
        .label(" + file ")
        .bytes(file, held.and_then(|p| p.file))
        .label(" + shmem ")
        .bytes(shmem, held.and_then(|p| p.shmem))
        .label("; swap ")
        .bytes(swap, held.and_then(|p| p.swap))
        .label(", page tables ")
        .bytes(tables, held.and_then(|p| p.page_tables))
        .label("; major faults ")
        .count(major, held.map(|p| p.major_faults))
        .label(", OOM score adjusted by ")
        .number(adjust, held.and_then(|p| p.oom_score_adj).map(f64::from), |n| format!("{n:.0}"));
    vec![title, holds, stalls(ctx, pid), orders(ctx, asked.map(|p| &p.allocs))]
}

fn stalls(ctx: &Context<'_>, pid: u32) -> Strip {
    let [rate, stalled, took, p50, p99] = &STALLED;
    let strip = Strip::sentence().label("in reclaim: ");
    let Some(reclaim) = &ctx.model.reclaim else { return strip.missing(rate, ctx) };
    let own: Vec<_> = reclaim.processes.iter().filter(|p| p.pid == pid).collect();
    let sum = |of: fn(&model::reclaim::Stalls) -> Option<f64>| {
        let none = ctx.model.interval.map(|_| 0.0);
        own.iter().map(|p| of(&p.stalls)).fold(none, |sum, v| Some(sum? + v?))
    };
    let bytes: u64 = own.iter().map(|p| p.stalls.totals.reclaimed_bytes).sum();
    let strip = strip
        .number(rate, sum(|s| s.per_second), units::per_second)
        .label(", stalled ")
        .number(stalled, sum(|s| s.stalled_ratio), units::percent)
        .label(", took ")
        .bytes(took, Some(bytes));
    let mut latency = Log2Histogram::default();
    own.iter().for_each(|p| latency.add(&p.latency_ns));
    let bound = |q| latency.quantile_bound(q).map(|ns| ns / 1e9);
    match latency.count() {
        0 => strip,
        _ => {
            let strip = strip.label(", half took less than ").number(p50, bound(0.5), units::seconds);
            strip.label(", 99 % less than ").number(p99, bound(0.99), units::seconds)
        }
    }
}
