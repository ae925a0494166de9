//! Where RAM is: its parts, LRU lists, dirty cache, swap, slab, tmpfs, huge pages, NUMA nodes.

use super::{Page, bytes, bytes_rate, events, list, plural, share};
use crate::{
    output::text::{Column, Cut, Table},
    snapshot::{coverage::Source, memory::SysvShm},
    units,
};

/// Share of RAM from which a part is shown.
const WORTH_A_ROW: f64 = 0.0005;

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    breakdown(out, page);
    lists(out, page);
    swap(out, page);
    slabs(out, page);
    tmpfs(out, page);
    hugepages(out, page);
    nodes(out, page);
}

const PARTS: &[Column] =
    &[Column::right("bytes"), Column::right("of RAM"), Column::left("what"), Column::cut("/proc/meminfo", Cut::End)];

fn breakdown(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Where RAM is");
    let Some(breakdown) = &page.model.memory.breakdown else {
        return page.not_read(out, "its parts", Source::MEMINFO);
    };
    let total = breakdown.total.max(1) as f64;
    let share = |bytes: f64| units::percent(bytes / total);
    let mut table = Table::new(PARTS);
    let mut parts: Vec<_> = breakdown.parts.iter().filter(|p| p.bytes as f64 >= total * WORTH_A_ROW).collect();
    parts.sort_by_key(|p| std::cmp::Reverse(p.bytes));
    for p in parts {
        let bytes = p.bytes as f64;
        let source = p.source.strip_prefix("/proc/meminfo ").unwrap_or(p.source);
        table.row([units::bytes(bytes), share(bytes), p.name.to_owned(), source.to_owned()]);
    }
    let rest = breakdown.unexplained.max(0) as f64;
    table.row([units::bytes(rest), share(rest), "in no counter".to_owned(), "MemTotal less all above".to_owned()]);
    table.render(out, page.style, 2);
    if !breakdown.not_counted.is_empty() {
        let text = format!("not read, and so in no counter here: {}", breakdown.not_counted.join(", "));
        page.style.paragraph(out, "  ", 2, &text);
    }
}

fn lists(out: &mut String, page: &Page<'_>) {
    page.subject(out, "LRU lists and writeback");
    let Some(info) = &page.model.memory.meminfo else {
        return page.not_read(out, "lists", Source::MEMINFO);
    };
    let text = format!(
        "anonymous {} active, {} inactive; file {} active, {} inactive; unevictable {}, of it locked {}",
        bytes(info.active_anon),
        bytes(info.inactive_anon),
        bytes(info.active_file),
        bytes(info.inactive_file),
        bytes(info.unevictable),
        bytes(info.mlocked)
    );
    page.fact(out, "LRU", &text);
    let vm = &page.model.memory.vm;
    let text = format!(
        "{} dirty, {} under writeback; writeback begins at {}, writers wait from about {}",
        bytes(info.dirty),
        bytes(info.writeback),
        bytes(vm.dirty_background_threshold),
        bytes(vm.dirty_threshold.zip(vm.dirty_background_threshold).map(|(a, b)| a.midpoint(b)))
    );
    page.fact(out, "dirty", &text);
    if page.model.coverage.source_reason(Source::VMSTAT).is_some() {
        page.not_read(out, "thresholds of dirty cache", Source::VMSTAT);
    }
}

fn swap(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Swap devices");
    let Some(swap) = &page.model.memory.swap else {
        return page.not_read(out, "swap devices", Source::SWAPS);
    };
    if swap.devices.is_empty() && swap.zram.is_empty() {
        out.push_str("  none\n");
    }
    for device in &swap.devices {
        let text = format!(
            "{} ({}), {} used of {}, priority {}",
            device.path,
            device.kind,
            units::bytes(device.used as f64),
            units::bytes(device.size as f64),
            device.priority
        );
        page.fact(out, "swap", &text);
    }
    for zram in &swap.zram {
        let text = format!(
            "{}: {} stored in {} of RAM ({} compressed){}",
            zram.device,
            units::bytes(zram.original as f64),
            units::bytes(zram.memory_used as f64),
            units::bytes(zram.compressed as f64),
            if zram.memory_limit > 0 {
                format!(", limit {}", units::bytes(zram.memory_limit as f64))
            } else {
                String::new()
            }
        );
        page.fact(out, "zram", &text);
    }
    if swap.zswap_enabled == Some(true) {
        let info = page.model.memory.meminfo.as_ref();
        let text =
            format!("{} stored in {} of RAM", bytes(info.and_then(|m| m.zswapped)), bytes(info.and_then(|m| m.zswap)));
        page.fact(out, "zswap", &text);
    }
}

const SLABS: &[Column] = &[
    Column::cut("slab cache", Cut::End),
    Column::right("bytes"),
    Column::right("growth"),
    Column::right("objects"),
    Column::right("object"),
    Column::right("in use"),
];

fn slabs(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Slab");
    let Some(slabs) = &page.model.memory.slabs else {
        return page.not_read(out, "slab by cache", Source::SLABINFO);
    };
    list(out, page, SLABS, slabs, |cache| {
        [
            cache.now.name.to_string(),
            units::bytes(cache.now.bytes as f64),
            bytes_rate(cache.growth),
            units::count(cache.now.objects as f64),
            units::bytes(cache.now.object_bytes as f64),
            share(cache.active_ratio),
        ]
    });
}

const TMPFS: &[Column] = &[
    Column::cut("tmpfs", Cut::Start),
    Column::right("used"),
    Column::right("of its size"),
    Column::right("growth"),
    Column::right("files"),
    Column::right("seen by pid"),
];

fn tmpfs(out: &mut String, page: &Page<'_>) {
    page.subject(out, "tmpfs and shared memory");
    let Some(shmem) = &page.model.memory.shmem else {
        return page.not_read(out, "tmpfs", Source::TMPFS);
    };
    let used: Vec<_> = shmem.tmpfs.iter().filter(|t| !t.is_empty()).collect();
    if used.is_empty() {
        out.push_str("  every tmpfs is empty\n");
    } else {
        list(out, page, TMPFS, &used, |t| {
            [
                t.now.mount_point.to_string(),
                bytes(t.now.used),
                t.used_ratio.map_or_else(|| "no limit".to_owned(), units::percent),
                bytes_rate(t.growth),
                units::or_unknown(t.now.inodes.map(|n| n as f64), units::count),
                t.now.seen_by_pid.map_or_else(|| "observer".to_owned(), |pid| pid.to_string()),
            ]
        });
    }
    if used.iter().any(|t| t.now.used.is_none()) {
        page.fact(out, "no limit", "without a size the kernel does not tell what a tmpfs holds");
    }
    match &shmem.sysv {
        None => page.not_read(out, "System V", Source::SYSVIPC),
        Some(sysv) if sysv.segments == 0 => {}
        Some(sysv) => page.fact(out, "System V", &segments(sysv)),
    }
    let text = format!("{} in no tmpfs and no segment seen: memfd, shared mappings", bytes(shmem.outside));
    page.fact(out, "other", &text);
    if shmem.namespaces_not_read > 0 {
        page.fact(out, "not read", &plural(shmem.namespaces_not_read, "mount namespace"));
    }
}

fn segments(sysv: &SysvShm) -> String {
    format!(
        "{} in {}, {} of them attached to no process",
        units::bytes(sysv.rss as f64),
        plural(sysv.segments, "segment"),
        units::bytes(sysv.unattached_rss as f64)
    )
}

fn hugepages(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Pools of huge pages");
    let Some(pools) = &page.model.memory.hugepages else {
        return page.not_read(out, "pools", Source::HUGEPAGES);
    };
    let used: Vec<_> = pools.iter().filter(|p| p.total.unwrap_or(0) + p.surplus.unwrap_or(0) > 0).collect();
    if used.is_empty() {
        out.push_str("  all are empty\n");
    }
    for pool in used {
        let count = |n: Option<u64>| units::or_unknown(n.map(|n| n as f64), units::count);
        let text = format!(
            "{} pages of {}, {} free, {} promised, {} above the pool's size",
            count(pool.total),
            units::bytes(pool.page_bytes as f64),
            count(pool.free),
            count(pool.reserved),
            count(pool.surplus)
        );
        page.fact(out, "huge", &text);
    }
}

const NODES: &[Column] = &[
    Column::right("node"),
    Column::right("RAM"),
    Column::right("free"),
    Column::right("anonymous"),
    Column::right("file"),
    Column::right("missed"),
    Column::right("foreign"),
];

fn nodes(out: &mut String, page: &Page<'_>) {
    // One node is the host.
    if page.model.memory.nodes.as_ref().is_some_and(|nodes| nodes.len() < 2) {
        return;
    }
    page.subject(out, "NUMA nodes: pages that missed their node, and foreign ones taken");
    let Some(nodes) = &page.model.memory.nodes else {
        return page.not_read(out, "nodes", Source::NODES);
    };
    let mut table = Table::new(NODES);
    for node in nodes {
        let info = node.now.meminfo.as_ref();
        table.row([
            node.now.node.to_string(),
            bytes(info.and_then(|m| m.total)),
            bytes(info.and_then(|m| m.free)),
            bytes(info.and_then(|m| m.anon_pages)),
            bytes(info.and_then(|m| m.file_pages)),
            events(node.miss),
            events(node.foreign),
        ]);
    }
    table.render(out, page.style, 2);
}
