//! The lines of a memory cgroup at its limit.

use super::text::{after, between, find, find_last, kib, name, some_name};
use crate::{
    snapshot::{
        Name,
        oom_report::{
            Constraint, Decision, OomReport,
            memcg::{MemcgStats, MemcgUse, UseKind},
        },
    },
    source::lines::{number, words},
};

const KINDS: [(&[u8], UseKind); 4] = [
    (b"memory: usage ", UseKind::Memory),
    (b"memory+swap: usage ", UseKind::MemorySwap),
    (b"swap: usage ", UseKind::Swap),
    (b"kmem: usage ", UseKind::Kmem),
];

/// What the kernel prints for no limit: the largest count of pages, in kB. It depends on the size of a page.
const NO_LIMIT: u64 = 1 << 52;

/// `memory: usage 65536kB, limit 65536kB, failcnt 3656`.
pub(super) fn usage(line: &[u8]) -> Option<MemcgUse> {
    let (rest, kind) = KINDS.iter().find_map(|(start, kind)| Some((line.strip_prefix(*start)?, *kind)))?;
    let mut parts = rest.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    let usage = kib(parts.next()?)?;
    let limit_kib = number(parts.next()?.strip_prefix(b"limit ")?.strip_suffix(b"kB")?)?;
    let failcnt = number(parts.next()?.strip_prefix(b"failcnt ")?)?;
    Some(MemcgUse { kind, usage, limit: (limit_kib < NO_LIMIT).then(|| limit_kib * 1024), failcnt })
}

/// `Memory cgroup stats for /a/b:`, on kernels before 5.3 with the numbers on the same line.
pub(super) fn stats(line: &[u8]) -> Option<MemcgStats> {
    let rest = line.strip_prefix(b"Memory cgroup stats for ").or_else(|| line.strip_prefix(b"Memory cgroup stats"))?;
    // A path may have a colon; the numbers have one each, and are separated by spaces.
    let end =
        find(rest, b": cache:").or_else(|| find(rest, b": anon ")).unwrap_or_else(|| rest.trim_ascii_end().len() - 1);
    let (path, tail) = (rest.get(..end)?, rest.get(end + 1..).unwrap_or_default());
    let values = words(tail).filter_map(|word| {
        let colon = word.iter().position(|b| *b == b':')?;
        Some((name(word.get(..colon)?), kib(word.get(colon + 1..)?)?))
    });
    Some(MemcgStats { path: name(path), values: values.collect() })
}

/// More bytes than any name in memory.stat has.
const LONGEST_KEY: usize = 48;

/// `anon 66916352`, a line of `memory.stat`. Where it is one record, the kernel's limit of a record cuts the last line off:
/// a name without a number is `Some(None)`.
pub(super) fn stat(line: &[u8]) -> Option<Option<(Name, u64)>> {
    let mut words = words(line);
    let (key, value) = (words.next()?, words.next());
    let usual = key.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
    if !usual || key.len() > LONGEST_KEY || words.next().is_some() {
        return None;
    }
    match value {
        Some(value) => Some(Some((name(key), number(value)?))),
        None => Some(None),
    }
}

/// `Task in /a/b killed as a result of limit of /a`, of kernels before 5.0.
pub(super) fn old_decision(line: &[u8], report: &mut OomReport) -> bool {
    let Some(rest) = line.strip_prefix(b"Task in ") else { return false };
    let words = b" killed as a result of limit of ";
    let Some(at) = find_last(rest, words) else { return false };
    let (task, limit) = (rest.get(..at).unwrap_or_default(), rest.get(at + words.len()..).unwrap_or_default());
    report.decision = Some(Decision {
        constraint: Constraint::Memcg,
        oom_memcg: some_name(limit),
        task_memcg: some_name(task),
        ..Decision::default()
    });
    true
}

/// The longest name of a task in bytes.
const COMM: usize = 15;

/// `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x,pid=1,uid=0`.
///
/// Paths and the name may have commas and more: what comes last is taken from the end, and the name has at most 15 bytes.
pub(super) fn decision(line: &[u8], unknown: &mut Vec<Name>) -> Option<Decision> {
    let rest = line.strip_prefix(b"oom-kill:constraint=")?;
    let constraint = rest.split(|b| *b == b',').next()?;
    let mut decision = Decision {
        constraint: match constraint {
            b"CONSTRAINT_NONE" => Constraint::None,
            b"CONSTRAINT_CPUSET" => Constraint::Cpuset,
            b"CONSTRAINT_MEMORY_POLICY" => Constraint::MemoryPolicy,
            b"CONSTRAINT_MEMCG" => Constraint::Memcg,
            other => Constraint::Other(name(other)),
        },
        ..Decision::default()
    };
    let mut rest = rest.get(constraint.len()..)?;
    let mut tail = |key: &[u8]| {
        let at = find_last(rest, key)?;
        let value = number(rest.get(at + key.len()..)?.trim_ascii()).and_then(|n| u32::try_from(n).ok())?;
        rest = rest.get(..at)?;
        Some(value)
    };
    decision.uid = tail(b",uid=");
    decision.pid = tail(b",pid=");
    if let Some((before, task)) = task(rest) {
        decision.task = Some(Name::from_bytes(task));
        rest = before;
    }
    if let Some(at) = find(rest, b",task_memcg=") {
        decision.task_memcg = some_name(rest.get(at + b",task_memcg=".len()..)?);
        rest = rest.get(..at)?;
    }
    if let Some(at) = find(rest, b",oom_memcg=") {
        decision.oom_memcg = some_name(rest.get(at + b",oom_memcg=".len()..)?);
        rest = rest.get(..at)?;
    } else if let Some(before) = rest.strip_suffix(b",global_oom") {
        decision.global = true;
        rest = before;
    }
    // A list of nodes has commas as well: `mems_allowed=0,2`.
    let mems = b",mems_allowed=";
    if let Some(at) = find_last(rest, mems) {
        decision.mems_allowed = some_name(rest.get(at + mems.len()..)?);
        rest = rest.get(..at)?;
    }
    if let Some(at) = find(rest, b",cpuset=") {
        decision.cpuset = some_name(rest.get(at + b",cpuset=".len()..)?);
        rest = rest.get(..at)?;
    }
    decision.nodemask = after(rest, b",nodemask=").and_then(some_name);
    let before = find(rest, b",nodemask=").map_or(rest, |at| rest.get(..at).unwrap_or_default());
    unknown.extend(before.split(|b| *b == b',').filter_map(some_name));
    Some(decision)
}

/// What stands before `,task=`, and the name behind it: the longest that it can be.
fn task(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const KEY: &[u8] = b",task=";
    // dmesg(1) writes each byte that cannot be printed as four.
    let bytes = |name: &[u8]| name.len().saturating_sub(3 * name.windows(2).filter(|w| w == b"\\x").count());
    let from = text.len().saturating_sub(4 * COMM + KEY.len());
    let places = (from..text.len()).filter(|at| text.get(*at..).is_some_and(|t| t.starts_with(KEY)));
    let mut split = places.filter_map(|at| Some((text.get(..at)?, text.get(at + KEY.len()..)?)));
    split.find(|(_, name)| bytes(name) <= COMM)
}

/// `Tasks in /a are going to be killed due to memory.oom.group set`.
pub(super) fn group(line: &[u8]) -> Option<Name> {
    between(line, b"Tasks in ", b" are going to be killed due to memory.oom.group set").and_then(some_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_none() {
        let swap = usage(b"swap: usage 0kB, limit 9007199254740988kB, failcnt 0").unwrap();
        assert_eq!((swap.kind, swap.limit), (UseKind::Swap, None));
        let memory = usage(b"memory: usage 65536kB, limit 65536kB, failcnt 3656").unwrap();
        assert_eq!((memory.usage, memory.limit, memory.failcnt), (64 << 20, Some(64 << 20), 3656));
        assert!(usage(b"memory: usage ?").is_none());
    }

    #[test]
    fn statistics_of_both_ages() {
        assert_eq!(stats(b"Memory cgroup stats for /a:b:").unwrap().path.as_str(), "/a:b");
        let old = stats(b"Memory cgroup stats for /a: cache:0KB rss:8KB inactive_anon:4KB").unwrap();
        assert_eq!((old.path.as_str(), old.values.len(), old.values[1].1), ("/a", 3, 8192));
        assert_eq!(stat(b"pgfault 12"), Some(Some(("pgfault".into(), 12))));
        assert_eq!(stat(b"workingset_ref"), Some(None), "the limit of a record cuts the last line off");
        assert_eq!(stat(b"workingset_ref"), Some(None));
        assert_eq!(stat(b"Tasks state"), None);
    }

    #[test]
    fn a_decision_with_commas_in_every_name() {
        let mut unknown = Vec::new();
        let line = b"oom-kill:constraint=CONSTRAINT_MEMCG,new=1,nodemask=0,2,cpuset=a,b,mems_allowed=0,2,oom_memcg=/x,y,task_memcg=/x,y/z,task=a,pid=1,uid=2,pid=77,uid=9";
        let d = decision(line, &mut unknown).unwrap();
        let text = |n: &Option<Name>| n.as_ref().map(|n| n.as_str().to_owned()).unwrap_or_default();
        assert_eq!(
            (text(&d.nodemask), text(&d.cpuset), text(&d.mems_allowed)),
            ("0,2".into(), "a,b".into(), "0,2".into())
        );
        assert_eq!(
            (text(&d.oom_memcg), text(&d.task_memcg), text(&d.task)),
            ("/x,y".into(), "/x,y/z".into(), "a,pid=1,uid=2".into())
        );
        assert_eq!((d.pid, d.uid, d.global), (Some(77), Some(9), false));
        let escaped = br"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/x,task_memcg=/x,task=\x1b[31m\x0a\xff\xfe\x1b\x1b\x1b\x1b,pid=7,uid=0";
        let d = decision(escaped, &mut unknown).unwrap();
        assert_eq!(text(&d.task_memcg), "/x");
        assert!(text(&d.task).ends_with(r"\x1b"), "{:?}", d.task);
        assert_eq!(unknown.iter().map(Name::as_str).collect::<Vec<_>>(), ["new=1"]);
        let d = decision(b"oom-kill:constraint=CONSTRAINT_NEW,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=hog,pid=121,uid=0", &mut unknown).unwrap();
        assert_eq!(
            (d.constraint, d.global, text(&d.task), text(&d.mems_allowed)),
            (Constraint::Other("CONSTRAINT_NEW".into()), true, "hog".into(), "0".into())
        );
    }

    #[test]
    fn the_level_of_old_kernels() {
        let mut report = OomReport::default();
        assert!(old_decision(b"Task in /docker/a killed as a result of limit of /docker", &mut report));
        let d = report.decision.unwrap();
        assert_eq!((d.oom_memcg.unwrap().as_str(), d.task_memcg.unwrap().as_str()), ("/docker", "/docker/a"));
    }
}
