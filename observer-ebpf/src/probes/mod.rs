//! One file a kernel subsystem.

mod alloc_failures;
mod alloc_stacks;
mod buffers;
mod compaction;
mod drops;
mod extfrag;
mod first_byte;
mod first_byte_groups;
mod kswapd;
mod listener;
mod losses;
mod oom;
mod page_alloc;
mod reclaim;
mod retry;
mod scan;
mod shrinker;
mod socket;
mod socket_owner;
mod softirq_wait;
mod tcp;
mod tcp_closed;
mod tcp_ended;
mod tunnel;
mod tunnel_arrivals;
mod tunnel_header;
mod tunnel_sample;
mod tunnel_work;

/// Flag of a map update: only if the key is new.
const BPF_NOEXIST: u64 = 1;
