//! Names of kernel functions by their address. Source: /proc/kallsyms.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
};

use crate::snapshot::{Name, oom_report::Frame};

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

/// Addresses of functions by their names; those that are not loaded, or hidden, are left out.
pub fn addresses<'a>(names: &[&'a str]) -> std::io::Result<HashMap<&'a str, u64>> {
    let mut found = HashMap::new();
    let mut symbols = BufReader::with_capacity(1 << 16, File::open("/proc/kallsyms")?);
    let mut line = Vec::new();
    while symbols.read_until(b'\n', &mut line)? > 0 {
        if let Some((address, name)) = parse(&line)
            && let Some(wanted) = names.iter().find(|wanted| wanted.as_bytes() == name)
        {
            found.entry(*wanted).or_insert(address);
        }
        line.clear();
    }
    Ok(found)
}

/// Names of the functions that addresses lie in, as of a call chain. What was looked up once is remembered.
#[derive(Debug, Default)]
pub struct Frames {
    /// `None` for an address that lies in no function that may be seen.
    known: HashMap<u64, Option<Frame>>,
}

impl Frames {
    /// The functions of a call chain, without those of the probe that took it; `None` if no name may be seen. Where some are
    /// new it takes one reading of the file, which is some ten milliseconds.
    pub fn chain(&mut self, addresses: &[u64]) -> Option<Vec<Frame>> {
        let room = MOST.saturating_sub(self.known.len());
        let mut new: Vec<Within> = addresses
            .iter()
            .filter(|a| **a != 0 && !self.known.contains_key(a))
            .take(room)
            .map(|address| Within { address: *address, ..Within::default() })
            .collect();
        if !new.is_empty() {
            if let Ok(file) = File::open("/proc/kallsyms") {
                look_up(BufReader::with_capacity(1 << 16, file), &mut new);
            }
            self.known.extend(new.into_iter().map(|within| (within.address, within.frame())));
        }
        let frames: Vec<Frame> = addresses
            .iter()
            .filter(|a| **a != 0)
            // An address alone must not be told: the kernel hides where its code lies.
            .map(|a| {
                self.known
                    .get(a)
                    .cloned()
                    .flatten()
                    .unwrap_or_else(|| Frame { function: "?".into(), ..Frame::default() })
            })
            .skip_while(|frame| frame.function.as_str() == "?" || frame.function.as_str().starts_with("bpf_"))
            .collect();
        (!frames.is_empty()).then_some(frames)
    }
}

/// The symbol before an address, and where the one behind it begins.
#[derive(Debug, Default)]
struct Within {
    address: u64,
    begin: u64,
    end: Option<u64>,
    name: Vec<u8>,
    module: Option<Vec<u8>>,
}

impl Within {
    fn frame(&self) -> Option<Frame> {
        (self.begin != 0).then(|| Frame {
            function: Name::from_bytes(&self.name),
            offset: self.address - self.begin,
            size: self.end.map_or(0, |end| end - self.begin),
            module: self.module.as_deref().map(Name::from_bytes),
            doubtful: false,
        })
    }
}

fn look_up(mut symbols: impl BufRead, wanted: &mut [Within]) {
    let mut line = Vec::new();
    while symbols.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        if let Some((begin, name)) = parse(&line) {
            for within in wanted.iter_mut() {
                if begin > within.address {
                    within.end = Some(within.end.map_or(begin, |end| end.min(begin)));
                } else if begin > within.begin {
                    within.begin = begin;
                    within.name = name.to_vec();
                    let module = line.trim_ascii_end().strip_suffix(b"]").and_then(|l| l.rsplit(|b| *b == b'[').next());
                    within.module = module.map(<[u8]>::to_vec);
                }
            }
        }
        line.clear();
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
    fn an_address_lies_in_the_function_that_begins_before_it() {
        let mut wanted = [0x18, 0x25, 0x8].map(|address| Within { address, ..Within::default() });
        let text = b"0000000000000010 t one\n0000000000000020 t two\t[ext4]\n0000000000000030 t three\n";
        look_up(&text[..], &mut wanted);
        let frames = wanted.each_ref().map(Within::frame);
        let plain = |name: &str, module: Option<&str>, offset| {
            Some(Frame { function: name.into(), offset, size: 0x10, module: module.map(Name::from), doubtful: false })
        };
        assert_eq!(frames, [plain("one", None, 8), plain("two", Some("ext4"), 5), None]);
    }

    #[test]
    fn a_function_of_the_kernel_has_an_address_or_is_hidden() {
        let found = addresses(&["mutex_lock", "no_such_function_anywhere"]).unwrap();
        assert!(found.keys().all(|name| *name == "mutex_lock"), "{found:?}");
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
