//! The bpf(2) commands that aya does not offer: batches, runs on a chosen CPU, iterators by link, program
//! statistics.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use observer_ebpf::abi::Plain;

const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_TEST_RUN: libc::c_int = 10;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const LINK_CREATE: libc::c_int = 28;
const ITER_CREATE: libc::c_int = 33;

const BPF_TRACE_ITER: u32 = 28;

const BPF_F_TEST_RUN_ON_CPU: u32 = 1;

/// The argument of bpf(2) for elements of a map.
#[repr(C)]
struct ElemAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct TestRunAttr {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    pad: u32,
}

#[repr(C)]
struct InfoAttr {
    fd: u32,
    len: u32,
    info: u64,
}

#[repr(C)]
struct LinkAttr {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct IterAttr {
    link_fd: u32,
    flags: u32,
}

fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: every caller passes the structure that the kernel reads for `command`, with its size, and the pointers in
    // it are to live buffers of the lengths that the map or command asks for.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn address<T>(buffer: *const T) -> u64 {
    buffer.addr() as u64
}

/// Reads the value of a key into `value`, whose length is what the kernel writes: the value's size, or for a per-CPU map
/// that size rounded up to 8, times the possible CPUs.
pub(super) fn lookup<K: Plain>(map: BorrowedFd<'_>, key: &K, value: &mut [u64]) -> io::Result<()> {
    let (key, value) = (address(key), address(value.as_mut_ptr()));
    bpf(MAP_LOOKUP_ELEM, &mut ElemAttr { map_fd: raw(map), pad: 0, key, value, flags: 0 }).map(|_| ())
}

/// Sets the value of a key, which is added if it is new.
pub(super) fn update<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    let (key, value) = (address(key), address(std::ptr::from_ref(value)));
    bpf(MAP_UPDATE_ELEM, &mut ElemAttr { map_fd: raw(map), pad: 0, key, value, flags: 0 }).map(|_| ())
}

/// Deletes a key. An absent key is no error.
pub(super) fn delete<K: Plain>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    match bpf(MAP_DELETE_ELEM, &mut ElemAttr { map_fd: raw(map), pad: 0, key: address(key), value: 0, flags: 0 }) {
        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
        _ => Ok(()),
    }
}

/// Where a batch continues.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor(Option<u64>);

/// A batch of a hash map's elements.
#[derive(Debug)]
pub(super) struct Batch {
    /// Elements that were written to the buffers.
    pub(super) count: usize,
    /// Where to go on; `None` at the end of the map.
    pub(super) next: Option<Cursor>,
}

/// Reads elements of a hash map. `ENOSPC` if a hash bucket holds more than the buffers do.
pub(super) fn lookup_batch<K: Plain, V: Plain>(
    map: BorrowedFd<'_>,
    from: Cursor,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<Batch> {
    let room = keys.len().min(values.len());
    batch(map, from, (address(keys.as_mut_ptr()), address(values.as_mut_ptr())), room)
}

/// The same for a map with one value a CPU, where the values of a key take `per_key` words.
pub(super) fn lookup_batch_per_cpu<K: Plain>(
    map: BorrowedFd<'_>,
    from: Cursor,
    (keys, values): (&mut [K], &mut [u64]),
    per_key: usize,
) -> io::Result<Batch> {
    let room = keys.len().min(values.len() / per_key.max(1));
    batch(map, from, (address(keys.as_mut_ptr()), address(values.as_mut_ptr())), room)
}

fn batch(map: BorrowedFd<'_>, from: Cursor, (keys, values): (u64, u64), room: usize) -> io::Result<Batch> {
    let mut out = 0u64;
    let mut attr = BatchAttr {
        in_batch: from.0.as_ref().map_or(0, |c| address(std::ptr::from_ref(c))),
        out_batch: address(&raw mut out),
        keys,
        values,
        count: u32::try_from(room).unwrap_or(u32::MAX),
        map_fd: raw(map),
        elem_flags: 0,
        flags: 0,
    };
    let next = match bpf(MAP_LOOKUP_BATCH, &mut attr) {
        Ok(_) => Some(Cursor(Some(out))),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => None,
        Err(e) => return Err(e),
    };
    Ok(Batch { count: attr.count as usize, next })
}

/// Runs a raw tracepoint program on one CPU and gives what it returned. `ENXIO` if the CPU is off line.
pub(super) fn run_on_cpu(program: BorrowedFd<'_>, cpu: u32) -> io::Result<u32> {
    let mut attr = TestRunAttr { prog_fd: raw(program), flags: BPF_F_TEST_RUN_ON_CPU, cpu, ..TestRunAttr::default() };
    bpf(PROG_TEST_RUN, &mut attr)?;
    Ok(attr.retval)
}

/// Counters that the kernel keeps of a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProgramStats {
    /// Times it ran, counted only while `kernel.bpf_stats_enabled` is 1.
    pub(super) runs: u64,
    /// Times it was skipped because it ran already on that CPU; `None` before Linux counted them.
    pub(super) recursion_misses: Option<u64>,
}

/// Reads the counters of a program. Source: `struct bpf_prog_info`.
pub(super) fn program_stats(program: BorrowedFd<'_>) -> io::Result<ProgramStats> {
    const RUN_CNT: usize = 200;
    const RECURSION_MISSES: usize = 208;
    let mut info = [0u64; 29];
    let len = size_of_val(&info) as u32;
    let mut attr = InfoAttr { fd: raw(program), len, info: address(info.as_mut_ptr()) };
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    let word = |at: usize| (attr.len as usize >= at + 8).then(|| info.get(at / 8).copied()).flatten();
    Ok(ProgramStats { runs: word(RUN_CNT).unwrap_or(0), recursion_misses: word(RECURSION_MISSES) })
}

/// Links an iterator program, which is then opened as often as wanted.
pub(super) fn link_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = LinkAttr { prog_fd: raw(program), target_fd: 0, attach_type: BPF_TRACE_ITER, flags: 0 };
    bpf(LINK_CREATE, &mut attr).and_then(owned)
}

/// Opens an iterator in the network namespace of the calling thread; reading the result runs the program.
pub(super) fn open_iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    bpf(ITER_CREATE, &mut IterAttr { link_fd: raw(link), flags: 0 }).and_then(owned)
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(|_| io::Error::other("bpf(2) returned no descriptor"))?;
    // SAFETY: the kernel has just opened this descriptor for us (with close-on-exec), and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
