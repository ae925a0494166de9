//! Why nothing could be freed for the request.

use serde::Serialize;

use super::{
    limit::{Limit, Memory},
    usage::{Usage, What},
    zones::{ZoneCheck, ZoneVerdict},
};
use crate::{
    snapshot::oom_report::{OomReport, UseKind},
    units,
};

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// Which.
    pub cause: Cause,
    /// Bytes that it concerns.
    pub bytes: u64,
    /// Share of all memory that the limit is of; `None` if that is not known.
    pub share: Option<f64>,
    /// In words.
    pub text: String,
}

/// What kept memory from being freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Free memory is there, in blocks that are too small.
    Fragmentation,
    /// Free memory is there that this request may not use.
    Trapped,
    /// Anonymous memory, and no swap.
    NoSwap,
    /// Anonymous memory, and swap is full.
    SwapFull,
    /// Anonymous memory, and its cgroup may not swap any more.
    SwapLimit,
    /// Shared memory and files on tmpfs.
    Tmpfs,
    /// Locked memory.
    Locked,
    /// Page cache that has to be written first.
    Dirty,
    /// Memory of the kernel that nothing can take.
    Slab,
    /// Pools of huge pages.
    HugePages,
    /// Page tables.
    PageTables,
    /// Buffers of sockets.
    Sockets,
    /// Kernel memory of a cgroup.
    Kernel,
    /// Memory in no counter.
    Unaccounted,
    /// Page cache that was there, and was not taken.
    Cache,
}

/// A part of all memory from which it is worth a word.
const LEAST_SHARE: f64 = 0.05;

pub(super) fn reasons(report: &OomReport, limit: &Limit, usage: &Usage, zones: &[ZoneCheck]) -> Vec<Reason> {
    let mut out = Vec::new();
    if limit.memory == Memory::Sysrq {
        // Nobody asked for memory that could not be had.
        return out;
    }
    let total = usage.total.filter(|t| *t > 0);
    let share = |bytes: u64| total.map(|t| bytes as f64 / t as f64);
    let show = |bytes: u64| units::bytes(bytes as f64);
    let mut add = |cause: Cause, bytes: u64, text: String| {
        out.push(Reason { cause, bytes, share: share(bytes), text });
    };

    let no_block: Vec<_> = zones.iter().filter(|z| z.verdict == ZoneVerdict::NoBlock).collect();
    if !no_block.is_empty() {
        let free = no_block.iter().map(|z| z.free).fold(0, u64::saturating_add);
        add(Cause::Fragmentation, free, format!("{} is free, but in no block that is large enough", show(free)));
    }
    let trapped: u64 = zones.iter().map(|z| z.cma.saturating_add(z.highatomic)).fold(0, u64::saturating_add);
    if trapped > 0 {
        let what = "is free, but kept for movable memory (CMA) or for requests that may not wait";
        add(Cause::Trapped, trapped, format!("{} {what}", show(trapped)));
    }
    let locked = locked_of_cgroup(report, limit).min(usage.of(What::Anonymous));
    if share(locked).is_some_and(|s| s >= LEAST_SHARE) {
        add(Cause::Locked, locked, format!("{} is locked in RAM (mlock)", show(locked)));
    }
    // Next to nothing is no reason.
    let anon = usage.of(What::Anonymous).saturating_sub(locked);
    if share(anon).is_none_or(|s| s >= LEAST_SHARE) {
        anonymous(report, limit, anon, &mut add);
    }
    let pools = pools(report);
    let rest: [(Cause, What, &str); 8] = [
        (Cause::Tmpfs, What::Shared, "is on tmpfs or shared, which only swap or deleting takes away"),
        (Cause::Locked, What::Unevictable, "is locked in RAM (mlock, or the pages of drivers)"),
        (Cause::Slab, What::SlabUnreclaimable, "is slab of the kernel that nothing can take"),
        (Cause::HugePages, What::HugePages, &pools),
        (Cause::PageTables, What::PageTables, "is page tables"),
        (Cause::Sockets, What::Sockets, "is in buffers of sockets"),
        (Cause::Kernel, What::Kernel, "is other kernel memory of the cgroup (slab, stacks, pipes)"),
        (
            Cause::Kernel,
            What::KernelOther,
            "is kernel memory of the cgroup beside slab, page tables and stacks, such as pipes",
        ),
    ];
    for (cause, kind, text) in rest {
        let bytes = usage.of(kind);
        if share(bytes).is_some_and(|s| s >= LEAST_SHARE) {
            add(cause, bytes, format!("{} {text}", show(bytes)));
        }
    }
    let dirty = dirty(report, limit);
    if share(dirty).is_some_and(|s| s >= LEAST_SHARE) {
        add(Cause::Dirty, dirty, format!("{} is page cache that has to be written before it can go", show(dirty)));
    }
    // A victim that ends gives its memory back while the report is written: its numbers are of different moments.
    if report.exiting.is_none()
        && let Some(bytes) = usage.unaccounted.and_then(|n| u64::try_from(n).ok())
        && share(bytes).is_some_and(|s| s >= LEAST_SHARE)
    {
        add(
            Cause::Unaccounted,
            bytes,
            format!(
                "{} is in no counter of the report: zram, drivers, or pages that the kernel took directly",
                show(bytes)
            ),
        );
    }
    let cache = usage.of(What::Cache).saturating_sub(dirty);
    if share(cache).is_some_and(|s| s >= LEAST_SHARE) {
        add(
            Cause::Cache,
            cache,
            format!(
                "{} is page cache that was not taken: it is protected (memory.min, memory.low), or was in use again at once",
                show(cache)
            ),
        );
    }
    out.sort_by_key(|r| (special(r.cause), std::cmp::Reverse(r.bytes)));
    out
}

/// Free memory that does not help comes first: it is what surprises.
fn special(cause: Cause) -> u8 {
    u8::from(!matches!(cause, Cause::Fragmentation | Cause::Trapped))
}

fn anonymous(report: &OomReport, limit: &Limit, anon: u64, add: &mut impl FnMut(Cause, u64, String)) {
    if anon == 0 {
        return;
    }
    let show = |bytes: u64| units::bytes(bytes as f64);
    let (total, free) = (report.totals.swap_total, report.totals.swap_free);
    if limit.is_of_cgroup() {
        let state = report.memcg.as_ref();
        let swap = state.and_then(|s| s.of(UseKind::Swap));
        let both = state.and_then(|s| s.of(UseKind::MemorySwap));
        let memory = state.and_then(|s| s.of(UseKind::Memory));
        // Swap is given out in clusters: the last of it is never used up.
        let full = |u: &crate::snapshot::oom_report::MemcgUse| u.limit.is_some_and(|l| u.usage >= l - l / 16);
        let text = if swap.is_some_and(|s| s.limit == Some(0)) {
            format!("{} is anonymous, and the cgroup may not swap (memory.swap.max is 0)", show(anon))
        } else if swap.is_some_and(full) {
            format!("{} is anonymous, and the cgroup's swap is used up", show(anon))
        } else if both.is_some_and(full) {
            format!("{} is anonymous, and its limit of memory and swap is met: swapping would not help", show(anon))
        } else if swap.is_some_and(|s| s.usage == 0)
            || both.is_some_and(|b| memory.is_some_and(|m| b.usage <= m.usage))
            || state.and_then(|s| s.stat("swap")) == Some(0)
        {
            return add(
                Cause::NoSwap,
                anon,
                format!(
                    "{} is anonymous, and nothing of it is in swap: there is none, or it may not be used",
                    show(anon)
                ),
            );
        } else {
            return add(Cause::SwapFull, anon, format!("{} is anonymous, and swap took no more of it", show(anon)));
        };
        return add(Cause::SwapLimit, anon, text);
    }
    match (total, free) {
        (Some(0), _) => add(Cause::NoSwap, anon, format!("{} is anonymous, and the host has no swap", show(anon))),
        (Some(total), Some(free)) if free < total / 50 => {
            add(
                Cause::SwapFull,
                anon,
                format!("{} is anonymous, and swap is full: {} of {} free", show(anon), show(free), show(total)),
            );
        }
        (Some(total), Some(free)) => {
            add(
                Cause::SwapFull,
                anon,
                format!(
                    "{} is anonymous, and was not swapped out fast enough: {} of {} swap is free",
                    show(anon),
                    show(free),
                    show(total)
                ),
            );
        }
        _ => {
            add(
                Cause::NoSwap,
                anon,
                format!("{} is anonymous; whether there is swap is not in the report", show(anon)),
            );
        }
    }
}

/// What is said of pools of huge pages.
fn pools(report: &OomReport) -> String {
    let free = report.huge_pages.iter().map(|h| h.size.saturating_mul(h.free)).fold(0, u64::saturating_add);
    format!("is set aside in pools of huge pages ({} of them unused)", units::bytes(free as f64))
}

/// Bytes of a cgroup that cannot be taken, which its other numbers count as anonymous. Tmpfs that is locked is told as tmpfs.
fn locked_of_cgroup(report: &OomReport, limit: &Limit) -> u64 {
    let state = report.memcg.as_ref().filter(|_| limit.is_of_cgroup());
    state.and_then(|m| m.stat("total_unevictable").or(m.stat("unevictable"))).unwrap_or(0)
}

/// Bytes of page cache that is dirty or being written.
fn dirty(report: &OomReport, limit: &Limit) -> u64 {
    let of_memcg = |names: [&str; 2]| {
        report.memcg.as_ref().map(|m| names.iter().filter_map(|n| m.stat(n)).fold(0, u64::saturating_add))
    };
    if limit.is_of_cgroup() {
        let v2 = of_memcg(["file_dirty", "file_writeback"]).filter(|n| *n > 0);
        return v2.or_else(|| of_memcg(["total_dirty", "total_writeback"])).unwrap_or(0);
    }
    report.counter("dirty").unwrap_or(0).saturating_add(report.counter("writeback").unwrap_or(0))
}
