//! How long the packets of this CPU waited between the interrupt and the soft interrupt that takes them.

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};

use crate::kernel::{arg, now};

/// `NET_RX_SOFTIRQ`, which has had this number since Linux 2.6.24.
const NET_RX: u32 = 3;

/// Times of this CPU in nanoseconds, 0 for none: since when the soft interrupt is asked for, and since when the one was that
/// runs.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waits {
    raised_ns: u64,
    running_ns: u64,
}

#[map(name = "obs_softirq")]
static WAITS: PerCpuArray<Waits> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn waits() -> Option<&'static mut Waits> {
    // SAFETY: the map gave the pointer, the value is of this CPU, and these programs do not interrupt each other: the
    // kernel runs them with the interrupts off or one inside the other's soft interrupt.
    WAITS.get_ptr_mut(0).map(|waits| unsafe { &mut *waits })
}

/// `irq:softirq_raise(vec)`: also while it is asked for already.
#[btf_tracepoint(function = "softirq_raise")]
fn obs_irq_raise(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    if unsafe { arg(ctx.as_ptr(), 0) } as u32 == NET_RX
        && let Some(waits) = waits()
        && waits.raised_ns == 0
    {
        waits.raised_ns = now();
    }
    0
}

/// `irq:softirq_entry(vec)`.
#[btf_tracepoint(function = "softirq_entry")]
fn obs_irq_entry(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    if unsafe { arg(ctx.as_ptr(), 0) } as u32 == NET_RX
        && let Some(waits) = waits()
    {
        waits.running_ns = waits.raised_ns;
        waits.raised_ns = 0;
    }
    0
}

/// `irq:softirq_exit(vec)`.
#[btf_tracepoint(function = "softirq_exit")]
fn obs_irq_exit(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: as above.
    if unsafe { arg(ctx.as_ptr(), 0) } as u32 == NET_RX
        && let Some(waits) = waits()
    {
        waits.running_ns = 0;
    }
    0
}

/// Nanoseconds since the soft interrupt that runs here was asked for; 0 if none runs, or without its probes.
#[inline(always)]
pub(super) fn waited() -> u64 {
    match waits() {
        Some(waits) if waits.running_ns != 0 => now().saturating_sub(waits.running_ns),
        _ => 0,
    }
}
