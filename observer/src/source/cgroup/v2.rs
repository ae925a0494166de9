//! Files of a memory cgroup of version 2.

use std::os::fd::BorrowedFd;

use super::{Files, Left};
use crate::snapshot::cgroup::{Cgroup, CgroupStat};
use crate::source::Malformed;
use crate::source::lines::{Fields, Unit, single_number};
use crate::source::pressure;

/// Reads one cgroup. The top of the hierarchy has memory.stat and memory.pressure only: it has no limit, and its use is
/// that of the host. A part of the hierarchy that is mounted as a whole has a top with every file.
pub fn read(folder: BorrowedFd<'_>, is_top: bool, files: &mut Files<'_>, cgroup: &mut Cgroup) -> Result<(), Left> {
    let page_size = files.page_size;
    cgroup.usage = files.get_if_there(folder, "memory.current", |b| single_number(b, "the usage"))?;
    match cgroup.usage {
        Some(_) => read_limits(folder, files, cgroup)?,
        None if is_top => {}
        // The controller is switched on from the top down: what is below has none either.
        None => return Err(Left::NoController),
    }
    cgroup.stat = files.get(folder, "memory.stat", |b| parse_stat(b, page_size))?;
    cgroup.kernel = cgroup.stat.as_ref().and_then(|stat| stat.kernel);
    cgroup.pressure = files.get(folder, "memory.pressure", pressure::resource)?;
    Ok(())
}

fn read_limits(folder: BorrowedFd<'_>, files: &mut Files<'_>, cgroup: &mut Cgroup) -> Result<(), Left> {
    let max = files.get(folder, "memory.max", limit)?;
    cgroup.unlimited = max == Some(None);
    cgroup.limit = max.flatten();
    cgroup.high = files.get(folder, "memory.high", limit)?.flatten();
    cgroup.swap = files.get(folder, "memory.swap.current", |b| single_number(b, "the swap"))?;
    cgroup.swap_limit = files.get(folder, "memory.swap.max", limit)?.flatten();
    cgroup.low = files.get(folder, "memory.low", |b| Ok(limit(b)?.unwrap_or(u64::MAX)))?;
    cgroup.min = files.get(folder, "memory.min", |b| Ok(limit(b)?.unwrap_or(u64::MAX)))?;
    // Since Linux 5.19.
    cgroup.peak = files.get_if_there(folder, "memory.peak", |b| single_number(b, "the peak"))?;
    let all = files.get(folder, "memory.events", events)?.unwrap_or_default();
    (cgroup.limit_hits, cgroup.high_hits, cgroup.oom_kills) = (all.max, all.high, all.oom_kill);
    cgroup.oom_group_kills = all.oom_group_kill;
    let own = files.get(folder, "memory.events.local", events)?.unwrap_or_default();
    (cgroup.own_limit_hits, cgroup.own_ooms, cgroup.own_oom_kills) = (own.max, own.oom, own.oom_kill);
    Ok(())
}

/// A limit in bytes, or `max` for none.
fn limit(bytes: &[u8]) -> Result<Option<u64>, Malformed> {
    if bytes.trim_ascii() == b"max" { Ok(None) } else { single_number(bytes, "the limit").map(Some) }
}

/// Lines of memory.events.
#[derive(Debug, Default)]
struct Events {
    max: Option<u64>,
    high: Option<u64>,
    oom: Option<u64>,
    oom_kill: Option<u64>,
    oom_group_kill: Option<u64>,
}

fn events(bytes: &[u8]) -> Result<Events, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    let line = |name| fields.get(name);
    fields.checked(Events {
        max: line("max"),
        high: line("high"),
        oom: line("oom"),
        oom_kill: line("oom_kill"),
        oom_group_kill: line("oom_group_kill"),
    })
}

/// Removed cgroups that still hold memory, from cgroup.stat of the top. `None` if the kernel does not tell.
pub fn dying(bytes: &[u8]) -> Result<Option<u64>, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    // Those of the memory controller alone since Linux 6.12; before it a cgroup that any controller holds on to.
    let dying = fields.get("nr_dying_subsys_memory").or_else(|| fields.get("nr_dying_descendants"));
    fields.checked(dying)
}

/// memory.stat, children included.
pub fn parse_stat(bytes: &[u8], page_size: u64) -> Result<CgroupStat, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    fields.checked(CgroupStat::from_lookup(page_size, |name| fields.get(name)))
}
