//! Which processes of the kernel's maps still exist.

use std::{collections::HashMap, io};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};

use observer_ebpf::abi::Plain;

use super::maps::Table;

/// Inode of the first PID namespace (`PROC_PID_INIT_INO`), whose numbers the kernel side uses.
const INIT_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Tells whether a process of the host is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Liveness {
    /// False inside a PID namespace of a container, where the kernel side's numbers mean nothing.
    sees_host: bool,
}

impl Liveness {
    /// Looks at observer's own PID namespace.
    pub(super) fn new() -> Self {
        let own = std::fs::read_link("/proc/self/ns/pid");
        Self { sees_host: own.is_ok_and(|link| link.as_os_str() == INIT_PID_NAMESPACE) }
    }

    /// True if there surely is no such process. The idle task, 0, never goes.
    pub(super) fn is_gone(self, tgid: u32) -> bool {
        let Ok(pid) = i32::try_from(tgid) else { return false };
        self.sees_host && pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
    }
}

/// Rows of a table, and those that were taken out of it.
pub(super) type Rows<K, V> = (Vec<(K, V)>, Vec<(K, V)>);

impl Liveness {
    /// Reads a table whose keys belong to processes: `owner` gives the pid and the start of a key's. What belongs to a process
    /// whose pid is another's by now is taken out and handed over second, so that a pid stands for one process; when the
    /// table is more than half full, so is what belongs to any process that has ended.
    pub(super) fn rows<K: Plain, V: Plain>(
        self,
        table: &mut Table<K, V>,
        capacity: u32,
        owner: impl Fn(&K) -> (u32, u64),
    ) -> io::Result<Rows<K, V>> {
        let mut rows = Vec::new();
        table.for_each(|key, value| rows.push((*key, *value)))?;
        let crowded = rows.len() > capacity as usize / 2;
        let newest = newest(rows.iter().map(|(key, _)| owner(key)));
        let ended = |(key, _): &(K, V)| {
            let (tgid, start_ns) = owner(key);
            is_replaced(&newest, tgid, start_ns) || crowded && self.is_gone(tgid)
        };
        let (gone, living): (Vec<_>, Vec<_>) = rows.into_iter().partition(ended);
        gone.iter().try_for_each(|(key, _)| table.delete(key))?;
        Ok((living, gone))
    }
}

/// The last start of each pid, in nanoseconds: a process of that pid with an earlier one has ended.
pub(super) fn newest(owners: impl Iterator<Item = (u32, u64)>) -> HashMap<u32, u64> {
    let mut newest = HashMap::new();
    for (tgid, start_ns) in owners {
        let last = newest.entry(tgid).or_insert(start_ns);
        *last = start_ns.max(*last);
    }
    newest
}

/// True if a later process has the pid.
pub(super) fn is_replaced(newest: &HashMap<u32, u64>, tgid: u32, start_ns: u64) -> bool {
    newest.get(&tgid).is_some_and(|last| *last > start_ns)
}

/// Cuts a start time to whole clock ticks, as /proc/PID/stat gives it, so that the two are equal for one process.
pub(super) fn in_ticks(start_ns: u64) -> u64 {
    /// `USER_HZ` is 100 on every architecture that the kernel side is built for.
    const TICK_NS: u64 = 10_000_000;
    start_ns - start_ns % TICK_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_that_of_the_last_process_that_got_it() {
        let newest = newest([(7, 100), (7, 900), (8, 50)].into_iter());
        assert!(is_replaced(&newest, 7, 100));
        assert!(!is_replaced(&newest, 7, 900) && !is_replaced(&newest, 8, 50) && !is_replaced(&newest, 9, 1));
    }

    #[test]
    fn a_reaped_child_is_gone_and_observer_is_not() {
        let liveness = Liveness { sees_host: true };
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        assert!(!liveness.is_gone(pid), "a zombie still has its number");
        child.wait().unwrap();
        assert!(liveness.is_gone(pid));
        assert!(!liveness.is_gone(std::process::id()) && !liveness.is_gone(0));
        assert!(!Liveness { sees_host: false }.is_gone(pid), "in a container nobody is called gone");
    }
}
