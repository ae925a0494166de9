//! Loading and attaching: every program by itself, so that one that this kernel refuses takes no other with it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Btf as AyaBtf, Ebpf, EbpfLoader, Endianness,
    programs::{BtfTracePoint, Iter, Program, ProgramError, RawTracePoint, tp_btf::BtfTracePointLinkId},
};

use super::{
    Options, bpf_sys,
    btf::{self, Btf},
    fields::{self, Resolved},
    names::Enums,
    probes::{Arg, Attach, FIRST_BYTE, Form, PROBES, ProbeSpec, SOFTIRQ_WAIT},
    sizes::Sizes,
};
use crate::{
    snapshot::{
        Name,
        coverage::{Probe, ProbeState},
    },
    source::capabilities,
};

/// A row of the table with what became of it.
#[derive(Debug)]
pub(super) struct Loaded {
    spec: &'static ProbeSpec,
    state: ProbeState,
    fields_missing: Vec<String>,
    /// The program; `None` if it is not loaded.
    program: Option<OwnedFd>,
    /// Its name in the object.
    name: &'static str,
    /// What holds it to its tracepoint; `None` while it rests, and for those that are on none.
    link: Option<BtfTracePointLinkId>,
}

/// The object in the kernel. Dropping it detaches and unloads everything: links are descriptors, nothing is pinned.
#[derive(Debug)]
pub(super) struct Object {
    /// Maps and programs; `None` if nothing could be loaded at all.
    pub(super) ebpf: Option<Ebpf>,
    probes: Vec<Loaded>,
    counts_runs: bool,
    /// Read-only globals of kernel fields that are not there.
    missing: Vec<&'static str>,
    /// Words for the kernel's numbers.
    enums: Enums,
}

/// Why a program is not there.
#[derive(Debug, Clone)]
struct Refusal {
    reason: String,
    remedy: Option<String>,
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: None }
    }

    /// Refused by the kernel: for want of a capability, the command that grants it comes along.
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let denied = std::iter::successors(Some(error), |e| e.source())
            .filter_map(|e| e.downcast_ref::<io::Error>())
            // EACCES would be the verifier's refusal of the program itself.
            .any(|e| e.raw_os_error() == Some(libc::EPERM));
        Self { reason: describe(error), remedy: denied.then(grant) }
    }
}

/// What of the object to load.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The running kernel's type information.
    pub(super) btf: &'a Path,
    /// The programs.
    pub(super) specs: Vec<&'static ProbeSpec>,
    /// Elements of maps.
    pub(super) entries: Vec<(&'static str, u32)>,
    /// Values of read-only globals that are no kernel fields.
    pub(super) globals: Vec<(&'static str, u32)>,
}

impl Object {
    /// Loads the programs of the default table and attaches what this kernel takes.
    pub(super) fn load(object: &[u8], options: &Options, sizes: Sizes) -> Self {
        let first_byte = if options.first_byte { FIRST_BYTE } else { &[] };
        let softirq_wait = if options.softirq_wait { SOFTIRQ_WAIT } else { &[] };
        let all = PROBES.iter().chain(first_byte).chain(softirq_wait);
        let plan = Plan {
            btf: &options.btf,
            specs: all.filter(|spec| options.only.is_none_or(|names| names.contains(&spec.name))).collect(),
            entries: sizes.entries().into(),
            globals: vec![("FIRST_BYTE", u32::from(options.first_byte))],
        };
        Self::load_plan(object, &plan, |_| Ok(()))
    }

    /// Loads the programs of a plan and attaches what this kernel takes, after `prepare` has filled maps.
    pub(super) fn load_plan(object: &[u8], plan: &Plan<'_>, prepare: impl FnOnce(&mut Ebpf) -> io::Result<()>) -> Self {
        let counts_runs = std::fs::read("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|b| b.starts_with(b"1"));
        let all_absent = |refusal: Refusal| {
            let probes = plan.specs.iter().map(|spec| absent(spec, refusal.clone(), Vec::new())).collect();
            Self { ebpf: None, probes, counts_runs, missing: Vec::new(), enums: Enums::default() }
        };
        let kernel = match Btf::read(plan.btf) {
            Ok(btf) => btf,
            Err(e) => return all_absent(no_btf(&e)),
        };
        // aya keeps its own view of the same bytes.
        let aya_btf = match AyaBtf::parse(kernel.blob(), Endianness::default()) {
            Ok(btf) => btf,
            Err(e) => return all_absent(Refusal::of(&e)),
        };
        raise_memlock();
        let resolved = fields::resolve(&kernel);
        let mut ebpf = match create(object, plan, &aya_btf, &resolved) {
            Ok(ebpf) => ebpf,
            Err(refusal) => return all_absent(refusal),
        };
        if let Err(e) = prepare(&mut ebpf) {
            return all_absent(Refusal::of(&e));
        }
        let probes = plan.specs.iter().map(|spec| load_one(&mut ebpf, spec, &kernel, &aya_btf, &resolved)).collect();
        let missing = resolved.iter().filter(|r| r.is_missing()).map(|r| r.field.symbol).collect();
        Self { ebpf: Some(ebpf), probes, counts_runs, missing, enums: Enums::of(&kernel) }
    }

    /// True if a probe that fills this part of the snapshot is attached.
    pub(super) fn feeds(&self, part: &str) -> bool {
        let attached = |p: &Loaded| p.program.is_some() && !matches!(p.spec.attach, Attach::RunOnCpu(_));
        self.probes.iter().any(|p| p.spec.feeds == part && attached(p))
    }

    /// Read-only globals of kernel fields that the running kernel does not have.
    pub(super) fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    /// Words for the kernel's numbers; without BTF none.
    pub(super) fn enums(&self) -> &Enums {
        &self.enums
    }

    /// True if the probe is at work.
    pub(super) fn works(&self, probe: &str) -> bool {
        self.program(probe).is_some()
    }

    /// Descriptor of a program that is loaded.
    pub(super) fn program(&self, probe: &str) -> Option<&OwnedFd> {
        self.probes.iter().find(|p| p.spec.name == probe).and_then(|p| p.program.as_ref())
    }

    /// Detaches what sits on tracepoints; the maps stay and can be read.
    pub(super) fn detach(&mut self) {
        for (_, program) in self.ebpf.iter_mut().flat_map(Ebpf::programs_mut) {
            if let Program::BtfTracePoint(program) = program {
                // The error is that it was not loaded.
                let _ = program.unload();
            }
        }
    }

    /// Takes a program off its tracepoint, or puts it there again; it stays loaded, and its maps stay.
    pub(super) fn rest(&mut self, probe: &str, rest: bool) {
        let Some(loaded) = self.probes.iter_mut().find(|p| p.spec.name == probe && p.program.is_some()) else { return };
        let program = self.ebpf.as_mut().and_then(|ebpf| ebpf.program_mut(loaded.name));
        let Some(Program::BtfTracePoint(program)) = program else { return };
        let done = match (rest, loaded.link.take()) {
            (true, Some(link)) => program.detach(link),
            (false, None) => program.attach().map(|link| loaded.link = Some(link)),
            (_, link) => {
                loaded.link = link;
                Ok(())
            }
        };
        if let Err(e) = done {
            *loaded = absent(loaded.spec, Refusal::of(&e), std::mem::take(&mut loaded.fields_missing));
        }
    }

    /// What became of every program, with the counts of this moment.
    pub(super) fn coverage(&self) -> Vec<Probe> {
        self.probes.iter().map(|p| self.describe(p)).collect()
    }

    fn describe(&self, loaded: &Loaded) -> Probe {
        let stats = loaded.program.as_ref().and_then(|p| bpf_sys::program_stats(p.as_fd()).ok());
        Probe {
            name: loaded.spec.name.to_owned(),
            attach: loaded.spec.place(),
            feeds: loaded.spec.feeds.to_owned(),
            state: loaded.state.clone(),
            fields_missing: loaded.fields_missing.clone(),
            runs: stats.filter(|s| self.counts_runs || s.runs > 0).map(|s| s.runs),
            recursion_misses: stats.and_then(|s| s.recursion_misses),
        }
    }
}

fn absent(spec: &'static ProbeSpec, refusal: Refusal, fields_missing: Vec<String>) -> Loaded {
    let state = ProbeState::Absent {
        reason: Name::from_bytes(refusal.reason.as_bytes()),
        replaced_by: spec.replaced_by.map(str::to_owned),
        remedy: refusal.remedy,
    };
    Loaded { spec, state, fields_missing, program: None, name: "", link: None }
}

fn create(object: &[u8], plan: &Plan<'_>, btf: &AyaBtf, resolved: &[Resolved]) -> Result<Ebpf, Refusal> {
    let mut loader = EbpfLoader::new();
    loader.btf(Some(btf));
    for field in resolved {
        loader.override_global(field.field.symbol, &field.value, true);
    }
    for (global, value) in &plan.globals {
        loader.override_global(global, value, true);
    }
    for (map, entries) in &plan.entries {
        loader.map_max_entries(map, *entries);
    }
    loader.load(object).map_err(|e| Refusal::of(&e))
}

fn load_one(ebpf: &mut Ebpf, spec: &'static ProbeSpec, kernel: &Btf, btf: &AyaBtf, resolved: &[Resolved]) -> Loaded {
    let missing = resolved.iter().filter(|r| r.is_missing() && spec.fields.contains(&r.field.group));
    let mut fields_missing: Vec<_> = missing.map(Resolved::name).collect();
    let result = program_for(spec, kernel).and_then(|(name, lacks)| {
        fields_missing.extend(lacks.map(str::to_owned));
        let program = ebpf.program_mut(name).ok_or_else(|| Refusal::new(format!("the object has no {name}")))?;
        attach(program, spec, btf).map(|(fd, link)| (name, fd, link)).map_err(|e| Refusal::of(&e))
    });
    match result {
        Ok((name, fd, link)) => {
            Loaded { spec, state: ProbeState::Attached, fields_missing, program: Some(fd), name, link }
        }
        Err(refusal) => absent(spec, refusal, fields_missing),
    }
}

/// Name of the program to load, and what it lacks. It reads its arguments by position: a tracepoint of another shape must
/// not reach it.
fn program_for(spec: &ProbeSpec, kernel: &Btf) -> Result<(&'static str, Option<&'static str>), Refusal> {
    let (name, forms) = match spec.attach {
        Attach::TpBtf(name, forms) => (name, forms),
        Attach::RunOnCpu(program) | Attach::Iter(_, program) => return Ok((program, None)),
    };
    let found = kernel.tracepoint_args(name).map_err(|e| Refusal::new(e.to_string()))?;
    let fits = |(arg, found): (&Arg, &btf::Arg)| match arg {
        Arg::Int => *found == btf::Arg::Int,
        Arg::Ptr(name) => *found == btf::Arg::Pointer((*name).to_owned()),
    };
    forms
        .iter()
        .find(|f: &&Form| found.len() >= f.args.len() && f.args.iter().zip(&found).all(fits))
        .map(|f| (f.program, f.lacks))
        .ok_or_else(|| Refusal::new(format!("tracepoint {name} passes {found:?} here, which no program reads")))
}

fn attach(
    program: &mut Program,
    spec: &ProbeSpec,
    btf: &AyaBtf,
) -> Result<(OwnedFd, Option<BtfTracePointLinkId>), ProgramError> {
    let mut link = None;
    match spec.attach {
        Attach::TpBtf(name, _) => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(name, btf)?;
            link = Some(program.attach()?);
        }
        Attach::RunOnCpu(_) => {
            let program: &mut RawTracePoint = program.try_into()?;
            program.load()?;
        }
        Attach::Iter(name, _) => {
            let program: &mut Iter = program.try_into()?;
            program.load(name, btf)?;
        }
    }
    let fd = program.fd()?.as_fd().try_clone_to_owned().map_err(ProgramError::IOError)?;
    Ok((fd, link))
}

/// Before Linux 5.11 maps count against `RLIMIT_MEMLOCK`. A refusal shows when a map is created.
fn raise_memlock() {
    let all = libc::RLIM_INFINITY;
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK, all, all);
}

fn no_btf(error: &btf::BtfError) -> Refusal {
    Refusal {
        reason: error.to_string(),
        remedy: Some("run a kernel that is built with CONFIG_DEBUG_INFO_BTF=y".to_owned()),
    }
}

/// The command that lets this binary load programs without being root.
fn grant() -> String {
    capabilities::grant_command(&std::env::current_exe().unwrap_or_else(|_| PathBuf::from("observer")))
}

/// An error with its causes. Of the verifier's log the end is kept, which says what it did not accept.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    const KEPT: usize = 400;
    let text = match error.downcast_ref::<ProgramError>() {
        Some(ProgramError::LoadError { io_error, verifier_log }) => {
            let log = verifier_log.to_string();
            let lines: Vec<_> = log.lines().filter(|l| !is_statistics(l)).collect();
            let tail = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
            format!("the kernel refused to load it: {io_error}: {tail}")
        }
        _ => std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": "),
    };
    text.chars().take(KEPT).collect()
}

fn is_statistics(line: &str) -> bool {
    ["processed ", "verification time", "stack depth", "insns processed"].iter().any(|p| line.starts_with(p))
}
