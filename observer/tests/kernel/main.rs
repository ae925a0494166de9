//! Real workloads on the running kernel, compared with what the kernel itself counts.
//!
//! Every test needs root. Where it may not run, it says `SKIPPED <name>: <reason>` on stderr. Memory pressure happens only
//! inside a memory cgroup made for it, traffic only inside a network namespace made for it; both are removed after.
//! The test binary is its own workload: [`support::workload`] starts it again, in the cgroup of the test.

mod support;

mod alloc_failures;
mod alloc_stacks;
mod bad_input;
mod buffers;
mod cgroups_scale;
mod drops;
mod encapsulation;
mod extfrag;
mod first_byte;
mod flows;
mod fragmentation;
mod heap;
mod hierarchy;
mod hostile;
mod idle;
mod kswapd;
mod kswapd_ftrace;
mod led_up;
mod lifecycle;
mod listeners;
mod make_recordings;
mod netns_totals;
mod oom;
mod oom_records;
mod oom_reports;
mod page_alloc;
mod page_alloc_totals;
mod pressure;
mod pruning;
mod reclaim;
mod reclaim_cost;
mod reclaim_inside;
mod recording;
mod retries;
mod service_recordings;
mod soak;
mod sock_diag;
mod tcp_counts;
mod tcp_kinds;
mod tcp_scale;
mod tcp_sockets;
mod tcp_ss;
mod throttles;
mod tunnel_sources;
mod tunnels;
mod vanish;
