//! Packets through tunnels, sampled where they enter and known again where the outer packet leaves.
//!
//! Loaded only while there is a tunnel. A packet keeps its hash on the way through (`skb->hash` is the socket's random
//! `sk_txhash`), also through WireGuard, which cuts it and encrypts it on another CPU. One whose hash is not kept, because it
//! is forwarded, is known by its address, which it keeps in all tunnels that do not cut it.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::bpf_probe_read_kernel as read_kernel,
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray},
    programs::BtfTracePointContext,
};
use observer_ebpf::abi::tunnel::{BUCKETS, Device, Entered, Flow, FlowKey, Header, LOSSES, Loss, Watch};

use super::{
    BPF_NOEXIST,
    tunnel_header::{UDP, digest, parse},
    tunnel_sample::{COUNTED, ENTRY, Size, add, due, size},
};
use crate::kernel::{atomic_add, bits, far_field, field, log2_bucket, now, offsets, pointer, typed_arg};

// Every command creates every map of the object: these have one element unless there is a tunnel.
#[map(name = "obs_tun_watch")]
static WATCHED: HashMap<Device, Watch> = HashMap::with_max_entries(1, 0);

/// Inner flows, the least recently seen forgotten.
#[map(name = "obs_tun_flows")]
static FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(1, 0);

/// Packets inside of tunnels: by their hash, or by their address where the hash is not kept.
#[map(name = "obs_tun_entered")]
static ENTERED: LruHashMap<u64, Entered> = LruHashMap::with_max_entries(1, 0);

/// Low half of the key of what may be in [`ENTERED`], at its last bits: most packets need not be looked for any further.
#[map(name = "obs_tun_hints")]
static HINTS: Array<u32> = Array::with_max_entries(HINT_SLOTS, 0);

/// 1 if packets have entered whose key is their address; the user side sets it back at each reading.
#[map(name = "obs_tun_addr")]
static ADDRESSED: Array<u32> = Array::with_max_entries(1, 0);

/// A new flow is built here: it is too large for the stack.
#[map(name = "obs_tun_room")]
static ROOM: PerCpuArray<Flow> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "obs_tun_losses")]
static LOST: Array<u64> = Array::with_max_entries(LOSSES, 0);

/// A power of two.
const HINT_SLOTS: u32 = 4096;

/// A packet that has not left a tunnel by then has been dropped there.
const LONGEST_NS: u64 = 1_000_000_000;
/// The largest overhead that is taken for one: more is another packet.
const MOST_OVERHEAD: u32 = 256;

/// Counts a loss.
#[inline(always)]
pub(super) fn lost(what: Loss) {
    if let Some(counter) = LOST.get_ptr_mut(what as u32) {
        // SAFETY: the map gave the pointer.
        unsafe { atomic_add(counter, 1) };
    }
}

/// The interface's name in the maps.
#[inline(always)]
pub(super) fn device(dev: *const c_void) -> Device {
    let netns = pointer(dev, &offsets::DEV_NET).and_then(|net| field(net, &offsets::NET_INUM)).unwrap_or(0);
    Device { netns, ifindex: field(dev, &offsets::DEV_IFINDEX).unwrap_or(0) }
}

/// `net:net_dev_start_xmit(skb, dev)`: right before the interface's driver takes the packet.
#[btf_tracepoint(function = "net_dev_start_xmit")]
fn obs_tun_xmit(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the user side has checked the tracepoint's arguments.
    let (skb, dev) = unsafe { (typed_arg(ctx.as_ptr(), 0), typed_arg(ctx.as_ptr(), 1)) };
    let hash = field::<u32>(skb, &offsets::SKB_HASH).unwrap_or(0);
    let mut key = u64::from(hash);
    let mut maybe = hinted(key);
    if !maybe && ADDRESSED.get(0).is_some_and(|addressed| *addressed != 0) {
        key = address(&ctx);
        maybe = hinted(key);
    }
    if maybe && let Some(entered) = ENTERED.get_ptr_mut(key) {
        // SAFETY: the map gave the pointer.
        unsafe { leaves(skb, device(dev), key, &mut *entered) };
    }
    if due(ENTRY) {
        let device = device(dev);
        // SAFETY: nobody changes it but the user side, in one piece.
        if let Some(watch) = unsafe { WATCHED.get(device) }
            && watch.tunnel != 0
        {
            enters(skb, address(&ctx), device, watch, hash);
        }
    }
    0
}

/// Address of the packet that the tracepoint passes, as a number to reckon with: the verifier lets that be done with no pointer.
#[inline(always)]
fn address(ctx: &BtfTracePointContext) -> u64 {
    // SAFETY: the helper checks the address.
    unsafe { read_kernel(ctx.as_ptr().cast::<u64>()) }.unwrap_or(0)
}

/// True if a packet of this key may have entered a tunnel.
#[inline(always)]
fn hinted(key: u64) -> bool {
    HINTS.get(slot(key)).is_some_and(|hint| *hint != 0 && *hint == key as u32)
}

/// Packets lie at multiples of 64 bytes and more: their addresses differ above that.
#[inline(always)]
fn slot(key: u64) -> u32 {
    (key as u32 ^ key as u32 >> 8) % HINT_SLOTS
}

#[inline(always)]
fn hint(key: u64, value: u32) {
    if let Some(hint) = HINTS.get_ptr_mut(slot(key)) {
        // SAFETY: the map gave the pointer. What another CPU writes at the same time is as good.
        unsafe { *hint = value };
    }
}

/// Forgets a packet.
#[inline(always)]
fn forget(key: u64) {
    let _ = ENTERED.remove(key);
    hint(key, 0);
}

/// A packet enters a tunnel.
#[inline(always)]
fn enters(skb: *const c_void, address: u64, device: Device, watch: &Watch, hash: u32) {
    let Some(room) = ROOM.get_ptr_mut(0) else { return };
    let Some(counted) = COUNTED.get_ptr_mut(device) else { return };
    let size = size(skb);
    // SAFETY: the map gave the pointer.
    unsafe { add(&raw mut (*counted).entered, &size) };
    let time = now();
    // SAFETY: the map gave the pointer, and the value is of this CPU.
    let header_bytes = unsafe { parse(skb, &raw mut (*room).inner) };
    if header_bytes == 0 {
        return;
    }
    let carried = hash != 0 && bits(skb, &offsets::SKB_L4_HASH).unwrap_or(0) != 0;
    // SAFETY: as above.
    let hash = if carried { hash } else { unsafe { digest(&(*room).inner) } };
    let flow = FlowKey { device, hash, carried: u32::from(carried) };
    remember(&flow, skb, room, time);
    if watch.protocols[0] == 0 && watch.udp == 0 {
        return;
    }
    let key = if carried { u64::from(hash) } else { address };
    if let Some(old) = ENTERED.get_ptr(key) {
        // SAFETY: the map gave the pointer.
        let old = unsafe { &*old };
        // One that will be known by its address keeps its place: in a queue, packets before it leave first.
        if carried && old.flow.device == device && time - old.entered_ns < LONGEST_NS / 10 {
            return;
        }
        if old.joined == 0 {
            // SAFETY: as above.
            unsafe { atomic_add(&raw mut (*counted).unmatched, 1) };
        }
    }
    let Size { bytes, gso_size, .. } = size;
    let entered = Entered { entered_ns: time, skb: address, flow, bytes, header_bytes, gso_size, joined: 0 };
    if ENTERED.insert(key, entered, 0).is_ok() {
        hint(key, key as u32);
        if !carried && let Some(addressed) = ADDRESSED.get_ptr_mut(0) {
            // SAFETY: the map gave the pointer.
            unsafe { *addressed = 1 };
        }
    }
}

/// Counts a sample of a flow, which `room` may be used for if it is new.
#[inline(always)]
fn remember(key: &FlowKey, skb: *const c_void, room: *mut Flow, time: u64) {
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: the map gave the pointer.
        unsafe {
            (*flow).seen_ns = time;
            atomic_add(&raw mut (*flow).sampled, 1);
            if (*flow).cookie == 0 {
                (*flow).cookie = cookie(skb);
            }
        }
        return;
    }
    // SAFETY: the map gave the pointer, and the value is of this CPU.
    unsafe {
        (*room).cookie = cookie(skb);
        (*room).seen_ns = time;
        (*room).joined_ns = 0;
        (*room).sampled = 1;
        (*room).joined = 0;
        (*room).leaves_by = Device { netns: 0, ifindex: 0 };
        (*room).outer.version = 0;
        if FLOWS.insert(key, *room, BPF_NOEXIST).is_ok() {
            lost(Loss::FlowsAdded);
        }
    }
}

#[inline(always)]
fn cookie(skb: *const c_void) -> u64 {
    let sk = far_field::<u64>(skb, &offsets::SKB_SK).unwrap_or(0);
    far_field((sk) as *const c_void, &offsets::SK_COOKIE).unwrap_or(0)
}

/// A packet goes out that may be one that has entered a tunnel.
///
/// # Safety
/// `entered` must be an element of the map at `key`.
#[inline(always)]
unsafe fn leaves(skb: *const c_void, device: Device, key: u64, entered: &mut Entered) {
    let Entered { entered_ns, skb: address, flow: flow_key, bytes, header_bytes, gso_size, joined } = *entered;
    if flow_key.device == device {
        return;
    }
    let time = now();
    if time - entered_ns > LONGEST_NS {
        forget(key);
        return;
    }
    let Some(room) = ROOM.get_ptr_mut(0) else { return };
    // SAFETY: as above.
    unsafe { parse(skb, &raw mut (*room).outer) };
    // SAFETY: as above.
    let (watch, counted) = (unsafe { WATCHED.get(flow_key.device) }, COUNTED.get_ptr_mut(flow_key.device));
    let (Some(watch), Some(counted)) = (watch, counted) else { return };
    // SAFETY: as above.
    if !fits(watch, unsafe { &(*room).outer }) {
        // SAFETY: as above.
        unsafe { atomic_add(&raw mut (*counted).mismatched, 1) };
        return;
    }
    if joined == 0
        && let Some(flow) = FLOWS.get_ptr_mut(flow_key)
    {
        entered.joined = 1;
        // SAFETY: the maps gave the pointers.
        unsafe {
            (*flow).joined_ns = time;
            (*flow).outer = (*room).outer;
            (*flow).leaves_by = device;
            atomic_add(&raw mut (*flow).joined, 1);
        }
    }
    let size = size(skb);
    let same = skb as u64 == address;
    // Where a large packet is cut inside of the tunnel, what leaves is a segment of it, or of one before it.
    let inner_bytes = match (same, gso_size != 0 && size.gso_size == 0) {
        (true, _) => bytes,
        (false, true) => header_bytes + gso_size,
        (false, false) => return,
    };
    forget(key);
    // SAFETY: the map gave the pointer.
    unsafe {
        add(&raw mut (*counted).left, &size);
        if same {
            let latency = time - entered_ns;
            atomic_add(&raw mut (*counted).latency_ns, latency);
            let bucket = (log2_bucket(latency) as usize).min(BUCKETS - 1);
            atomic_add((&raw mut (*counted).latency).cast::<u64>().add(bucket), 1);
        }
        let overhead = size.bytes.wrapping_sub(inner_bytes);
        if overhead < MOST_OVERHEAD {
            // Each packet on the wire has all headers of its own.
            let more = u64::from(size.segments - 1);
            atomic_add(&raw mut (*counted).sized, u64::from(size.segments));
            atomic_add(&raw mut (*counted).inner_bytes, u64::from(inner_bytes) + more * u64::from(header_bytes));
            let outer_header = u64::from(header_bytes) + u64::from(overhead);
            atomic_add(&raw mut (*counted).outer_bytes, u64::from(size.bytes) + more * outer_header);
        }
    }
}

/// True if an outer packet is one that the tunnel makes.
#[inline(always)]
fn fits(watch: &Watch, outer: &Header) -> bool {
    if outer.version == 0 || outer.protocol == 0 {
        return false;
    }
    if outer.protocol == UDP {
        let port = watch.port.to_be();
        return watch.udp != 0 && (port == 0 || port == outer.source_port || port == outer.destination_port);
    }
    watch.protocols[0] == outer.protocol || watch.protocols[1] == outer.protocol
}
