//! One file a kernel subsystem.

mod kswapd;
mod losses;
mod oom;
mod page_alloc;
mod reclaim;
mod socket;
mod tcp;
mod tcp_closed;

/// Flag of a map update: only if the key is new.
const BPF_NOEXIST: u64 = 1;
