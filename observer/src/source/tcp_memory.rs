//! Memory of TCP as a whole: /proc/net/sockstat, /proc/sys/net/ipv4/tcp_mem.

use super::Malformed;
use super::lines::{number, numbered, words};
use crate::snapshot::tcp::TcpMemory;

/// Parses line `TCP:` of /proc/net/sockstat: `TCP: inuse 5 orphan 0 tw 2 alloc 9 mem 3`, the memory in pages.
pub fn used(bytes: &[u8], page_size: u64) -> Result<TcpMemory, Malformed> {
    for (line, text) in numbered(bytes)? {
        let mut words = words(text);
        if words.next() != Some(b"TCP:") {
            continue;
        }
        let mut memory = TcpMemory::default();
        while let Some(name) = words.next() {
            let word = words.next().unwrap_or_default();
            let value = number(word).ok_or_else(|| Malformed::no_number(line, &String::from_utf8_lossy(name), word))?;
            match name {
                b"mem" => memory.used = Some(value.saturating_mul(page_size)),
                b"orphan" => memory.orphans = Some(value),
                b"alloc" => memory.allocated = Some(value),
                _ => {}
            }
        }
        return Ok(memory);
    }
    Err(Malformed::new(1, "there is no line that begins with `TCP:`"))
}

/// The three numbers of `net.ipv4.tcp_mem`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    low: u64,
    pressure: u64,
    max: u64,
}

impl Limits {
    /// Puts them beside what is used.
    pub fn put_into(self, memory: &mut TcpMemory) {
        (memory.low, memory.pressure, memory.max) = (Some(self.low), Some(self.pressure), Some(self.max));
    }
}

/// Parses /proc/sys/net/ipv4/tcp_mem: three numbers of pages.
pub fn limits(bytes: &[u8], page_size: u64) -> Result<Limits, Malformed> {
    let mut pages = words(bytes.trim_ascii());
    let mut next = || {
        let word = pages.next().unwrap_or_default();
        let pages = number(word).ok_or_else(|| Malformed::no_number(1, "a number of pages", word))?;
        Ok(pages.saturating_mul(page_size))
    };
    Ok(Limits { low: next()?, pressure: next()?, max: next()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn files_of_real_kernels_have_use_and_limits() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            let mut memory = used(&proc_file(host, "net/sockstat"), 4096).unwrap();
            limits(&proc_file(host, "sys/net/ipv4/tcp_mem"), 4096).unwrap().put_into(&mut memory);
            assert!(memory.used.is_some() && memory.orphans.is_some() && memory.allocated.is_some(), "{host}");
            assert!(memory.low < memory.pressure && memory.pressure < memory.max, "{host}: {memory:?}");
        }
    }

    #[test]
    fn pages_become_bytes() {
        let memory = used(b"sockets: used 19\nTCP: inuse 1 orphan 2 tw 0 alloc 3 mem 225\n", 4096).unwrap();
        assert_eq!((memory.used, memory.orphans, memory.allocated), (Some(225 * 4096), Some(2), Some(3)));
        assert_eq!(limits(b"1\t2\t3\n", 10), Ok(Limits { low: 10, pressure: 20, max: 30 }));
    }

    #[test]
    fn broken_files_name_what_is_broken() {
        let text = used(b"TCP: mem x\n", 1).unwrap_err().to_string();
        assert_eq!(text, r#"line 1: mem is "x", not a number"#);
        assert!(used(b"UDP: inuse 0\n", 1).is_err() && limits(b"1 2\n", 1).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (used(&bytes, u64::MAX), limits(&bytes, u64::MAX));
            let _ = used(&[b"TCP: ", bytes.as_slice(), b"\n"].concat(), 1);
        }
    }
}
