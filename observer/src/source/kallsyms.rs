//! Names of kernel functions by their address. Source: /proc/kallsyms.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
};

use crate::snapshot::Name;

/// Addresses that are remembered at most: those who ask for more get numbers.
const MOST: usize = 4096;

/// Names of the addresses that were asked for.
#[derive(Debug, Default)]
pub struct Kallsyms {
    /// `None` for an address that no symbol begins at, or that may not be seen (`kernel.kptr_restrict`).
    known: HashMap<u64, Option<Name>>,
}

impl Kallsyms {
    /// Looks up the addresses that are new, all in one reading of the file, which takes some milliseconds.
    pub fn learn(&mut self, addresses: impl Iterator<Item = u64>) {
        let room = MOST.saturating_sub(self.known.len());
        let new: Vec<u64> = addresses.filter(|a| !self.known.contains_key(a)).take(room).collect();
        if new.is_empty() {
            return;
        }
        self.known.extend(new.iter().map(|address| (*address, None)));
        if let Ok(file) = File::open("/proc/kallsyms") {
            self.read(BufReader::with_capacity(1 << 16, file));
        }
    }

    /// The function that begins at this address; `None` where its name is not known. The address itself must not be told
    /// instead: the kernel hides it so that nobody learns where its code lies.
    pub fn name(&self, address: u64) -> Option<&Name> {
        self.known.get(&address)?.as_ref()
    }

    fn read(&mut self, mut symbols: impl BufRead) {
        let mut line = Vec::new();
        while symbols.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if let Some((address, name)) = parse(&line)
                && let Some(slot) = self.known.get_mut(&address).filter(|known| known.is_none())
            {
                *slot = Some(Name::from_bytes(name));
            }
            line.clear();
        }
    }
}

/// Address and name of a line such as `ffffffff81012340 t super_cache_scan\t[module]`. Address 0 is what the kernel shows
/// to those who may not see it.
fn parse(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut words = line.split(|b| b.is_ascii_whitespace());
    let (address, _kind, name) = (words.next()?, words.next()?, words.next()?);
    let address = u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok().filter(|a| *a != 0)?;
    Some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_the_first_name_that_begins_there() {
        let mut symbols = Kallsyms { known: [(0x10, None), (0x20, None), (0x30, None)].into() };
        symbols.read(&b"0000000000000010 t one\n0000000000000010 t alias\n0000000000000018 t x\n0000000000000020 t two\t[m]\nxyz\n"[..]);
        let names = [0x10, 0x20, 0x30, 0x40, 0].map(|a| symbols.name(a).map(Name::as_str));
        assert_eq!(names, [Some("one"), Some("two"), None, None, None]);
    }

    #[test]
    fn hidden_addresses_are_no_names() {
        assert_eq!(parse(b"0000000000000000 T _text\n"), None);
        assert_eq!(parse(b"\n"), None);
    }

    #[test]
    fn what_was_not_found_is_not_looked_for_again() {
        let mut symbols = Kallsyms::default();
        symbols.learn([1, 2].into_iter());
        symbols.learn([2, 1].into_iter());
        assert_eq!(symbols.known.len(), 2);
    }
}
