//! BPF program types, each tried with a program that does nothing: loaded, attached, and gone again.
//! Source: bpf(2) `BPF_PROG_LOAD`, `BPF_RAW_TRACEPOINT_OPEN`, `BPF_LINK_CREATE`; perf_event_open(2).

use std::{
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::Path,
};

use serde::Serialize;

use crate::{snapshot::Name, source::kernel::btf::Btf};

/// What became of a program of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgramType {
    /// Its name, as libbpf's section names have it.
    pub name: &'static str,
    /// What observer does with it.
    pub used_for: &'static str,
    /// True if observer sees less without it; false for what would only add to it.
    pub needed: bool,
    /// Where it failed and why; `None` if it was loaded and attached.
    pub refused: Option<Refused>,
}

/// How a program failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// What was tried: `load`, `attach`, or `prepare` what both need.
    pub step: &'static str,
    /// What the kernel answered.
    pub reason: Name,
}

const PROG_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const LINK_CREATE: libc::c_int = 28;

const TYPE_KPROBE: u32 = 2;
const TYPE_TRACEPOINT: u32 = 5;
const TYPE_RAW_TRACEPOINT: u32 = 17;
const TYPE_TRACING: u32 = 26;

const TRACE_RAW_TP: u32 = 23;
const TRACE_FENTRY: u32 = 24;
const TRACE_ITER: u32 = 28;

/// A tracepoint that hardly ever fires.
const RARE_TRACEPOINT: (&str, &str) = ("oom", "mark_victim");
/// A function that hardly ever runs: sync(2).
const RARE_FUNCTION: &str = "ksys_sync";
/// The iterator that observer uses.
const ITERATOR: &str = "bpf_iter_tcp";

/// `r0 = 0; exit`.
const DO_NOTHING: [u64; 2] = [0xb7, 0x95];

type Attempt = Result<(), Refused>;

/// Tries every type.
pub(super) fn try_all(btf: Option<&Btf>) -> Vec<ProgramType> {
    let row = |name, used_for, needed, attempt: Attempt| ProgramType { name, used_for, needed, refused: attempt.err() };
    vec![
        row("tp_btf", "memory, OOM and TCP probes", true, tp_btf(btf)),
        row("raw_tracepoint", "reads what each CPU holds back", true, raw_tracepoint()),
        row("iter", "reads open TCP sockets", true, iter(btf)),
        row("tracepoint", "second form of a probe, where tp_btf does not fit", false, tracepoint()),
        row("kprobe", "functions that have no tracepoint", false, kprobe()),
        row("fentry", "functions that have no tracepoint, at less cost", false, fentry(btf)),
    ]
}

fn step<E: std::fmt::Display>(step: &'static str) -> impl Fn(E) -> Refused {
    move |e| Refused { step, reason: Name::from(e.to_string()) }
}

fn need(btf: Option<&Btf>) -> Result<&Btf, Refused> {
    btf.ok_or_else(|| step("prepare")("the kernel's BTF could not be read"))
}

fn tp_btf(btf: Option<&Btf>) -> Attempt {
    let id = need(btf)?.tracepoint_id(RARE_TRACEPOINT.1).map_err(step("prepare"))?;
    let program = load(TYPE_TRACING, TRACE_RAW_TP, id).map_err(step("load"))?;
    raw_tracepoint_open(&program, None).map(drop).map_err(step("attach"))
}

fn fentry(btf: Option<&Btf>) -> Attempt {
    let id = need(btf)?.function_id(RARE_FUNCTION).map_err(step("prepare"))?;
    let program = load(TYPE_TRACING, TRACE_FENTRY, id).map_err(step("load"))?;
    raw_tracepoint_open(&program, None).map(drop).map_err(step("attach"))
}

fn iter(btf: Option<&Btf>) -> Attempt {
    let id = need(btf)?.function_id(ITERATOR).map_err(step("prepare"))?;
    let program = load(TYPE_TRACING, TRACE_ITER, id).map_err(step("load"))?;
    let mut attr = [fd_number(&program), 0, TRACE_ITER, 0];
    bpf(LINK_CREATE, &mut attr).map(drop).map_err(step("attach"))
}

fn raw_tracepoint() -> Attempt {
    let program = load(TYPE_RAW_TRACEPOINT, 0, 0).map_err(step("load"))?;
    raw_tracepoint_open(&program, Some(c"mark_victim")).map(drop).map_err(step("attach"))
}

fn tracepoint() -> Attempt {
    let program = load(TYPE_TRACEPOINT, 0, 0).map_err(step("load"))?;
    let (group, name) = RARE_TRACEPOINT;
    let folders = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let read = |folder: &&str| number_in(&Path::new(folder).join(format!("events/{group}/{name}/id")));
    let id = folders.iter().map(read).reduce(|a, b| a.or(b)).unwrap_or_else(|| Err("no tracefs".to_owned()));
    let id = id.map_err(step("prepare"))?;
    let kind = number_in(Path::new("/sys/bus/event_source/devices/tracepoint/type")).map_err(step("prepare"))?;
    attach_perf(&program, kind, id, None).map_err(step("attach"))
}

fn kprobe() -> Attempt {
    let device = Path::new("/sys/bus/event_source/devices/kprobe/type");
    if !device.exists() {
        return Err(step("prepare")("this kernel is built without kprobes (CONFIG_KPROBE_EVENTS)"));
    }
    let kind = number_in(device).map_err(step("prepare"))?;
    let program = load(TYPE_KPROBE, 0, 0).map_err(step("load"))?;
    attach_perf(&program, kind, 0, Some(c"ksys_sync")).map_err(step("attach"))
}

/// Reads a file that holds one number.
fn number_in(path: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    text.trim().parse().map_err(|_| format!("{} holds no number", path.display()))
}

fn fd_number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// The begin of `union bpf_attr` for `BPF_PROG_LOAD`, up to `attach_btf_id`.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

fn load(prog_type: u32, attach_type: u32, btf_id: u32) -> io::Result<OwnedFd> {
    let mut attr = LoadAttr {
        prog_type,
        insn_cnt: DO_NOTHING.len() as u32,
        insns: DO_NOTHING.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        prog_name: *b"obs_doctor\0\0\0\0\0\0",
        expected_attach_type: attach_type,
        attach_btf_id: btf_id,
        ..LoadAttr::default()
    };
    bpf(PROG_LOAD, &mut attr)
}

/// Attaches to a raw tracepoint by name, or to what the program was loaded for.
fn raw_tracepoint_open(program: &OwnedFd, name: Option<&std::ffi::CStr>) -> io::Result<OwnedFd> {
    let mut attr = [name.map_or(0, |n| n.as_ptr().addr() as u64), u64::from(fd_number(program))];
    bpf(RAW_TRACEPOINT_OPEN, &mut attr)
}

fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: every caller passes the structure that the kernel reads for `command`, with its size; the pointers in it
    // are to constants.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    owned(fd)
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(fd) {
        // SAFETY: the call has just made this descriptor, and nobody else knows of it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens a perf event on CPU 0 for all tasks and lets it run the program. `function` is the kprobe's.
fn attach_perf(program: &OwnedFd, kind: u64, config: u64, function: Option<&std::ffi::CStr>) -> io::Result<()> {
    const SIZE: usize = 112;
    const SET_BPF: libc::Ioctl = 0x4004_2408_u32 as libc::Ioctl;
    // `struct perf_event_attr`: type and size, config, six fields that stay 0, then config1, which is the function.
    let mut attr = [0u64; SIZE / 8];
    let function = function.map_or(0, |f| f.as_ptr().addr() as u64);
    for (at, value) in [(0, (SIZE as u64) << 32 | (kind & 0xffff_ffff)), (1, config), (7, function)] {
        if let Some(word) = attr.get_mut(at) {
            *word = value;
        }
    }
    const ALL_TASKS: libc::c_long = -1;
    const CPU: libc::c_long = 0;
    const NO_GROUP: libc::c_long = -1;
    const CLOSE_ON_EXEC: libc::c_long = 8;
    // SAFETY: the structure is as long as it says, and the function's name is a constant that ends with a zero.
    let fd =
        unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), ALL_TASKS, CPU, NO_GROUP, CLOSE_ON_EXEC) };
    let event = owned(fd)?;
    // SAFETY: both are open descriptors; this request takes the program's number by value.
    let set = unsafe { libc::ioctl(event.as_raw_fd(), SET_BPF, program.as_raw_fd()) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
