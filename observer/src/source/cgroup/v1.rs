//! Files of a memory cgroup of version 1.

use std::os::fd::BorrowedFd;

use super::{Files, Left, kills::Kills};
use crate::snapshot::cgroup::{Cgroup, CgroupStat};
use crate::source::Malformed;
use crate::source::lines::{Fields, Unit, single_number};

/// Names that memory.stat has on version 1 for what version 2 calls otherwise, children included.
const TOTALS: &[(&str, &str)] = &[
    ("anon", "total_rss"),
    ("file", "total_cache"),
    ("shmem", "total_shmem"),
    ("file_mapped", "total_mapped_file"),
    ("file_dirty", "total_dirty"),
    ("file_writeback", "total_writeback"),
    ("inactive_anon", "total_inactive_anon"),
    ("active_anon", "total_active_anon"),
    ("inactive_file", "total_inactive_file"),
    ("active_file", "total_active_file"),
    ("unevictable", "total_unevictable"),
    ("anon_thp", "total_rss_huge"),
    ("swapcached", "total_swapcached"),
    ("pgfault", "total_pgfault"),
    ("pgmajfault", "total_pgmajfault"),
    ("workingset_refault_anon", "total_workingset_refault_anon"),
    ("workingset_refault_file", "total_workingset_refault_file"),
];

/// Reads one cgroup.
pub(super) fn read(
    folder: BorrowedFd<'_>,
    files: &mut Files<'_>,
    kills: &mut Kills,
    cgroup: &mut Cgroup,
) -> Result<(), Left> {
    let page_size = files.page_size;
    cgroup.usage = files.get(folder, "memory.usage_in_bytes", |b| single_number(b, "the usage"))?;
    let stat = files.get(folder, "memory.stat", |b| parse_stat(b, page_size))?.unwrap_or_default();
    // The lowest limit of the cgroup and all above it: if there is none, then it has none itself, and a file is saved.
    let limit = match stat.hierarchical_limit.filter(|limit| is_unlimited(*limit, page_size)) {
        Some(none) => Some(none),
        None => files.get(folder, "memory.limit_in_bytes", |b| single_number(b, "the limit"))?,
    };
    cgroup.limit = limit.filter(|limit| !is_unlimited(*limit, page_size));
    cgroup.unlimited = limit.is_some() && cgroup.limit.is_none();
    // Version 1 counts in each cgroup the hits of its own limits only. Where memory and swap together have the limit of
    // memory alone, it is that limit which is met, and its count that grows.
    let hits = files.get(folder, "memory.failcnt", |b| single_number(b, "the count"))?;
    let with_swap = match stat.memory_and_swap_limit {
        Some(limit) if !is_unlimited(limit, page_size) => {
            files.get_if_there(folder, "memory.memsw.failcnt", |b| single_number(b, "the count"))?
        }
        _ => None,
    };
    cgroup.limit_hits = hits.map(|hits| hits + with_swap.unwrap_or(0));
    cgroup.own_limit_hits = cgroup.limit_hits;
    cgroup.oom_kills = match kills.known(cgroup.id) {
        Some(known) => Some(known),
        None => files.get(folder, "memory.oom_control", oom_kills)?.flatten(),
    };
    kills.note(cgroup.id, cgroup.oom_kills);
    // Version 1 counts a kill in the victim's own cgroup only.
    cgroup.own_oom_kills = cgroup.oom_kills;
    cgroup.peak = files.get(folder, "memory.max_usage_in_bytes", |b| single_number(b, "the peak"))?;
    // Without accounting of swap, or of kernel memory, the files are not there.
    cgroup.kernel =
        files.get_if_there(folder, "memory.kmem.usage_in_bytes", |b| single_number(b, "the kernel memory"))?;
    cgroup.swap_limit = stat.memory_and_swap_limit.filter(|limit| !is_unlimited(*limit, page_size));
    (cgroup.stat, cgroup.swap) = (stat.stat, stat.swap);
    Ok(())
}

/// No limit is the largest multiple of the page size that fits into a signed number.
fn is_unlimited(limit: u64, page_size: u64) -> bool {
    limit >= i64::MAX.cast_unsigned() / page_size.max(1) * page_size
}

/// Line `oom_kill` of memory.oom_control, which came with Linux 4.13.
fn oom_kills(bytes: &[u8]) -> Result<Option<u64>, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    fields.checked(fields.get("oom_kill"))
}

/// What memory.stat tells on version 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stat {
    /// The lines that version 2 has too, under its names.
    pub stat: Option<CgroupStat>,
    /// Bytes in swap. Where swap is not accounted there is no such line.
    pub swap: Option<u64>,
    /// The lowest limit of the cgroup and all above it.
    pub hierarchical_limit: Option<u64>,
    /// The lowest limit of memory and swap together of the cgroup and all above it.
    pub memory_and_swap_limit: Option<u64>,
}

/// Parses memory.stat.
pub fn parse_stat(bytes: &[u8], page_size: u64) -> Result<Stat, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    let hierarchical_limit = fields.get("hierarchical_memory_limit");
    let total = |name: &str| TOTALS.iter().find(|(v2, _)| *v2 == name).and_then(|(_, v1)| fields.get(v1));
    let stat = Some(CgroupStat::from_lookup(page_size, total));
    let swap = fields.get("total_swap");
    let memory_and_swap_limit = fields.get("hierarchical_memsw_limit");
    fields.checked(Stat { stat, swap, hierarchical_limit, memory_and_swap_limit })
}
