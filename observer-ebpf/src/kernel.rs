//! Reading the kernel's structures at offsets that the user side took from BTF.

use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_probe_read_kernel,
    generated::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_task_btf, bpf_ktime_get_ns},
};
use observer_ebpf::abi::{COMM_LEN, fields::ABSENT};

macro_rules! declare {
    ($($symbol:ident, $group:literal, $container:literal, $path:literal, $size:literal;)*) => {
        /// Offsets, set before loading. The kernel sees constants and removes the branches of what is absent.
        pub(crate) mod offsets {
            $(
                #[doc = concat!("Offset of `", $container, ".", $path, "`.")]
                #[unsafe(no_mangle)]
                pub(crate) static $symbol: u32 = observer_ebpf::abi::fields::ABSENT;
            )*
        }
    };
}
observer_ebpf::for_each_kernel_field!(declare);

/// Value of a read-only global.
#[inline(always)]
pub(crate) fn constant(global: &'static u32) -> u32 {
    // SAFETY: a reference is valid to read; volatile, because the user side changes the value after compilation.
    unsafe { core::ptr::read_volatile(global) }
}

/// Reads a field through a pointer that the kernel's verifier knows the type of; a fault reads as 0.
///
/// `None` if the running kernel does not have the field.
#[inline(always)]
pub(crate) fn field<T: Copy>(base: *const c_void, offset: &'static u32) -> Option<T> {
    let offset = constant(offset);
    if offset == ABSENT {
        return None;
    }
    // SAFETY: the verifier accepts this load only for a pointer typed by BTF and an offset inside that type.
    Some(unsafe { core::ptr::read_volatile(base.byte_add(offset as usize).cast::<T>()) })
}

/// Reads a bit field of at most 8 bits, which lies inside one byte.
#[inline(always)]
pub(crate) fn bits(base: *const c_void, offset: &'static u32) -> Option<u8> {
    let packed = constant(offset);
    if packed == ABSENT {
        return None;
    }
    // SAFETY: as in `field`.
    let byte = unsafe { core::ptr::read_volatile(base.byte_add((packed & 0xffff) as usize).cast::<u8>()) };
    let (shift, width) = (packed >> 16 & 7, packed >> 24);
    Some((u32::from(byte) >> shift & ((1 << (width & 15)) - 1)) as u8)
}

/// Reads a field through an address that the verifier knows nothing of.
#[inline(always)]
pub(crate) fn far_field<T: Copy>(base: *const c_void, offset: &'static u32) -> Option<T> {
    let offset = constant(offset);
    if offset == ABSENT || base.is_null() {
        return None;
    }
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(base.byte_add(offset as usize).cast::<T>()) }.ok()
}

/// Follows a pointer in a field.
#[inline(always)]
pub(crate) fn pointer(base: *const c_void, offset: &'static u32) -> Option<*const c_void> {
    field(base, offset)
}

/// The task that runs: in an interrupt the one that was interrupted.
#[inline(always)]
pub(crate) fn current() -> *const c_void {
    // SAFETY: the helper takes no argument and always returns a valid task.
    unsafe { bpf_get_current_task_btf() }.cast()
}

/// Process id of a task; of the current one where the kernel's structures could not be read.
#[inline(always)]
pub(crate) fn tgid(task: *const c_void) -> u32 {
    match field(task, &offsets::TASK_TGID) {
        Some(tgid) => tgid,
        // SAFETY: the helper takes no argument.
        None => (unsafe { bpf_get_current_pid_tgid() } >> 32) as u32,
    }
}

/// Memory cgroup of a task: the inode of its folder, on a version 1 hierarchy as on version 2. 0 if unknown.
#[inline(always)]
pub(crate) fn task_cgroup(task: *const c_void) -> u64 {
    let kn = pointer(task, &offsets::TASK_CGROUPS)
        .and_then(|css_set| pointer(css_set, &offsets::CSS_SET_MEMORY))
        .and_then(|css| pointer(css, &offsets::CSS_CGROUP))
        .and_then(|cgroup| pointer(cgroup, &offsets::CGROUP_KN));
    kn.and_then(|kn| field(kn, &offsets::KN_ID)).unwrap_or(0)
}

/// Memory cgroup that the socket's buffers are charged to, where the kernel charges them.
#[inline(always)]
pub(crate) fn socket_cgroup(sk: *const c_void) -> Option<u64> {
    let cgroup = pointer(sk, &offsets::SK_MEMCG).and_then(|memcg| pointer(memcg, &offsets::MEMCG_CGROUP))?;
    pointer(cgroup, &offsets::CGROUP_KN).and_then(|kn| field(kn, &offsets::KN_ID))
}

/// Thread id of the current task.
#[inline(always)]
pub(crate) fn tid() -> u32 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_get_current_pid_tgid() as u32 }
}

/// Start of a task's process in nanoseconds of `CLOCK_BOOTTIME`; 0 if unknown, and for the idle tasks: each CPU's began when
/// that CPU came up, and yet all of them are process 0.
#[inline(always)]
pub(crate) fn start_ns(task: *const c_void) -> u64 {
    if tgid(task) == 0 {
        return 0;
    }
    pointer(task, &offsets::TASK_LEADER).and_then(|leader| field(leader, &offsets::TASK_START)).unwrap_or(0)
}

/// Name of the current task.
#[inline(always)]
pub(crate) fn current_comm() -> [u8; COMM_LEN] {
    let mut comm = [0u64; COMM_LEN / 8];
    // SAFETY: the helper writes at most the length it is given.
    unsafe { bpf_get_current_comm((&raw mut comm).cast(), COMM_LEN as u32) };
    // SAFETY: two words are as many bytes, and any bytes are a name.
    unsafe { core::mem::transmute::<[u64; COMM_LEN / 8], [u8; COMM_LEN]>(comm) }
}

/// Name of any task; empty if it cannot be read.
#[inline(always)]
pub(crate) fn task_comm(task: *const c_void) -> [u8; COMM_LEN] {
    let offset = constant(&offsets::TASK_COMM);
    if offset == ABSENT {
        return [0; COMM_LEN];
    }
    // SAFETY: the helper checks the address. It copies the whole name, which a typed load could only do byte by byte.
    unsafe { bpf_probe_read_kernel(task.byte_add(offset as usize).cast()) }.unwrap_or([0; COMM_LEN])
}

/// Name of a task's process, which is that of its first thread.
#[inline(always)]
pub(crate) fn process_comm(task: *const c_void) -> [u8; COMM_LEN] {
    pointer(task, &offsets::TASK_LEADER).map_or([0; COMM_LEN], task_comm)
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_ktime_get_ns() }
}

/// Bucket of a log2 histogram: 0 for 0, else `i` with `2^(i-1) <= value < 2^i`. The instruction set has no
/// count of leading zeros.
#[inline(always)]
pub(crate) fn log2_bucket(value: u64) -> u32 {
    let (mut rest, mut bucket) = (value, 0);
    for step in [32, 16, 8, 4, 2, 1] {
        if rest >> step != 0 {
            rest >>= step;
            bucket += step;
        }
    }
    if rest == 0 { 0 } else { bucket + 1 }
}

/// Adds to a 32-bit counter that programs on other CPUs add to as well.
///
/// # Safety
/// `counter` must point into a map value.
#[inline(always)]
pub(crate) unsafe fn atomic_add_32(counter: *mut u32, n: u32) {
    // SAFETY: as in `atomic_add`.
    unsafe {
        core::arch::asm!("lock *(u32 *)({counter} + 0) += {n}", counter = in(reg) counter, n = in(reg) u64::from(n));
    }
}

/// True if kswapd runs: a task without an address space, which no process can be while it allocates, of that name.
#[inline(always)]
pub(crate) fn is_kswapd(task: *const c_void) -> bool {
    let no_mm = pointer(task, &offsets::TASK_MM).is_some_and(|mm| mm.is_null());
    no_mm && current_comm().starts_with(b"kswapd")
}

/// Adds to a counter that programs on other CPUs add to as well.
///
/// # Safety
/// `counter` must point into a map value.
#[inline(always)]
pub(crate) unsafe fn atomic_add(counter: *mut u64, n: u64) {
    // SAFETY: the caller vouches for the pointer. Inline assembly, because this target has no `AtomicU64`.
    unsafe {
        core::arch::asm!("lock *(u64 *)({counter} + 0) += {n}", counter = in(reg) counter, n = in(reg) n);
    }
}

/// Keeps the compiler from moving a memory access across. The CPU needs none where only programs on that CPU look.
#[inline(always)]
pub(crate) fn barrier() {
    // SAFETY: no instruction; without options, the compiler must assume that all memory is read and written here.
    unsafe { core::arch::asm!("") };
}

/// Argument `n` of a raw tracepoint, as the register held it.
///
/// # Safety
/// `ctx` must be the context of a program on a tracepoint that has more than `n` arguments.
#[inline(always)]
pub(crate) unsafe fn arg(ctx: *mut c_void, n: usize) -> u64 {
    // SAFETY: the context is an array of 64-bit arguments; the caller vouches for its length and the verifier checks it.
    unsafe { core::ptr::read(ctx.cast::<u64>().add(n)) }
}

/// Argument `n` of a raw tracepoint as a pointer whose type the verifier knows.
///
/// # Safety
/// As for [`arg`].
#[inline(always)]
pub(crate) unsafe fn typed_arg(ctx: *mut c_void, n: usize) -> *const c_void {
    // SAFETY: as in `arg`.
    unsafe { core::ptr::read(ctx.cast::<*const c_void>().add(n)) }
}
