//! Names that a JIT compiler writes for its code: /tmp/perf-PID.map, one line a function: begin, length, name.
//! Format: tools/perf/Documentation/jit-interface.txt. It is read and not mapped: it is the process's to cut short.

use std::{
    fs::{self, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
};

use crate::snapshot::Name;

/// Bytes that are read of a map at most; what comes after has no name.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes of a name that are kept.
const MAX_NAME: usize = 400;

/// Functions of a process by address.
#[derive(Debug, Default)]
pub(super) struct PerfMap {
    bytes: Vec<u8>,
    /// Begin, length, and where in the bytes the name is; by begin, of equal ones the latest last.
    functions: Vec<(u64, u64, usize, usize)>,
}

impl PerfMap {
    /// Reads the map of a process; empty if it has none.
    pub(super) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        // Of nested PID namespaces the innermost number is the last, which is what the process calls itself.
        let own = status.lines().find_map(|l| l.strip_prefix("NStgid:")?.split_whitespace().last());
        own.and_then(|own| read(&format!("/proc/{pid}/root/tmp/perf-{own}.map")))
            .map_or_else(Self::default, Self::parse)
    }

    fn parse(bytes: Vec<u8>) -> Self {
        let mut functions = Vec::new();
        let mut begin = 0;
        for line in bytes.split(|b| *b == b'\n') {
            let next = begin + line.len() + 1;
            let mut words = line.splitn(3, |b| *b == b' ');
            let mut number = || hex(words.next()?);
            if let Some((start, len)) = number().zip(number())
                && let Some(name) = words.next().filter(|name| !name.is_empty())
            {
                let end = next - 1;
                functions.push((start, len, end - name.len(), end.min(end - name.len() + MAX_NAME)));
            }
            begin = next;
        }
        functions.sort_by_key(|(start, ..)| *start);
        Self { bytes, functions }
    }

    /// The function at an address, and how far into it that is.
    pub(super) fn find(&self, address: u64) -> Option<(Name, u64)> {
        let after = self.functions.partition_point(|(start, ..)| *start <= address);
        let (start, len, from, to) = *self.functions.get(after.checked_sub(1)?)?;
        let offset = address - start;
        (offset < len).then(|| (Name::from_bytes(self.bytes.get(from..to).unwrap_or_default()), offset))
    }
}

/// What is no plain file is left alone: to open a pipe would wait for ever.
fn read(path: &str) -> Option<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let mut bytes = Vec::new();
    (file.metadata().ok()?.is_file() && file.take(MOST_BYTES).read_to_end(&mut bytes).is_ok()).then_some(bytes)
}

fn hex(word: &[u8]) -> Option<u64> {
    let word = std::str::from_utf8(word).ok()?;
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_inside_and_not_beside() {
        let map =
            PerfMap::parse(b"2000 10 old name\n1000 20 LazyCompile:~a b\nnoise\n0x2000 8 new name\n3000 5".to_vec());
        let found = |address| map.find(address).map(|(name, offset)| (name.as_str().to_owned(), offset));
        assert_eq!(found(0x101f), Some(("LazyCompile:~a b".to_owned(), 0x1f)));
        assert_eq!(found(0x2003), Some(("new name".to_owned(), 3)), "the latest is the one");
        assert_eq!([found(0xfff), found(0x1020), found(0x3000)], [None, None, None]);
    }

    #[test]
    fn the_map_of_a_process_is_where_it_writes_it_and_a_pipe_is_not_waited_for() {
        let path = format!("/tmp/perf-{}.map", std::process::id());
        nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(PerfMap::of(std::process::id()).find(0x10_0001).is_none());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "100000 10 jitted\n").unwrap();
        let found = PerfMap::of(std::process::id()).find(0x10_0001);
        fs::remove_file(&path).unwrap();
        assert_eq!(found, Some((Name::from("jitted"), 1)));
    }
}
