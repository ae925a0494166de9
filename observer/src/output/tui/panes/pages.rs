//! Free pages: what an allocation may take and what is trapped, a heat map of fragmentation, compaction, fallbacks.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, orders};
use crate::{
    model::memory::{Fragmentation, unusable_index},
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Table, Value},
        text::Cut,
        theme::Tone,
    },
    snapshot::{compaction::Compactor, coverage::Source},
};

pub(super) const PANE: Pane = Pane {
    name: "pages",
    title: "Pages",
    short: "Pages",
    lists_findings: false,
    first_table: 1,
    tables: &[
        ("Free memory", FREE),
        ("Fragmentation", HEAT),
        ("Requests by order", orders::ORDERS),
        ("Compaction", COMPACTION),
        ("Fallbacks to another migrate type", FALLBACKS),
    ],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    stack::draw(ctx, area, buf, &[], &[free(ctx), heat(ctx), orders::orders(ctx), compaction(ctx), fallbacks(ctx)])
}

const FREE: &[Column] = &[
    Column::word("node", 4, "NUMA node: /proc/zoneinfo"),
    Column::word("zone", 8, "zone of the node: /proc/zoneinfo"),
    Column::number("free", 9, "bytes free: /proc/zoneinfo pages free"),
    Column::number("usable", 9, "bytes that an ordinary request of order 0 may take: free less all that follows"),
    Column::number("<min", 9, "bytes under the min watermark, for privileged requests only: /proc/zoneinfo min"),
    Column::number("reserve", 9, "bytes kept from requests meant for a higher zone: /proc/zoneinfo protection"),
    Column::number("CMA", 9, "bytes free that only movable pages may take: /proc/zoneinfo nr_free_cma"),
    Column::number(
        "atomic",
        9,
        "bytes kept for atomic requests of a high order: nr_free_highatomic, /proc/pagetypeinfo",
    ),
    Column::number(
        "in lists",
        9,
        "bytes free in the lists of the CPUs, not part of free: /proc/zoneinfo pagesets count",
    )
    .rank(1),
];

fn free<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Free memory", FREE).from("memory", &[Source::ZONEINFO, Source::PAGETYPEINFO]);
    let Some(free) = &ctx.model.memory.free else {
        return table.empty(Strip::reason(ctx.no_data("memory", &[Source::ZONEINFO])));
    };
    let bytes = |value: u64| cells::bytes(Some(value));
    table
        .rows(free.iter().map(|z| {
            vec![
                cells::id(z.node.into()),
                Cell::text(z.zone.as_str()),
                bytes(z.free),
                bytes(z.usable),
                bytes(z.below_min),
                bytes(z.trapped_reserve),
                bytes(z.trapped_cma),
                cells::bytes(z.trapped_highatomic),
                cells::bytes(z.per_cpu),
            ]
        }))
        .empty("the kernel lists no zone")
}

/// One column an order; what stands in them is the index in percent.
const HEAT: &[Column] = &[
    Column::word("node", 4, "NUMA node: /proc/buddyinfo"),
    Column::word("zone", 8, "zone of the node: /proc/buddyinfo"),
    Column::word("type", 12, "all free blocks, or those of one migrate type: /proc/buddyinfo, /proc/pagetypeinfo"),
    Column::number("0", 3, INDEX),
    Column::number("1", 3, INDEX),
    Column::number("2", 3, INDEX),
    Column::number("3", 3, INDEX),
    Column::number("4", 3, INDEX),
    Column::number("5", 3, INDEX),
    Column::number("6", 3, INDEX),
    Column::number("7", 3, INDEX),
    Column::number("8", 3, INDEX),
    Column::number("9", 3, INDEX),
    Column::number("10", 3, INDEX),
    Column::number("free", 9, "bytes free: /proc/buddyinfo, /proc/pagetypeinfo"),
];

const INDEX: &str = "order of a request: percent of free memory in blocks too small for it (unusable free-space index): /proc/buddyinfo";
/// Orders that the heat map has columns for.
const ORDERS: usize = 11;

fn heat<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Fragmentation", HEAT).from("memory", &[Source::BUDDYINFO, Source::PAGETYPEINFO]);
    let Some(zones) = &ctx.model.memory.fragmentation else {
        return table.empty(Strip::reason(ctx.no_data("memory", &[Source::BUDDYINFO])));
    };
    table
        .rows(zones.iter().flat_map(rows_of))
        .note("percent of free memory in blocks too small")
        .empty("the kernel lists no zone")
}

fn rows_of(zone: &Fragmentation) -> Vec<Vec<Cell>> {
    let all = heat_row(zone, "all", &zone.unusable_index, zone.free_bytes.iter().sum());
    let types = zone
        .by_type
        .iter()
        .filter(|(_, bytes)| bytes.iter().any(|b| *b > 0))
        .map(|(kind, bytes)| heat_row(zone, kind.as_str(), &unusable_index(bytes), bytes.iter().sum()));
    [all].into_iter().chain(types).collect()
}

fn heat_row(zone: &Fragmentation, kind: &str, index: &[f64], free: u64) -> Vec<Cell> {
    let mut cells = vec![
        cells::id(zone.node.into()),
        Cell::text(zone.zone.as_str()),
        if kind == "all" { Cell::text(kind) } else { Cell::text(format!(" {kind}")).tone(Tone::Dim) },
    ];
    cells.extend((0..ORDERS).map(|order| heat_cell(index.get(order).copied())));
    cells.push(cells::bytes(Some(free)));
    cells
}

/// The index in percent; its colour says the same, for those who see one.
fn heat_cell(index: Option<f64>) -> Cell {
    let tone = match index {
        None => Tone::Dim,
        Some(i) if i >= 0.95 => Tone::Bad,
        Some(i) if i >= 0.5 => Tone::Warn,
        Some(i) if i < 0.005 => Tone::Dim,
        Some(_) => Tone::Plain,
    };
    Cell {
        text: index.map_or_else(|| "-".to_owned(), |i| format!("{:.0}", i * 100.0)),
        tone,
        value: Value::Number(index),
    }
}

const COMPACTION: &[Column] = &[
    Column::word("by", 9, "a task that needs a block, or kcompactd: compact_control direct_compaction"),
    Column::number("zones/s", 8, "compactions of a zone a second: tracepoints compaction:mm_compaction_{begin,end}"),
    Column::number("busy", 7, "seconds in it in each second: tracepoints compaction:mm_compaction_{begin,end}"),
    Column::number("mean", 8, "mean time: tracepoints compaction:mm_compaction_{begin,end}"),
    Column::number("p99", 8, "99 % took less: tracepoints compaction:mm_compaction_{begin,end}").rank(1),
    Column::text("results", 20, "how many ended how, the kernel's words: compaction:mm_compaction_end status"),
    Column::text("cgroup", 14, "memory cgroup of the task: task_struct cgroups").cut(Cut::Start).rank(2),
];

fn compaction<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Compaction", COMPACTION).from("compaction", &[]);
    let Some(compaction) = &ctx.model.compaction else {
        return table.empty(Strip::reason(ctx.no_data("compaction", &[])));
    };
    let rows = compaction.iter().map(|c| {
        let results: Vec<_> = c.results.iter().map(|r| format!("{} {}", r.count, r.result)).collect();
        vec![
            Cell::text(match c.by {
                Compactor::Direct => "a task",
                Compactor::Kcompactd => "kcompactd",
            }),
            cells::rate(c.per_second),
            cells::ratio(c.stalled_ratio).warn_from(0.05, 0.5),
            cells::seconds(c.mean_seconds),
            cells::bound(c.latency_ns.quantile_bound(0.99).map(|ns| ns / 1e9)),
            Cell::text(results.join(", ")),
            cells::cgroup(c.path.as_ref(), c.cgroup),
        ]
    });
    table.rows(rows).empty("nothing was compacted in this interval").details(|i| {
        let Some(c) = compaction.get(i) else { return Vec::new() };
        let results = c.results.iter().enumerate();
        vec![results.fold(Strip::sentence().label("ended in the interval: "), |strip, (n, r)| {
            let what = "number of compactions of a zone in the interval that ended so";
            let source = "tracepoint compaction:mm_compaction_end status";
            let strip = strip.label(if n == 0 { "" } else { ", " });
            strip.told(r.result.to_string(), what, source, format!("{} {}", r.count, r.result))
        })]
    })
}

const FALLBACKS: &[Column] = &[
    Column::number("pid", 7, "process id: tracepoint kmem:mm_page_alloc_extfrag"),
    Column::text("process", 12, "name of the task: tracepoint kmem:mm_page_alloc_extfrag"),
    Column::number("order", 5, "order of the request: tracepoint kmem:mm_page_alloc_extfrag alloc_order"),
    Column::word("wanted", 11, "migrate type of the request: kmem:mm_page_alloc_extfrag alloc_migratetype"),
    Column::word(
        "took",
        11,
        "migrate type of the block that was taken: kmem:mm_page_alloc_extfrag fallback_migratetype",
    ),
    Column::number("per s", 8, "fallbacks a second: tracepoint kmem:mm_page_alloc_extfrag"),
    Column::text("cgroup", 14, "memory cgroup of the task: task_struct cgroups").cut(Cut::Start).rank(1),
];

const OTHER: About = About::new(
    "in no row",
    "fallbacks in the interval of those who found no place in the kernel's map",
    "tracepoint kmem:mm_page_alloc_extfrag",
    ("extfrag", &[]),
);

fn fallbacks<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Fallbacks to another migrate type", FALLBACKS).from("extfrag", &[]);
    let Some(extfrag) = &ctx.model.extfrag else { return table.empty(Strip::reason(ctx.no_data("extfrag", &[]))) };
    let rows = extfrag.rows.iter().map(|f| {
        vec![
            cells::id(f.who.pid.into()),
            Cell::text(f.who.comm.as_str()),
            cells::id(f.who.order.into()),
            Cell::text(f.who.wanted.as_str()),
            Cell::text(f.who.taken.as_str()),
            cells::rate(f.per_second),
            cells::cgroup(f.cgroup_path.as_ref(), f.who.cgroup),
        ]
    });
    let note = match extfrag.other {
        0 => Strip::default(),
        n => Strip::default().label("in no row: ").count(&OTHER, Some(n)),
    };
    table.rows(rows).note(note).empty("no request had to take a block of another type")
}
