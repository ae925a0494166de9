//! What first bytes and handshakes are summed by: the process, and the network of the other end.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::bpf_probe_read_kernel,
    macros::map,
    maps::{Array, HashMap},
};
use observer_ebpf::abi::{
    fields::ABSENT,
    first_byte::{BY_PEER, BY_PEER_V6, BY_PROCESS, Key, NETWORK_V4, NETWORK_V6, Pending, Value},
};

use super::{BPF_NOEXIST, first_byte::IN, socket::AF_INET6};
use crate::kernel::{constant, field, offsets, pointer};

#[map(name = "obs_fb_groups")]
static GROUPS: HashMap<Key, Value> = HashMap::with_max_entries(1024, 0);

/// What found no place in GROUPS: by process, by network of the other end; of each the connections begun here first.
#[map(name = "obs_fb_rest")]
static OTHER: Array<Value> = Array::with_max_entries(4, 0);

/// A value of zeros: it is too large for the stack.
#[map(name = "obs_fb_zero")]
static ZERO: Array<Value> = Array::with_max_entries(1, 0);

/// Calls `add` with the sums of the process and with those of the other end's network.
#[inline(always)]
pub(super) fn each_group(sk: *const c_void, pending: &Pending, add: impl Fn(*mut Value)) {
    let incoming = pending.direction == IN;
    let port = if incoming {
        field(sk, &offsets::SK_NUM).unwrap_or(0)
    } else {
        u16::from_be(field(sk, &offsets::SK_DPORT).unwrap_or(0))
    };
    let net = pointer(sk, &offsets::SK_NET);
    let mut key = Key {
        cgroup: pending.cgroup,
        who: pending.comm,
        netns: net.and_then(|net| field(net, &offsets::NET_INUM)).unwrap_or(0),
        port,
        by: BY_PROCESS,
        direction: pending.direction as u8,
    };
    if let Some(value) = group(&key, u32::from(incoming)) {
        add(value);
    }
    key.cgroup = 0;
    (key.who, key.by) = network(sk);
    if let Some(value) = group(&key, 2 + u32::from(incoming)) {
        add(value);
    }
}

#[inline(always)]
fn group(key: &Key, other: u32) -> Option<*mut Value> {
    if let Some(value) = GROUPS.get_ptr_mut(key) {
        return Some(value);
    }
    // SAFETY: the map gave the pointer, and nobody writes to it.
    let zero = unsafe { &*ZERO.get_ptr(0)? };
    let _ = GROUPS.insert(key, zero, BPF_NOEXIST);
    GROUPS.get_ptr_mut(key).or_else(|| OTHER.get_ptr_mut(other))
}

/// The network that the other end is in, and how to read it.
#[inline(always)]
fn network(sk: *const c_void) -> ([u8; 16], u8) {
    let mut who = [0u8; 16];
    if field::<u16>(sk, &offsets::SK_FAMILY) != Some(AF_INET6) {
        let address = field::<[u8; 4]>(sk, &offsets::SK_DADDR).unwrap_or([0; 4]);
        who[..NETWORK_V4].copy_from_slice(&address[..NETWORK_V4]);
        return (who, BY_PEER);
    }
    let at = constant(&offsets::SK_V6_DADDR);
    if at == ABSENT {
        return (who, BY_PEER_V6);
    }
    // SAFETY: the helper checks the address.
    let address = unsafe { bpf_probe_read_kernel(sk.byte_add(at as usize).cast::<[u32; 4]>()) }.unwrap_or([0; 4]);
    if address[0] == 0 && address[1] == 0 && address[2] == 0xffff_u32.to_be() {
        // An IPv4 address, mapped.
        who[..NETWORK_V4].copy_from_slice(&address[3].to_ne_bytes()[..NETWORK_V4]);
        return (who, BY_PEER);
    }
    let (first, second) = (address[0].to_ne_bytes(), address[1].to_ne_bytes());
    who[..4].copy_from_slice(&first);
    who[4..NETWORK_V6].copy_from_slice(&second[..NETWORK_V6 - 4]);
    (who, BY_PEER_V6)
}
