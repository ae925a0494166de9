//! Which packets are sampled, their sizes, and where they are counted.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_get_prandom_u32,
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};
use observer_ebpf::abi::tunnel::{Counted, Device, Next, PLACES, Packets};

use crate::kernel::{atomic_add, far_field, field, offsets};

/// What was sampled of each interface that is watched.
#[map(name = "obs_tun_counted")]
pub(super) static COUNTED: HashMap<Device, Counted> = HashMap::with_max_entries(1, 0);

/// One packet in so many is sampled; set by the user side at any time.
#[map(name = "obs_tun_every")]
static EVERY: Array<u32> = Array::with_max_entries(1, 0);

/// Packets of this CPU until the next sample. Packets of every interface are counted down: to find out first which one it is
/// would cost more than all the rest.
#[map(name = "obs_tun_next")]
static NEXT: PerCpuArray<Next> = PerCpuArray::with_max_entries(PLACES, 0);

/// Places of [`NEXT`]: as a packet is sent, and before and after packets are put together.
pub(super) const ENTRY: u32 = 0;
pub(super) const ARRIVAL: u32 = 1;
pub(super) const RECEIPT: u32 = 2;

/// True once in so many packets of this CPU, at random distances, so that no rhythm of packets is mistaken for their mix.
#[inline(always)]
pub(super) fn due(place: u32) -> bool {
    let Some(next) = NEXT.get_ptr_mut(place) else { return false };
    // SAFETY: the map gave the pointer, and the value is of this CPU.
    unsafe {
        if (*next).packets > 1 {
            (*next).packets -= 1;
            return false;
        }
        let every = EVERY.get(0).copied().unwrap_or(1);
        (*next).packets = if every > 1 { 1 + bpf_get_prandom_u32() % (2 * every - 1) } else { 0 };
        (*next).samples += 1;
    }
    true
}

/// Sizes of a packet.
pub(super) struct Size {
    /// From the network header on.
    pub(super) bytes: u32,
    /// Payload of each packet that it will be cut into; 0 for one that is not cut.
    pub(super) gso_size: u32,
    /// Packets that it will be cut into, at least 1.
    pub(super) segments: u32,
}

/// Sizes of a packet of the kernel.
#[inline(always)]
pub(super) fn size(skb: *const c_void) -> Size {
    let head = field::<u64>(skb, &offsets::SKB_HEAD).unwrap_or(0);
    let data = field::<u64>(skb, &offsets::SKB_DATA).unwrap_or(0);
    let len = field::<u32>(skb, &offsets::SKB_LEN).unwrap_or(0);
    let network = u64::from(field::<u16>(skb, &offsets::SKB_NETWORK).unwrap_or(0));
    let end = u64::from(field::<u32>(skb, &offsets::SKB_END).unwrap_or(0));
    let info = (head + end) as *const c_void;
    let gso_size = u32::from(far_field::<u16>(info, &offsets::SHINFO_GSO_SIZE).unwrap_or(0));
    let segments = u32::from(far_field::<u16>(info, &offsets::SHINFO_GSO_SEGS).unwrap_or(0));
    // What lies before the network header does not count, be it inside of the packet or cut off already.
    let bytes = len.wrapping_sub((head + network).wrapping_sub(data) as u32);
    Size { bytes, gso_size, segments: if gso_size == 0 || segments == 0 { 1 } else { segments } }
}

/// Counts a packet.
///
/// # Safety
/// `to` must point into a map value.
#[inline(always)]
pub(super) unsafe fn add(to: *mut Packets, size: &Size) {
    // SAFETY: the caller vouches for the pointer.
    unsafe {
        atomic_add(&raw mut (*to).packets, 1);
        atomic_add(&raw mut (*to).segments, u64::from(size.segments));
        atomic_add(&raw mut (*to).bytes, u64::from(size.bytes));
        if size.gso_size != 0 {
            atomic_add(&raw mut (*to).large, 1);
        }
    }
}
