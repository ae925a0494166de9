//! Counters of what could not be kept.

use aya_ebpf::{macros::map, maps::Array};
use observer_ebpf::abi::losses::{LOSSES, Loss};

use crate::kernel::atomic_add;

#[map(name = "obs_losses")]
static COUNTERS: Array<u64> = Array::with_max_entries(LOSSES.len() as u32, 0);

/// Counts a loss.
#[inline(always)]
pub(super) fn lost(what: Loss) {
    if let Some(counter) = COUNTERS.get_ptr_mut(what as u32) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(counter, 1) };
    }
}
