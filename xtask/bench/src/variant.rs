//! What is attached while the loop runs.

use crate::workload;
use anyhow::{Context, Result, bail};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};
use observer::snapshot::Snapshot;
use observer::snapshot::coverage::ProbeState;
use observer::source::kernel::{Kernel, Options};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The probe that is measured.
const PROBE: &str = "page_alloc";
/// The same job in bpftrace: allocations by process and order.
const SCRIPT: &str = "tracepoint:kmem:mm_page_alloc { @[pid, args->order] = count(); }";

/// Something to attach.
pub(crate) enum Variant {
    /// A program that returns at once.
    Empty { object: PathBuf, btf: Box<Btf> },
    /// observer's probe for page allocations, and nothing else of it.
    Observer,
    /// bpftrace.
    Bpftrace { program: PathBuf },
}

/// Every variant that can run here.
pub(crate) fn all(empty: PathBuf) -> Result<Vec<Variant>> {
    let btf = Btf::from_sys_fs().context("cannot read the kernel's BTF")?;
    let mut all = vec![Variant::Empty { object: empty, btf: Box::new(btf) }, Variant::Observer];
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).map(|dir| dir.join("bpftrace")).find(|file| file.is_file()) {
        Some(program) => all.push(Variant::Bpftrace { program }),
        None => eprintln!("no bpftrace in PATH: left out"),
    }
    Ok(all)
}

/// One round with nothing attached: nanoseconds a page.
pub(crate) fn nothing() -> Result<f64> {
    let (_, nanoseconds) = answer(Command::new(own_path()?).arg("workload"))?;
    Ok(nanoseconds)
}

impl Variant {
    /// Name in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty tp_btf program",
            Self::Observer => "observer, page_alloc",
            Self::Bpftrace { .. } => "bpftrace @[pid, order]",
        }
    }

    /// Name in the JSON document.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty",
            Self::Observer => "observer",
            Self::Bpftrace { .. } => "bpftrace",
        }
    }

    /// Attaches, runs the loop, detaches: nanoseconds a page.
    pub(crate) fn round(&self) -> Result<f64> {
        match self {
            Self::Empty { object, btf } => with_empty(object, btf),
            Self::Observer => with_observer(),
            Self::Bpftrace { program } => with_bpftrace(program),
        }
    }
}

fn with_empty(object: &Path, btf: &Btf) -> Result<f64> {
    let mut ebpf = Ebpf::load_file(object).with_context(|| format!("cannot load {}", object.display()))?;
    let program: &mut BtfTracePoint = ebpf.program_mut("bench_empty").context("no program bench_empty")?.try_into()?;
    program.load("mm_page_alloc", btf)?;
    program.attach()?;
    nothing()
}

fn with_observer() -> Result<f64> {
    let options = Options { only: Some(&[PROBE, "page_alloc_flush"]), ..Options::default() };
    let (mut kernel, coverage) = Kernel::load(observer::object::OBJECT, &options);
    for probe in &coverage.probes {
        if let ProbeState::Absent { reason, .. } = &probe.state {
            bail!("probe {} is absent: {reason}", probe.name);
        }
    }
    let (pid, nanoseconds) = answer(Command::new(own_path()?).arg("workload"))?;
    // A probe that counted nothing would be cheap.
    let mut snapshot = Snapshot::default();
    kernel.read(&mut snapshot, &|_| false);
    let page_alloc = snapshot.page_alloc.context("the probe is attached but was not read")?;
    let living =
        page_alloc.processes.iter().filter(|process| process.pid == pid).map(|process| process.counts.allocations());
    let ended = page_alloc.exited.iter().map(|cgroup| cgroup.counts.allocations());
    let counted: u64 = living.chain(ended).sum();
    let made = (workload::PAGES * workload::PASSES) as u64;
    if counted < made {
        bail!("the loop allocated {made} pages and the probe counted {counted}");
    }
    Ok(nanoseconds)
}

/// bpftrace starts the loop itself: it does so when its probe is attached, and leaves when the loop has ended.
fn with_bpftrace(program: &Path) -> Result<f64> {
    let mut command = Command::new(program);
    command.args(["-e", SCRIPT, "-c", &format!("{} workload", own_path()?.display())]);
    let (_, nanoseconds) = answer(&mut command)?;
    Ok(nanoseconds)
}

fn own_path() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

/// Runs a command that prints the loop's result; its process id and the result.
fn answer(command: &mut Command) -> Result<(u32, f64)> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("cannot start {command:?}"))?;
    let pid = child.id();
    let output = child.wait_with_output().with_context(|| format!("cannot wait for {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix(workload::ANSWER)?.trim().parse().ok());
    match result {
        Some(nanoseconds) if output.status.success() => Ok((pid, nanoseconds)),
        _ => bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
    }
}
