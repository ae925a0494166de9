//! The headers of a packet on its way through a tunnel.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use observer_ebpf::abi::tunnel::Header;

use crate::kernel::{field, offsets};

const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const DESTINATION_OPTIONS: u8 = 60;

/// The first bytes of a packet from its network header on: an IPv6 header and one of TCP.
const HEAD: usize = 64;

/// Reads a packet's headers and returns how many bytes they have; 0, and version 0, if it is no IP packet.
///
/// # Safety
/// `to` must point into a map value of this CPU.
#[inline(always)]
pub(super) unsafe fn parse(skb: *const c_void, to: *mut Header) -> u32 {
    let mut head = [0_u8; HEAD];
    let start = field::<u64>(skb, &offsets::SKB_HEAD).unwrap_or(0);
    let network = u64::from(field::<u16>(skb, &offsets::SKB_NETWORK).unwrap_or(0));
    let from = (start + network) as *const c_void;
    // SAFETY: the helper checks the source; the target is as long as it is told. Behind a packet's data the kernel keeps
    // more than so many bytes about it, so that a short packet can be read as well.
    unsafe { bpf_probe_read_kernel((&raw mut head).cast(), HEAD as u32, from) };
    let version = head[0] >> 4;
    // SAFETY: the caller vouches for the target.
    unsafe {
        (*to).version = 0;
        (*to).source = [0; 16];
        (*to).destination = [0; 16];
        (*to).source_port = 0;
        (*to).destination_port = 0;
        (*to).zero = [0; 7];
        if version == 4 {
            (*to).protocol = head[9];
            (*to).tos = head[1];
            (*to).ttl = head[8];
            (*to).dont_fragment = head[6] >> 6 & 1;
            copy(&raw mut (*to).source, &head, 12, 4);
            copy(&raw mut (*to).destination, &head, 16, 4);
            (*to).version = 4;
            match head[0] & 15 {
                5 => transport::<20>(to, &head),
                // With options: the addresses are where they are, the ports are not.
                words => u32::from(words) * 4,
            }
        } else if version == 6 {
            (*to).protocol = head[6];
            (*to).tos = head[0] << 4 | head[1] >> 4;
            (*to).ttl = head[7];
            (*to).dont_fragment = 1;
            copy(&raw mut (*to).source, &head, 8, 16);
            copy(&raw mut (*to).destination, &head, 24, 16);
            (*to).version = 6;
            // A limit of encapsulations, which IPv6 tunnels write.
            if head[6] == DESTINATION_OPTIONS && head[41] == 0 {
                (*to).protocol = head[40];
                return 48;
            }
            transport::<40>(to, &head)
        } else {
            0
        }
    }
}

/// # Safety
/// `to` must point into a map value of this CPU.
#[inline(always)]
unsafe fn copy(to: *mut [u8; 16], head: &[u8; HEAD], at: usize, len: usize) {
    for i in 0..len {
        // SAFETY: the caller vouches for the target; the indexes are constants inside of both.
        unsafe { *to.cast::<u8>().add(i) = head[at + i] };
    }
}

/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn transport<const AT: usize>(to: *mut Header, head: &[u8; HEAD]) -> u32 {
    // SAFETY: the caller vouches for the target.
    unsafe {
        let header = match (*to).protocol {
            TCP => u32::from(head[AT + 12] >> 4) * 4,
            UDP => 8,
            _ => return AT as u32,
        };
        (*to).source_port = u16::from_ne_bytes([head[AT], head[AT + 1]]);
        (*to).destination_port = u16::from_ne_bytes([head[AT + 2], head[AT + 3]]);
        AT as u32 + header
    }
}

/// A hash of a flow's addresses (FNV-1a by words).
#[inline(always)]
pub(super) fn digest(header: &Header) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut mix = |word: u32| hash = (hash ^ word).wrapping_mul(0x0100_0193);
    for at in [0, 4, 8, 12] {
        let word = |bytes: &[u8; 16]| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        mix(word(&header.source));
        mix(word(&header.destination));
    }
    mix(u32::from(header.source_port) << 16 | u32::from(header.destination_port));
    mix(u32::from(header.protocol));
    hash
}
