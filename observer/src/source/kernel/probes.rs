//! The table of programs: what is loaded, where it is attached, what it needs and what replaces it.

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// To a raw tracepoint with types from BTF. The second form is the pattern of arguments that the program expects.
    TpBtf(&'static str, &'static [Arg]),
    /// Run by the user side on a chosen CPU; never attached.
    RunOnCpu,
    /// An iterator over kernel objects.
    Iter(&'static str),
}

/// Shape of a tracepoint's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// An integer or flags.
    Int,
    /// A pointer to the named structure.
    Ptr(&'static str),
    /// Anything: the program does not read it.
    Any,
}

/// One program.
#[derive(Debug, PartialEq, Eq)]
pub struct ProbeSpec {
    /// Name in the coverage.
    pub name: &'static str,
    /// Name in the object and, cut at 15 bytes, in `bpftool prog show`.
    pub program: &'static str,
    /// How it is attached.
    pub attach: Attach,
    /// Part of the snapshot that it fills.
    pub feeds: &'static str,
    /// Groups of kernel structure fields that it reads.
    pub fields: &'static [&'static str],
    /// What tells part of the same when it is absent.
    pub replaced_by: Option<&'static str>,
}

impl ProbeSpec {
    /// Where it is attached, for people: `tp_btf/mm_page_alloc`.
    pub fn place(&self) -> String {
        match self.attach {
            TpBtf(name, _) => format!("tp_btf/{name}"),
            RunOnCpu => format!("raw_tp, run on each CPU: {}", self.program),
            Iter(name) => format!("iter/{name}"),
        }
    }
}

use Arg::{Int, Ptr};
use Attach::{Iter, RunOnCpu, TpBtf};

/// The table, in the order of loading.
pub const PROBES: &[ProbeSpec] = &[
    ProbeSpec {
        name: "page_alloc_flush",
        program: "obs_alloc_flush",
        attach: RunOnCpu,
        feeds: "page_alloc",
        fields: &[],
        replaced_by: Some("the same counts, late by what each CPU holds back"),
    },
    ProbeSpec {
        name: "page_alloc",
        program: "obs_page_alloc",
        attach: TpBtf("mm_page_alloc", &[Ptr("page"), Int, Int, Int]),
        feeds: "page_alloc",
        fields: &["task"],
        replaced_by: Some("/proc/vmstat pgalloc_*, of the whole host"),
    },
];
