//! What RAM is, the lists of reclaim, and dirty page cache.

use super::{super::table::Origin, Context, Strip, Tone};
use crate::{
    model::memory::Memory,
    output::tui::strip::About,
    snapshot::{coverage::Source, memory::Meminfo},
    units,
};

const MEMINFO: Origin = ("memory", &[Source::MEMINFO]);
const VMSTAT: Origin = ("memory", &[Source::VMSTAT]);

const TOTAL: About = About::new("RAM", "bytes of RAM that the kernel manages", "/proc/meminfo MemTotal", MEMINFO);
const AVAILABLE: About =
    About::new("available", "bytes that new work may take without swapping", "/proc/meminfo MemAvailable", MEMINFO);
const AVAILABLE_SHARE: About = About::new(
    "available",
    "share of RAM that new work may take without swapping",
    "/proc/meminfo MemAvailable / MemTotal",
    MEMINFO,
);
const SWAP_USED: About = About::new("swap", "bytes of swap in use", "/proc/meminfo SwapTotal - SwapFree", MEMINFO);
const SWAP_TOTAL: About = About::new("swap", "bytes of swap in all", "/proc/meminfo SwapTotal", MEMINFO);
const REFAULTS: About = About::new(
    "refaults",
    "bytes a second that were needed again soon after reclaim took them",
    "/proc/vmstat workingset_refault_{anon,file}",
    VMSTAT,
);
const SWAPPED_IN: About = About::new("swapped in", "bytes a second read from swap", "/proc/vmstat pswpin", VMSTAT);
const GAUGE: About = About::new(
    "bar",
    "bytes of RAM by use, each letter the same share of all; the letters are named below",
    "/proc/meminfo",
    MEMINFO,
);

/// A part of RAM: its letter, how it is named below the gauge, and what it is.
type Part = (&'static str, &'static str, About);

const ANON: Part =
    ("a", " anon ", About::new("anon", "bytes of anonymous memory of processes", "/proc/meminfo AnonPages", MEMINFO));
const CACHE: Part = (
    "c",
    " page cache ",
    About::new("page cache", "bytes of files in RAM, without tmpfs", "/proc/meminfo Cached + Buffers - Shmem", MEMINFO),
);
const TMPFS: Part =
    ("t", " tmpfs ", About::new("tmpfs", "bytes of tmpfs and shared memory", "/proc/meminfo Shmem", MEMINFO));
const HUGETLB: Part =
    ("h", " hugetlb ", About::new("hugetlb", "bytes set aside for huge pages", "/proc/meminfo Hugetlb", MEMINFO));
const SLAB: Part = ("s", " slab ", About::new("slab", "bytes of slabs of the kernel", "/proc/meminfo Slab", MEMINFO));
const OTHER: Part = (
    "k",
    " other kernel ",
    About::new(
        "other kernel",
        "bytes of RAM that are none of the other parts",
        "/proc/meminfo, MemTotal less all of them",
        MEMINFO,
    ),
);
const FREE: Part = (".", " free ", About::new("free", "bytes free", "/proc/meminfo MemFree", MEMINFO));

/// What RAM is. The parts add up to all of it.
fn parts(memory: &Memory) -> Option<Vec<(Part, u64)>> {
    let m = memory.meminfo.as_ref()?;
    let (total, free) = m.total.zip(m.free)?;
    let known = [
        (ANON, m.anon_pages?),
        (CACHE, memory.reclaimable_cache?),
        (TMPFS, m.shmem?),
        (HUGETLB, m.hugetlb.unwrap_or(0)),
        (SLAB, m.slab?),
    ];
    let sum: u64 = known.iter().map(|(_, bytes)| bytes).sum();
    let other = total.saturating_sub(free).saturating_sub(sum);
    let parts = known.into_iter().filter(|(part, bytes)| part.0 != HUGETLB.0 || *bytes > 0);
    Some(parts.chain([(OTHER, other), (FREE, free)]).collect())
}

/// How much there is, a gauge of what it is, and its legend.
pub(super) fn lines(ctx: &Context<'_>) -> Vec<Strip> {
    let memory = &ctx.model.memory;
    let sign = Strip::sign("Memory");
    let Some((info, parts)) = memory.meminfo.as_ref().zip(parts(memory)) else {
        return vec![sign.missing(&TOTAL, ctx)];
    };
    let sizes = parts.iter().map(|((letter, ..), bytes)| (*letter, *bytes as f64)).collect();
    let legend = parts.iter().enumerate().fold(Strip::below(), |strip, (i, ((letter, name, about), bytes))| {
        strip.letter(letter, i).label(name).bytes(about, Some(*bytes))
    });
    vec![totals(memory, info, sign), Strip::sign("").gauge(&GAUGE, sizes), legend.flow()]
}

fn totals(memory: &Memory, info: &Meminfo, sign: Strip) -> Strip {
    let tone = match memory.available_ratio {
        Some(r) if r < 0.05 => Tone::Bad,
        Some(r) if r < 0.1 => Tone::Warn,
        _ => Tone::Plain,
    };
    let sign = sign
        .bytes(&TOTAL, info.total)
        .label(", available ")
        .number_toned(&AVAILABLE, info.available.map(|v| v as f64), units::bytes, tone)
        .label(" = ")
        .number_toned(&AVAILABLE_SHARE, memory.available_ratio, units::percent, tone);
    let sign = match info.swap_total {
        Some(0) => sign.label(", no swap"),
        total => {
            let used = total.zip(info.swap_free).map(|(total, free)| total.saturating_sub(free));
            sign.label(", swap ").bytes(&SWAP_USED, used).label(" of ").bytes(&SWAP_TOTAL, total)
        }
    };
    let vm = &memory.vm;
    let refaults = vm.refault_anon.zip(vm.refault_file).map(|(a, f)| a + f);
    let sign = sign.label(", refaults ").number(&REFAULTS, refaults, units::bytes_per_second);
    if info.swap_total.is_some_and(|total| total > 0) {
        sign.label(", swapped in ").number(&SWAPPED_IN, vm.swap_in, units::bytes_per_second)
    } else {
        sign
    }
}

const LRU: [About; 5] = [
    About::new("active anon", "bytes of anonymous memory in use of late", "/proc/meminfo Active(anon)", MEMINFO),
    About::new(
        "inactive anon",
        "bytes of anonymous memory that reclaim looks at first",
        "/proc/meminfo Inactive(anon)",
        MEMINFO,
    ),
    About::new("active file", "bytes of page cache in use of late", "/proc/meminfo Active(file)", MEMINFO),
    About::new(
        "inactive file",
        "bytes of page cache that reclaim looks at first",
        "/proc/meminfo Inactive(file)",
        MEMINFO,
    ),
    About::new("unevictable", "bytes that reclaim may not take", "/proc/meminfo Unevictable", MEMINFO),
];
const DIRTY: About = About::new("dirty", "bytes waiting to be written", "/proc/meminfo Dirty", MEMINFO);
const WRITEBACK: About = About::new("written now", "bytes being written", "/proc/meminfo Writeback", MEMINFO);
const BACKGROUND: About = About::new(
    "writeback begins at",
    "bytes of dirty page cache from which the kernel writes it in the background",
    "/proc/vmstat nr_dirty_background_threshold",
    VMSTAT,
);
const WAIT: About = About::new(
    "writers wait from",
    "bytes of dirty page cache from which writers are slowed down",
    "/proc/vmstat, half way from nr_dirty_background_threshold to nr_dirty_threshold",
    VMSTAT,
);

/// LRU lists, and dirty page cache against the kernel's thresholds.
pub(super) fn lists(ctx: &Context<'_>) -> Vec<Strip> {
    let Some(info) = &ctx.model.memory.meminfo else {
        return vec![Strip::sign("LRU").missing(&LRU[0], ctx), Strip::sign("Dirty").missing(&DIRTY, ctx)];
    };
    let [active_anon, inactive_anon, active_file, inactive_file, unevictable] = &LRU;
    let lru = Strip::sign("LRU")
        .label("anon active ")
        .bytes(active_anon, info.active_anon)
        .label(" inactive ")
        .bytes(inactive_anon, info.inactive_anon)
        .label(", file active ")
        .bytes(active_file, info.active_file)
        .label(" inactive ")
        .bytes(inactive_file, info.inactive_file)
        .label(", unevictable ")
        .bytes(unevictable, info.unevictable);
    let vm = &ctx.model.memory.vm;
    let wait = vm.dirty_threshold.zip(vm.dirty_background_threshold).map(|(limit, begin)| limit.midpoint(begin));
    let held = info.dirty.zip(info.writeback).map(|(dirty, writeback)| dirty + writeback);
    let tone = if held.zip(wait).is_some_and(|(held, wait)| held >= wait) { Tone::Warn } else { Tone::Plain };
    let dirty = Strip::sign("Dirty")
        .number_toned(&DIRTY, info.dirty.map(|v| v as f64), units::bytes, tone)
        .label(", written now ")
        .bytes(&WRITEBACK, info.writeback)
        .label(", begins at ")
        .bytes(&BACKGROUND, vm.dirty_background_threshold)
        .label(", writers wait at ")
        .bytes(&WAIT, wait);
    vec![lru, dirty]
}
