//! The lines of the kill and of the reaper.

use super::text::{after, find, find_last, leading, leading_signed, name, number_after, some_name};
use crate::snapshot::{
    Name,
    oom_report::{Exiting, Kill, Reaped},
};

/// Texts before the process id of a kill.
const VERBS: [&[u8]; 4] = [b"Killed process ", b"Kill process ", b"Killing process ", b"kill process "];

/// A line of a kill, of every age:
/// `Out of memory: Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0`,
/// `Memory cgroup out of memory: Kill process 1 (x) score 958 or sacrifice child`,
/// `Killed process 1, UID 27, (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB`.
pub(super) fn kill(line: &[u8]) -> Option<Kill> {
    let (at, verb) = VERBS.iter().find_map(|verb| Some((find(line, verb)?, *verb)))?;
    // Other programs kill processes as well and say so: the kernel's words before it are these or none.
    let reason = line.get(..at)?.trim_ascii().strip_suffix(b":").unwrap_or_default();
    if at != 0 && find(&reason.to_ascii_lowercase(), b"out of memory").is_none() {
        return None;
    }
    let rest = line.get(at + verb.len()..)?;
    let pid = u32::try_from(leading(rest)?).ok()?;
    let open = find(rest, b"(")?;
    // The name may have brackets of its own; what follows it has none.
    let close =
        [&b") total-vm:"[..], b") vsz:", b") score ", b"), UID", b"), "].iter().find_map(|end| find_last(rest, end));
    let close = close.or_else(|| rest.iter().rposition(|b| *b == b')'))?;
    let (before, tail) = (rest.get(..open)?, rest.get(close + 1..)?);
    let kb = |key: &[u8]| number_after(tail, key).and_then(|n| n.checked_mul(1024));
    let uid =
        number_after(before, b"UID ").or_else(|| number_after(tail, b"UID:")).or_else(|| number_after(tail, b"UID "));
    Some(Kill {
        pid,
        comm: Name::from_bytes(rest.get(open + 1..close)?),
        reason: name(reason),
        score: number_after(tail, b" score "),
        total_vm: kb(b"total-vm:").or_else(|| kb(b"vsz:")),
        anon_rss: kb(b"anon-rss:"),
        file_rss: kb(b"file-rss:"),
        shmem_rss: kb(b"shmem-rss:"),
        uid: uid.and_then(|n| u32::try_from(n).ok()),
        page_tables: kb(b"pgtables:"),
        oom_score_adj: after(tail, b"oom_score_adj:").and_then(leading_signed).and_then(|n| i32::try_from(n).ok()),
    })
}

/// True for the line before the kill, which tells no sizes yet.
pub(super) fn is_announcement(line: &[u8]) -> bool {
    find(line, b"Kill process ").is_some() || find(line, b"kill process ").is_some()
}

/// Adds what another line says of the same kill.
pub(super) fn merge(to: &mut Kill, from: Kill) {
    let Kill { pid, comm, reason, score, total_vm, anon_rss, file_rss, shmem_rss, uid, page_tables, oom_score_adj } =
        from;
    (to.pid, to.comm) = (pid, comm);
    if !reason.is_empty() {
        to.reason = reason;
    }
    to.score = to.score.or(score);
    to.total_vm = total_vm.or(to.total_vm);
    to.anon_rss = anon_rss.or(to.anon_rss);
    to.file_rss = file_rss.or(to.file_rss);
    to.shmem_rss = shmem_rss.or(to.shmem_rss);
    to.uid = uid.or(to.uid);
    to.page_tables = page_tables.or(to.page_tables);
    to.oom_score_adj = oom_score_adj.or(to.oom_score_adj);
}

/// `oom_reaper: reaped process 1 (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB`, or
/// `oom_reaper: unable to reap pid:1 (x)`.
pub(super) fn reaped(line: &[u8]) -> Option<Reaped> {
    let rest = line.strip_prefix(b"oom_reaper: ")?;
    let rest = rest.strip_prefix(b"reaped process ").or_else(|| rest.strip_prefix(b"unable to reap pid:"))?;
    let pid = u32::try_from(leading(rest)?).ok()?;
    let open = find(rest, b"(")?;
    let close = find_last(rest, b"), now ").or_else(|| rest.iter().rposition(|b| *b == b')'))?;
    let tail = rest.get(close + 1..)?;
    let kb = |key: &[u8]| number_after(tail, key).and_then(|n| n.checked_mul(1024));
    Some(Reaped {
        pid,
        comm: some_name(rest.get(open + 1..close)?).unwrap_or_default(),
        anon_rss: kb(b"anon-rss:"),
        file_rss: kb(b"file-rss:"),
        shmem_rss: kb(b"shmem-rss:"),
    })
}

/// `Out of memory: OOM victim 1 (x) is already exiting. Skip killing the task`.
pub(super) fn exiting(line: &[u8]) -> Option<Exiting> {
    let verb = b": OOM victim ";
    let at = find(line, verb)?;
    let rest = line.get(at + verb.len()..)?;
    let open = find(rest, b" (")?;
    let close = find_last(rest, b") is already exiting. Skip killing")?;
    Some(Exiting {
        pid: u32::try_from(leading(rest)?).ok()?,
        comm: Name::from_bytes(rest.get(open + 2..close)?),
        reason: name(line.get(..at)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_of_each_age() {
        let kill = |line: &str| kill(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let now = kill(
            "Memory cgroup out of memory: Killed process 10401 (a) total-vm:1) total-vm:75160kB, anon-rss:65152kB, file-rss:2416kB, shmem-rss:0kB, UID:7 pgtables:184kB oom_score_adj:-5",
        );
        assert_eq!(
            (now.pid, now.comm.as_str(), now.reason.as_str()),
            (10401, "a) total-vm:1", "Memory cgroup out of memory")
        );
        assert_eq!(
            (now.total_vm, now.shmem_rss, now.uid, now.page_tables, now.oom_score_adj),
            (Some(75160 << 10), Some(0), Some(7), Some(184 << 10), Some(-5))
        );
        let five = kill(
            "Out of memory: Killed process 12 (x), UID 3, total-vm:4kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB",
        );
        assert_eq!((five.comm.as_str(), five.uid, five.total_vm), ("x", Some(3), Some(4096)));
        let four = kill("Memory cgroup out of memory: Kill process 12 (x) score 958 or sacrifice child");
        assert_eq!((four.score, four.total_vm), (Some(958), None));
        let three = kill("Killed process 12 (x) total-vm:4kB, anon-rss:4kB, file-rss:0kB");
        assert_eq!((three.reason.as_str(), three.anon_rss), ("", Some(4096)));
        let two = kill("Killed process 2134, UID 27, (mysqld) total-vm:8kB, anon-rss:4kB, file-rss:4kB");
        assert_eq!((two.pid, two.uid, two.comm.as_str()), (2134, Some(27), "mysqld"));
        assert_eq!(kill("Out of memory: kill process 12 (x) score 5 or a child").score, Some(5));
        assert_eq!(
            kill("Out of memory (oom_kill_allocating_task): Killed process 12 (x) total-vm:4kB").reason.as_str(),
            "Out of memory (oom_kill_allocating_task)"
        );
        assert!(super::kill(b"earlyoom: Killed process 12 (x)").is_none());
        assert!(super::kill(b"Out of memory: Killed process x (x)").is_none());
    }

    #[test]
    fn a_victim_that_ends_by_itself() {
        let row =
            exiting(b"Memory cgroup out of memory: OOM victim 7 (a (b)) is already exiting. Skip killing the task")
                .unwrap();
        assert_eq!((row.pid, row.comm.as_str(), row.reason.as_str()), (7, "a (b)", "Memory cgroup out of memory"));
        assert!(exiting(b"OOM victim").is_none());
    }

    #[test]
    fn the_reaper() {
        let row =
            reaped(b"oom_reaper: reaped process 10401 (a (b)), now anon-rss:0kB, file-rss:4kB, shmem-rss:0kB").unwrap();
        assert_eq!((row.pid, row.comm.as_str(), row.anon_rss, row.file_rss), (10401, "a (b)", Some(0), Some(4096)));
        let none = reaped(b"oom_reaper: unable to reap pid:5 (x)").unwrap();
        assert_eq!((none.pid, none.anon_rss), (5, None));
    }
}
