//! What an eBPF object file holds: license, programs, maps, type information, and what is wrong with it.
//!
//! The build script includes this file too, and refuses to embed an object that the kernel or the loader would refuse;
//! so it uses nothing but `object` and the standard library.

use ::object::{
    Architecture, Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, SymbolKind, elf,
    read::elf::ElfFile64,
};
use std::collections::BTreeSet;
use std::fmt;

/// Licenses that open all helpers to a program (`license_is_gpl_compatible` in include/linux/license.h).
const GPL_COMPATIBLE: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// What an eBPF object file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Text of the section `license`, as the kernel is told. None: there is no such section.
    pub license: Option<String>,
    /// Programs, by section and name.
    pub programs: Vec<ProgramSummary>,
    /// Names of maps, in alphabetical order; without those that the loader makes of `.rodata` and `.bss`.
    pub maps: Vec<String>,
    /// Size of the type information (section `.BTF`), in bytes. None: there is none.
    pub btf_bytes: Option<u64>,
    /// Names that the code refers to and nothing defines: such an object cannot be loaded.
    pub unresolved: Vec<String>,
    /// Size of the file, in bytes.
    pub size: u64,
}

/// One program of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramSummary {
    /// Section, which says what it attaches to, such as `tp_btf/mm_page_alloc`.
    pub section: String,
    /// Name, as `bpftool prog show` has it.
    pub name: String,
}

/// Why a file is no eBPF object at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfError(String);

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an eBPF object: {}", self.0)
    }
}

impl std::error::Error for ElfError {}

impl From<::object::Error> for ElfError {
    fn from(error: ::object::Error) -> Self {
        Self(error.to_string())
    }
}

/// Reads an object file. `bytes` must begin at a multiple of 8 in memory.
///
/// # Errors
/// When the bytes are no 64-bit ELF file, or one for another machine or byte order than little-endian BPF.
pub fn summarize(bytes: &[u8]) -> Result<ObjectSummary, ElfError> {
    let file: ElfFile64<'_, Endianness> = ElfFile64::parse(bytes)?;
    if file.architecture() != Architecture::Bpf {
        return Err(ElfError(format!("machine is {:?}, not BPF", file.architecture())));
    }
    if !file.is_little_endian() {
        return Err(ElfError("big-endian, where only little-endian hosts are supported".to_owned()));
    }
    if file.elf_header().e_type.get(file.endian()) != elf::ET_REL {
        return Err(ElfError("not relocatable".to_owned()));
    }
    let mut summary = ObjectSummary {
        license: None,
        programs: Vec::new(),
        maps: Vec::new(),
        btf_bytes: None,
        unresolved: Vec::new(),
        size: bytes.len() as u64,
    };
    let mut unresolved = BTreeSet::new();
    for section in file.sections() {
        let name = section.name()?;
        match name {
            "license" => summary.license = Some(text(section.data()?)),
            ".BTF" => summary.btf_bytes = Some(section.size()),
            _ => {}
        }
        if section.kind() != SectionKind::Text {
            continue;
        }
        // Relocations themselves are expected: they are how code refers to maps, constants and functions. What nothing
        // defines is what nobody can fill in.
        for (_, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let symbol = file.symbol_by_index(index)?;
            if symbol.is_undefined() {
                unresolved.insert(symbol.name()?.to_owned());
            }
        }
    }
    for symbol in file.symbols() {
        let Some(index) = symbol.section_index() else { continue };
        let section = file.section_by_index(index)?;
        let section_name = section.name()?;
        match symbol.kind() {
            // `.text` holds functions that programs call.
            SymbolKind::Text if section_name != ".text" => summary
                .programs
                .push(ProgramSummary { section: section_name.to_owned(), name: symbol.name()?.to_owned() }),
            SymbolKind::Data if matches!(section_name, "maps" | ".maps") => {
                summary.maps.push(symbol.name()?.to_owned());
            }
            _ => {}
        }
    }
    summary.programs.sort();
    summary.maps.sort();
    summary.unresolved = unresolved.into_iter().collect();
    Ok(summary)
}

/// A string of a section, up to its terminating zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

impl ObjectSummary {
    /// Why the kernel or the loader would refuse the object. Empty: nothing is wrong.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match &self.license {
            None => problems.push("no section `license`".to_owned()),
            Some(license) if !GPL_COMPATIBLE.contains(&license.as_str()) => {
                problems.push(format!("license {license:?} is not GPL-compatible, so the kernel denies most helpers"));
            }
            Some(_) => {}
        }
        if self.programs.is_empty() {
            problems.push("no programs".to_owned());
        }
        if self.btf_bytes.is_none() {
            problems.push("no type information (section .BTF): was it linked with --btf?".to_owned());
        }
        if !self.unresolved.is_empty() {
            problems.push(format!("undefined: {}", self.unresolved.join(", ")));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What there is to find fault with, in an object that has none.
    fn sound() -> ObjectSummary {
        ObjectSummary {
            license: Some("Dual MIT/GPL".to_owned()),
            programs: vec![ProgramSummary { section: "tp_btf/x".to_owned(), name: "x".to_owned() }],
            maps: Vec::new(),
            btf_bytes: Some(100),
            unresolved: Vec::new(),
            size: 1000,
        }
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(sound().problems(), Vec::<String>::new());
        let faults = [
            (ObjectSummary { license: Some("MIT".to_owned()), ..sound() }, "MIT"),
            (ObjectSummary { license: None, ..sound() }, "license"),
            (ObjectSummary { programs: Vec::new(), ..sound() }, "no programs"),
            (ObjectSummary { btf_bytes: None, ..sound() }, ".BTF"),
            (ObjectSummary { unresolved: vec!["memcmp".to_owned()], ..sound() }, "memcmp"),
        ];
        for (summary, word) in faults {
            let problems = summary.problems();
            assert!(problems.len() == 1 && problems.iter().all(|problem| problem.contains(word)), "{problems:?}");
        }
    }

    #[test]
    fn programs_of_the_host_and_other_bytes_are_refused() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(summarize(&own).unwrap_err().to_string().contains("not BPF"));
        assert!(summarize(b"").is_err());
        assert!(summarize(&[0x7f; 64]).is_err());
    }

    #[test]
    fn a_cut_object_is_an_error_or_lacks_something_but_never_a_panic() {
        let object = crate::object::OBJECT;
        for end in (0..object.len()).step_by(997) {
            if let Some(cut) = object.get(..end) {
                // Section headers are at the end of the file: nothing of a cut one can be read as sound.
                assert!(summarize(cut).map_or(true, |summary| !summary.problems().is_empty()), "cut at {end}");
            }
        }
    }
}
