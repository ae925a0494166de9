//! Programs, maps and links that the kernel holds, by number.

use std::{collections::BTreeSet, fs};

/// A kind of object: the word in a descriptor's fdinfo, and the command of bpf(2) that gives the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `BPF_PROG_GET_NEXT_ID`.
    Program,
    /// `BPF_MAP_GET_NEXT_ID`.
    Map,
    /// `BPF_LINK_GET_NEXT_ID`.
    Link,
}

const KINDS: [(Kind, &str, libc::c_int); 3] =
    [(Kind::Program, "prog_id:", 11), (Kind::Map, "map_id:", 12), (Kind::Link, "link_id:", 31)];

/// The argument of bpf(2) for numbers.
#[repr(C)]
#[derive(Default)]
struct IdAttr {
    start_id: u32,
    next_id: u32,
    open_flags: u32,
    pad: u32,
}

/// Everything that the kernel holds now, whoever loaded it.
pub(crate) fn all() -> BTreeSet<(Kind, u32)> {
    KINDS.iter().flat_map(|(kind, _, command)| numbers(*command).into_iter().map(|id| (*kind, id))).collect()
}

fn numbers(command: libc::c_int) -> Vec<u32> {
    let mut all = Vec::new();
    let mut attr = IdAttr::default();
    loop {
        // SAFETY: the structure is what the kernel reads and writes for these commands, with its size.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<IdAttr>()) };
        if result != 0 {
            let error = std::io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "bpf({command}): {error}");
            return all;
        }
        all.push(attr.next_id);
        attr.start_id = attr.next_id;
    }
}

/// What a process has descriptors of.
pub(crate) fn held_by(pid: u32) -> BTreeSet<(Kind, u32)> {
    let mut held = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        // A link's lines name its program as well.
        for (kind, word, _) in KINDS {
            let values = text.lines().filter_map(|l| l.strip_prefix(word)?.trim().parse().ok());
            held.extend(values.map(|id: u32| (kind, id)));
        }
    }
    held
}

/// Runs and nanoseconds of this process's programs, in the order of loading.
pub(crate) fn runs() -> Vec<(u64, u64)> {
    let files = fs::read_dir("/proc/self/fdinfo").expect("/proc is there").flatten();
    let mut programs: Vec<(u64, u64, u64)> = files
        .filter_map(|file| {
            let text = fs::read_to_string(file.path()).ok()?;
            let number = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok());
            Some((number("prog_id:")?, number("run_cnt:")?, number("run_time_ns:")?))
        })
        .collect();
    // A link names its program too, without the counts; two descriptors of one program are one, also if it ran in between.
    programs.sort_unstable();
    programs.dedup_by_key(|(id, ..)| *id);
    programs.into_iter().map(|(_, count, ns)| (count, ns)).collect()
}
