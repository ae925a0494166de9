//! Reading the kernel's structures at offsets that the user side took from BTF.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_get_current_task_btf};
use observer_ebpf::abi::fields::ABSENT;

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
