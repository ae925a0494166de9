//! Memory of the host: where RAM is, zones against their watermarks, slab, tmpfs, swap, NUMA nodes.

use ratatui::{buffer::Buffer, layout::Rect};

use super::Pane;
use crate::{
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
        vitals,
    },
    snapshot::{coverage::Source, memory::Zone},
    units,
};

pub(super) const PANE: Pane = Pane {
    name: "memory",
    title: "Memory",
    short: "Mem",
    lists_findings: false,
    first_table: 0,
    tables: &[
        ("Where RAM is", PARTS),
        ("Zones", ZONES),
        ("Slab", SLABS),
        ("tmpfs", TMPFS),
        ("Swap", SWAP),
        ("NUMA nodes", NODES),
    ],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let tables = [parts(ctx), zones(ctx), slabs(ctx), tmpfs(ctx), swap(ctx), nodes(ctx)];
    stack::draw(ctx, area, buf, &vitals::memory_lines(ctx), &tables)
}

const PARTS: &[Column] = &[
    Column::text("use", 24, "what the memory is, no part in two rows: the counters named at the right"),
    Column::number("bytes", 9, "bytes: the counters named at the right"),
    Column::number("of RAM", 7, "share of RAM: bytes / MemTotal"),
    Column::number("growth/s", 9, "bytes a second, negative while it shrinks: two readings").rank(1),
    Column::text("source", 20, "file and counters that tell it: documentation of the kernel").rank(2),
];

fn parts<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Where RAM is", PARTS).from("memory", &[Source::MEMINFO]);
    let memory = &ctx.model.memory;
    let Some(breakdown) = &memory.breakdown else {
        return table.empty(Strip::reason(ctx.no_data("memory", &[Source::MEMINFO])));
    };
    let total = breakdown.total.max(1) as f64;
    let growth = &memory.growth;
    let grows = |source: &str| {
        let known = [
            ("/proc/meminfo MemFree", growth.free),
            ("/proc/meminfo AnonPages", growth.anon),
            ("/proc/meminfo Shmem", growth.shmem),
            ("/proc/meminfo PageTables", growth.page_tables),
            ("/proc/meminfo KernelStack", growth.kernel_stack),
            ("/proc/meminfo SUnreclaim", growth.slab_unreclaimable),
        ];
        known.into_iter().find(|(name, _)| *name == source).map(|(_, rate)| cells::byte_rate(rate))
    };
    let blank = || Cell::text("").tone(Tone::Dim);
    let mut parts: Vec<_> = breakdown.parts.iter().filter(|p| p.bytes > 0).collect();
    parts.sort_by_key(|p| std::cmp::Reverse(p.bytes));
    let row = |name: &str, bytes: u64, growth: Cell, source: &str| {
        let share = cells::ratio(Some(bytes as f64 / total));
        vec![Cell::text(name), cells::bytes(Some(bytes)), share, growth, Cell::text(source).tone(Tone::Dim)]
    };
    let rest = u64::try_from(breakdown.unexplained).unwrap_or(0);
    let last = row("in no counter", rest, blank(), "MemTotal less all others");
    let rows = parts.iter().map(|p| row(p.name, p.bytes, grows(p.source).unwrap_or_else(blank), p.source));
    table.rows(rows.chain([last])).note(match breakdown.not_counted.as_slice() {
        [] => Strip::default(),
        missing => Strip::default().label("not read: ").words(&NOT_READ, missing.join(", "), Tone::Warn),
    })
}

const NOT_READ: About = About::new(
    "not read",
    "counters of bytes that this kernel does not tell, or that could not be read",
    "/proc/meminfo, /proc/vmstat",
    ("memory", &[Source::MEMINFO]),
);

const ZONES: &[Column] = &[
    Column::word("node", 4, "NUMA node: /proc/zoneinfo"),
    Column::word("zone", 8, "zone of the node: /proc/zoneinfo"),
    Column::number("free", 9, "bytes free: /proc/zoneinfo pages free"),
    Column::number("min", 9, "bytes, watermark under which only privileged requests are met: /proc/zoneinfo min"),
    Column::number("low", 9, "bytes, watermark under which kswapd is woken: /proc/zoneinfo low"),
    Column::number("high", 9, "bytes, watermark at which kswapd sleeps again: /proc/zoneinfo high"),
    Column::number("managed", 9, "bytes that the buddy allocator manages: /proc/zoneinfo managed").rank(3),
    Column::number("boost", 9, "bytes by which the watermarks are raised against fragmentation: /proc/zoneinfo boost")
        .rank(4),
    Column::number("free cma", 9, "bytes free that only movable pages may take: /proc/zoneinfo nr_free_cma").rank(5),
    Column::word("state", 18, "where free memory stands among the watermarks: /proc/zoneinfo"),
];

fn zones<'a>(ctx: &Context<'a>) -> Table<'a> {
    let zones = ctx.model.memory.zones.as_deref();
    Table::new("Zones", ZONES)
        .from("memory", &[Source::ZONEINFO])
        .rows(zones.unwrap_or_default().iter().filter(|z| z.managed != Some(0)).map(|z| {
            let (words, tone) = zone_state(z);
            vec![
                cells::id(z.node.into()),
                Cell::text(z.zone.as_str()),
                cells::bytes(z.free).tone(tone),
                cells::bytes(z.min),
                cells::bytes(z.low),
                cells::bytes(z.high),
                cells::bytes(z.managed),
                cells::bytes(z.boost),
                cells::bytes(z.free_cma),
                Cell::text(words).tone(tone),
            ]
        }))
        .empty(match zones {
            Some(_) => "the kernel lists no zone".into(),
            None => Strip::reason(ctx.no_data("memory", &[Source::ZONEINFO])),
        })
}

/// Where the free memory of a zone stands among its watermarks.
fn zone_state(z: &Zone) -> (&'static str, Tone) {
    let below = |mark: Option<u64>| z.free.zip(mark).map(|(free, mark)| free < mark);
    match (below(z.min), below(z.low), below(z.high)) {
        (Some(true), ..) => ("below min", Tone::Bad),
        (_, Some(true), _) => ("below low: kswapd", Tone::Warn),
        (_, _, Some(true)) => ("below high", Tone::Plain),
        (_, _, Some(false)) => ("above high", Tone::Good),
        _ => (units::UNKNOWN, Tone::Dim),
    }
}

const SLABS: &[Column] = &[
    Column::text("cache", 20, "name of the slab cache: /proc/slabinfo"),
    Column::number("bytes", 9, "bytes of its slabs: /proc/slabinfo num_slabs x pagesperslab"),
    Column::number("growth/s", 9, "bytes a second, negative while it shrinks: two readings"),
    Column::number("objects", 8, "objects that there is room for: /proc/slabinfo num_objs"),
    Column::number("object", 8, "bytes of an object: /proc/slabinfo objsize").rank(2),
    Column::number("in use", 7, "share of the objects in use: /proc/slabinfo active_objs / num_objs").rank(1),
];

fn slabs<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Slab", SLABS).from("slab", &[Source::SLABINFO]);
    let Some(slabs) = &ctx.model.memory.slabs else {
        return table.empty(Strip::reason(ctx.no_data("slab", &[Source::SLABINFO])));
    };
    table.rows(slabs.iter().map(|c| {
        vec![
            Cell::text(c.now.name.as_str()),
            cells::bytes(Some(c.now.bytes)),
            cells::byte_rate(c.growth),
            cells::count(Some(c.now.objects)),
            cells::bytes(Some(c.now.object_bytes)),
            cells::ratio(c.active_ratio),
        ]
    }))
}

const TMPFS: &[Column] = &[
    Column::text("mount", 16, "where it is mounted: mountinfo of each mount namespace").cut(Cut::Start),
    Column::number("used", 9, "bytes in use, in RAM or swap, not known of a tmpfs without a limit: statfs(2)"),
    Column::number("of size", 7, "share of the size it may have: statfs(2)"),
    Column::number("growth/s", 9, "bytes a second, negative while it shrinks: two readings"),
    Column::number("files", 7, "files, folders and links in it: statfs(2)").rank(1),
    Column::number(
        "seen by",
        8,
        "pid of a process whose mount namespace shows it; none for observer's own: /proc/PID/mountinfo",
    )
    .rank(2),
];

fn tmpfs<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("tmpfs", TMPFS).from("tmpfs", &[Source::TMPFS]);
    let Some(shmem) = &ctx.model.memory.shmem else {
        return table.empty(Strip::reason(ctx.no_data("tmpfs", &[Source::TMPFS])));
    };
    let used = shmem.tmpfs.iter().filter(|t| !t.is_empty());
    let note = Strip::default().bytes(&OUTSIDE, shmem.outside).label(" in no mount");
    table
        .rows(used.map(|t| {
            vec![
                Cell::text(t.now.mount_point.as_str()),
                cells::bytes(t.now.used),
                t.used_ratio.map_or_else(
                    || Cell::text("no limit").tone(Tone::Dim),
                    |r| cells::ratio(Some(r)).warn_from(0.8, 0.95),
                ),
                cells::byte_rate(t.growth),
                cells::count(t.now.inodes),
                t.now.seen_by_pid.map_or_else(|| Cell::text("").tone(Tone::Dim), |pid| cells::id(pid.into())),
            ]
        }))
        .note(note)
        .empty("every tmpfs is empty")
}

const OUTSIDE: About = About::new(
    "in no mount",
    "bytes of shared memory in no tmpfs that is mounted: memfd, System V, shared mappings",
    "/proc/meminfo Shmem less every tmpfs",
    ("tmpfs", &[Source::TMPFS, Source::MEMINFO]),
);

const SWAP: &[Column] = &[
    Column::text("device", 16, "path of the device or file, or the zram device: /proc/swaps, /sys/block/zramN"),
    Column::number("used", 9, "bytes in use; of zram bytes stored, before compression: /proc/swaps, mm_stat"),
    Column::number("size", 9, "bytes that fit; of zram its disksize: /proc/swaps, disksize"),
    Column::number("RAM", 9, "bytes of RAM that zram takes for it: /sys/block/zramN/mm_stat mem_used_total"),
    Column::number("priority", 8, "the higher is used first: /proc/swaps"),
];

fn swap<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Swap", SWAP).from("swap", &[Source::SWAPS]);
    let Some(swap) = &ctx.model.memory.swap else {
        return table.empty(Strip::reason(ctx.no_data("swap", &[Source::SWAPS])));
    };
    let blank = || Cell::text("").tone(Tone::Dim);
    let devices = swap.devices.iter().map(|d| {
        let priority = Cell::number(Some(d.priority.into()), |n| format!("{n:.0}"));
        vec![Cell::text(d.path.as_str()), cells::bytes(Some(d.used)), cells::bytes(Some(d.size)), blank(), priority]
    });
    let zram = swap.zram.iter().map(|z| {
        let (stored, ram) = (cells::bytes(Some(z.original)), cells::bytes(Some(z.memory_used)));
        vec![Cell::text(z.device.as_str()), stored, cells::bytes(z.disk_size), ram, blank()]
    });
    let zswap = swap.zswap_enabled.filter(|on| *on).map(|_| {
        let info = ctx.model.memory.meminfo.as_ref();
        let stored = cells::bytes(info.and_then(|m| m.zswapped));
        vec![Cell::text("zswap"), stored, blank(), cells::bytes(info.and_then(|m| m.zswap)), blank()]
    });
    table.rows(devices.chain(zram).chain(zswap)).empty("no swap")
}

const NODES: &[Column] = &[
    Column::word("node", 4, "NUMA node: /sys/devices/system/node"),
    Column::number("RAM", 9, "bytes of RAM: nodeN/meminfo MemTotal"),
    Column::number("free", 9, "bytes free: nodeN/meminfo MemFree"),
    Column::number("of RAM", 7, "share of the node that is free: nodeN/meminfo"),
    Column::number("anon", 9, "bytes of anonymous memory: nodeN/meminfo AnonPages").rank(1),
    Column::number("file", 9, "bytes of page cache with tmpfs: nodeN/meminfo FilePages").rank(1),
    Column::number("miss/s", 8, "pages a second taken here though meant for another node: nodeN/numastat numa_miss"),
    Column::number("foreign/s", 9, "pages a second meant for here and taken elsewhere: nodeN/numastat numa_foreign"),
];

fn nodes<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("NUMA nodes", NODES).from("nodes", &[Source::NODES]);
    let Some(nodes) = &ctx.model.memory.nodes else {
        return table.empty(Strip::reason(ctx.no_data("nodes", &[Source::NODES])));
    };
    table
        .rows(nodes.iter().map(|n| {
            let info = n.now.meminfo.as_ref();
            vec![
                cells::id(n.now.node.into()),
                cells::bytes(info.and_then(|m| m.total)),
                cells::bytes(info.and_then(|m| m.free)),
                cells::ratio(n.free_ratio),
                cells::bytes(info.and_then(|m| m.anon_pages)),
                cells::bytes(info.and_then(|m| m.file_pages)),
                cells::rate(n.miss),
                cells::rate(n.foreign),
            ]
        }))
        .empty("the kernel lists no node")
}
