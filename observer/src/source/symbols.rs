//! Names of kernel and user addresses. Source: /proc/kallsyms, /proc/PID/maps, the ELF files behind /proc/PID/map_files
//! (so that other mount namespaces and deleted files are the right ones), /tmp/perf-PID.map of JIT compilers.
//!
//! An address that no symbol covers gets the module and the offset in its file, never the name of a neighbour.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{BufRead, BufReader},
};

use blazesym::{
    MaybeDefault, Pid,
    symbolize::{
        Input, Reason, Sym, Symbolized, Symbolizer,
        source::{Kernel, Process, Source},
    },
};

use super::{
    elf_copy::{self, Copies},
    host::units,
    lines::unescape,
    perf_map::PerfMap,
    process,
};
use crate::{profile::Frame, snapshot::Name};

/// Bytes of a function's name that are kept: C++ templates make longer ones.
const MAX_NAME: usize = 400;
/// kallsyms has no sizes: what is farther from the begin of a function than any function is long is not in it.
const LONGEST_FUNCTION: usize = 1 << 20;

/// A mapping of a process that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: Vec<u8>,
}

/// Finds names, and remembers why it could not.
#[derive(Debug)]
pub struct Symbols {
    blaze: Symbolizer,
    /// Why kernel functions are not named.
    kernel_hidden: Option<Name>,
    kernel: HashMap<u64, Frame>,
    notes: BTreeSet<Name>,
}

impl Default for Symbols {
    fn default() -> Self {
        let kernel_hidden = kallsyms_hidden();
        let notes = kernel_hidden.iter().cloned().collect();
        let copies = Copies::default();
        let blaze = Symbolizer::builder().enable_code_info(false).enable_inlined_fns(false);
        let blaze = blaze.set_process_dispatcher(move |member| copies.resolver(&member)).build();
        Self { blaze, kernel_hidden, kernel: HashMap::new(), notes }
    }
}

impl Symbols {
    /// What a reader of the names must know.
    pub fn notes(&self) -> impl Iterator<Item = &Name> {
        self.notes.iter()
    }

    /// Frames of a kernel stack, without those of the probe itself.
    pub fn kernel(&mut self, addresses: &[u64]) -> Vec<Frame> {
        let new: Vec<u64> = addresses.iter().copied().filter(|a| !self.kernel.contains_key(a)).collect();
        if !new.is_empty() {
            let named = self.name_kernel(&new);
            self.kernel.extend(new.into_iter().zip(named));
        }
        let frames: Vec<Frame> = addresses.iter().filter_map(|a| self.kernel.get(a).cloned()).collect();
        without_probe(frames)
    }

    fn name_kernel(&self, addresses: &[u64]) -> Vec<Frame> {
        let unknown = |address: u64, why: &Name| Frame { address, unknown: Some(why.clone()), ..Frame::default() };
        if let Some(why) = &self.kernel_hidden {
            return addresses.iter().map(|a| unknown(*a, why)).collect();
        }
        let kernel = Kernel {
            kallsyms: MaybeDefault::Default,
            vmlinux: MaybeDefault::None,
            debug_syms: false,
            ..Kernel::default()
        };
        // Every frame is where a call returns to: the call is before it.
        let calls: Vec<u64> = addresses.iter().map(|a| a.saturating_sub(1)).collect();
        match self.blaze.symbolize(&Source::Kernel(kernel), Input::AbsAddr(&calls)) {
            Ok(found) => {
                let frames = addresses.iter().zip(found).map(|(address, symbol)| match symbol {
                    Symbolized::Sym(sym) if sym.offset < LONGEST_FUNCTION => known(*address, &sym, None),
                    Symbolized::Sym(_) => unknown(*address, &Name::from("no symbol of /proc/kallsyms covers it")),
                    Symbolized::Unknown(reason) => unknown(*address, &Name::from(reason.to_string())),
                });
                frames.collect()
            }
            Err(e) => {
                let why = Name::from(format!("{e:#}"));
                addresses.iter().map(|a| unknown(*a, &why)).collect()
            }
        }
    }

    /// Frames of a process at these addresses; `leaf` tells which were executed at that very address, not returned to.
    /// `start_ns` is the begin of the process in nanoseconds of `CLOCK_BOOTTIME`, 0 if unknown: under a number that is used
    /// again is another process.
    pub fn user(&mut self, pid: u32, start_ns: u64, addresses: &[(u64, bool)]) -> Vec<Frame> {
        let all_unknown = |why: Name| -> Vec<Frame> {
            let each = addresses.iter();
            each.map(|(address, _)| Frame { address: *address, unknown: Some(why.clone()), ..Frame::default() })
                .collect()
        };
        let maps = fs::read(format!("/proc/{pid}/maps"));
        if !is_still(pid, start_ns) {
            self.notes.insert(Name::from(
                "some processes ended before their stacks could be looked at: their frames are addresses only",
            ));
            return all_unknown(Name::from("the process ended before it was looked at"));
        }
        let maps = match maps {
            Ok(bytes) => mappings(&bytes),
            Err(e) => {
                let why = Name::from(format!("cannot read /proc/PID/maps: {e}; it takes CAP_SYS_PTRACE"));
                self.notes.insert(why.clone());
                return all_unknown(why);
            }
        };
        let calls: Vec<u64> = addresses.iter().map(|(a, leaf)| if *leaf { *a } else { a.saturating_sub(1) }).collect();
        let source = Process { debug_syms: false, perf_map: false, ..Process::new(Pid::from(pid)) };
        let found = self.blaze.symbolize(&Source::Process(source), Input::AbsAddr(&calls));
        let found: Vec<Result<Symbolized<'_>, Name>> = match found {
            Ok(found) => found.into_iter().map(Ok).collect(),
            // One bad file fails the whole request: then each address by itself.
            Err(_) => {
                let single = |call: &u64| {
                    let source = Process { debug_syms: false, perf_map: false, ..Process::new(Pid::from(pid)) };
                    let one = self.blaze.symbolize_single(&Source::Process(source), Input::AbsAddr(*call));
                    one.map_err(|e| Name::from(format!("{e:#}")))
                };
                calls.iter().map(single).collect()
            }
        };
        let jitted = PerfMap::of(pid);
        let mut build_ids = HashMap::new();
        let mut notes = Vec::new();
        let frames = addresses.iter().zip(&calls).zip(found);
        let frames = frames.map(|(((address, _), call), symbol)| {
            let mapping = maps.iter().find(|m| (m.start..m.end).contains(call));
            let module = mapping.map(|m| m.path.as_slice()).filter(|p| !p.is_empty()).map(Name::from_bytes);
            if !matches!(symbol, Ok(Symbolized::Sym(_)))
                && let Some((function, offset)) = jitted.find(*call)
            {
                return Frame {
                    address: *address,
                    function: Some(function),
                    module,
                    offset: Some(offset),
                    ..Frame::default()
                };
            }
            let why = match symbol {
                Ok(Symbolized::Sym(sym)) => return known(*address, &sym, module),
                Ok(Symbolized::Unknown(reason)) => words(reason),
                Err(why) => {
                    notes.push(Name::from(format!("some user functions are not named: {why}")));
                    why
                }
            };
            let build_id = mapping
                .filter(|m| m.path.starts_with(b"/"))
                .and_then(|m| build_ids.entry(m.start).or_insert_with(|| build_id(pid, m)).clone());
            let offset = mapping.filter(|m| m.path.starts_with(b"/")).map(|m| call - m.start + m.offset);
            Frame { address: *address, function: None, module, offset, build_id, unknown: Some(why) }
        });
        let frames = frames.collect();
        self.notes.extend(notes.into_iter().take(1));
        frames
    }
}

fn words(reason: Reason) -> Name {
    Name::from(match reason {
        Reason::Unmapped => "the address is not mapped any more, or the stack was walked wrongly".to_owned(),
        Reason::MissingComponent => {
            "anonymous memory: code of a JIT compiler that writes no /tmp/perf-PID.map".to_owned()
        }
        Reason::MissingSyms | Reason::UnknownAddr => "no symbol of the file covers it: it is stripped".to_owned(),
        other => other.to_string(),
    })
}

fn known(address: u64, sym: &Sym<'_>, module: Option<Name>) -> Frame {
    let mut end = sym.name.len().min(MAX_NAME);
    while !sym.name.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < sym.name.len() { ".." } else { "" };
    let name = sym.name.get(..end).unwrap_or_default();
    Frame {
        address,
        function: Some(Name::from(format!("{name}{cut}"))),
        module,
        offset: u64::try_from(sym.offset).ok(),
        build_id: None,
        unknown: None,
    }
}

/// Leaves out what the kernel runs to get from the tracepoint to the probe.
fn without_probe(mut frames: Vec<Frame>) -> Vec<Frame> {
    const DEEP: usize = 10;
    const OURS: [&str; 6] =
        ["bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_get_stack", "bpf_trampoline"];
    let is_ours =
        |f: &Frame| f.function.as_ref().is_some_and(|name| OURS.iter().any(|ours| name.as_str().starts_with(ours)));
    let last = frames.iter().take(DEEP).rposition(is_ours);
    frames.drain(..last.map_or(0, |i| i + 1));
    frames
}

/// True if the process is there, and is the one that began then.
fn is_still(pid: u32, start_ns: u64) -> bool {
    let Ok(bytes) = fs::read(format!("/proc/{pid}/stat")) else { return false };
    let units = units();
    let tick = units.tick_ns.max(1);
    process::stat(&bytes, units).is_ok_and(|p| start_ns == 0 || p.start_ns / tick == start_ns / tick)
}

/// The mappings of /proc/PID/maps.
fn mappings(bytes: &[u8]) -> Vec<Mapping> {
    bytes.split(|b| *b == b'\n').filter_map(mapping).collect()
}

/// `7f0000000000-7f0000001000 r-xp 00001000 fd:00 1234    /usr/lib/libc.so.6`. The path may hold anything but a line end,
/// which is escaped.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let hex = |word: &[u8]| u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok();
    let mut words = line.splitn(6, |b| *b == b' ');
    let range = words.next()?;
    let dash = range.iter().position(|b| *b == b'-')?;
    let (start, end) = (hex(range.get(..dash)?)?, hex(range.get(dash + 1..)?)?);
    let offset = hex(words.nth(1)?)?;
    let path = words.nth(2).unwrap_or_default().trim_ascii_start();
    Some(Mapping { start, end, offset, path: unescape(path) })
}

/// Build id of the file behind a mapping. Source: its note, read through /proc/PID/map_files.
fn build_id(pid: u32, mapping: &Mapping) -> Option<String> {
    let path = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    elf_copy::build_id(path.as_ref())
}

/// Why /proc/kallsyms names nothing to us, and what mends it; `None` if it does.
fn kallsyms_hidden() -> Option<Name> {
    let file = match fs::File::open("/proc/kallsyms") {
        Ok(file) => file,
        Err(e) => return Some(Name::from(format!("kernel functions are not named: cannot open /proc/kallsyms: {e}"))),
    };
    let lines = BufReader::new(file).split(b'\n').take(64).flatten();
    let visible = |line: Vec<u8>| line.iter().take_while(|b| b.is_ascii_hexdigit()).any(|b| *b != b'0');
    if lines.into_iter().any(visible) {
        return None;
    }
    let restrict = fs::read_to_string("/proc/sys/kernel/kptr_restrict").unwrap_or_default();
    Some(hidden_because(restrict.trim()))
}

fn hidden_because(restrict: &str) -> Name {
    let remedy = match restrict {
        "2" => {
            "kernel.kptr_restrict is 2, which hides them from everybody; to mend it: sysctl -w kernel.kptr_restrict=1"
        }
        "1" => "kernel.kptr_restrict is 1; to mend it: run with CAP_SYSLOG, or sysctl -w kernel.kptr_restrict=0",
        _ => {
            "this process lacks CAP_SYSLOG; to mend it: run with CAP_SYSLOG, or sysctl -w kernel.perf_event_paranoid=1"
        }
    };
    Name::from(format!("kernel functions are not named: /proc/kallsyms shows no addresses: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_name_files_with_spaces_and_line_ends() {
        let bytes = b"7f00-8f00 r-xp 00001000 fd:00 1234                       /usr/a b\\012c\n8f00-9000 rw-p 00000000 00:00 0 \nnoise\n";
        let maps = mappings(bytes);
        assert_eq!(maps.len(), 2);
        assert_eq!((maps[0].start, maps[0].end, maps[0].offset), (0x7f00, 0x8f00, 0x1000));
        assert_eq!(maps[0].path, b"/usr/a b\nc");
        assert_eq!(maps[1].path, b"");
    }

    #[test]
    fn an_own_function_is_named_and_no_neighbour_is() {
        let mut symbols = Symbols::default();
        let here = an_own_function_is_named_and_no_neighbour_is as fn() as usize as u64;
        let frames = symbols.user(std::process::id(), 0, &[(here, true), (8, true)]);
        let name = frames[0].function.as_ref().unwrap().as_str();
        assert!(name.contains("an_own_function_is_named"), "{name}");
        assert!(frames[0].module.as_ref().unwrap().as_str().starts_with('/'), "{frames:?}");
        assert_eq!(frames[1].function, None);
        assert!(frames[1].unknown.is_some(), "{frames:?}");
    }

    #[test]
    fn a_process_of_another_time_is_not_looked_at() {
        let mut symbols = Symbols::default();
        let here = hidden_because as fn(&str) -> Name as usize as u64;
        let frames = symbols.user(std::process::id(), 1, &[(here, true)]);
        assert_eq!(frames[0].function, None);
        assert_eq!(frames[0].label(), format!("[unknown {here:#x}]"));
        assert!(symbols.notes().any(|n| n.as_str().contains("ended before")));
    }

    #[test]
    fn what_hides_the_kernel_is_named_with_its_remedy() {
        assert!(hidden_because("2").as_str().contains("sysctl -w kernel.kptr_restrict=1"));
        assert!(hidden_because("1").as_str().contains("CAP_SYSLOG"));
    }

    #[test]
    fn the_probe_is_no_part_of_the_stack() {
        let frame = |name: &str| Frame { function: Some(Name::from(name)), ..Frame::default() };
        let frames = ["bpf_prog_1234_obs", "bpf_trace_run4", "__alloc_pages", "bpf_map_alloc"].map(frame).to_vec();
        let kept: Vec<_> = without_probe(frames).iter().map(Frame::label).collect();
        assert_eq!(kept, ["__alloc_pages", "bpf_map_alloc"]);
    }
}
