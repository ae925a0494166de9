//! One bed for each limit.

use std::time::Duration;

use observer::diagnose::flow::Limit;

use super::{Ends, judged};
use crate::support::{
    may_run,
    observer::load,
    seen, skipped,
    wire::{DEVICE, Path, tc},
};

/// Forty milliseconds there and back.
const FAR_AWAY: Path =
    Path { delay: Duration::from_millis(20), rate: 0, queue: 4 << 20, lost_of_million: 0, largest: usize::MAX };

/// Ten megabytes a second, and a queue of a tenth of a second.
const NARROW: Path = Path { rate: 10_000_000, queue: 1_000_000, ..FAR_AWAY };

/// What most hosts use.
const CUBIC: Ends = Ends {
    sndbuf: None,
    rcvbuf: None,
    pacing: None,
    congestion: Some("cubic"),
    bursts: None,
    slow_reader: None,
    prepare: None,
};

/// Judges a bed as often as `OBSERVER_TEST_RUNS` says, once if it says nothing; of twenty one may go wrong.
fn bed(test: &str, expected: &[Limit], path: Path, ends: Ends) {
    if !may_run(test) {
        return;
    }
    let there = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").expect("TCP is there");
    if let Some(name) = ends.congestion.filter(|name| !there.split_whitespace().any(|word| word == *name)) {
        return skipped(test, &format!("this kernel has no {name}"));
    }
    let runs: usize = std::env::var("OBSERVER_TEST_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut kernel = load();
    let mut right = 0;
    for _ in 0..runs {
        let Some(verdict) = judged(&mut kernel, path, ends) else {
            return skipped(test, "the kernel has no tun devices");
        };
        right += usize::from(expected.contains(&verdict.limit));
    }
    seen!("{test}: right in {right} of {runs}");
    assert!(right >= runs - runs / 20, "{test}: {expected:?} in {right} of {runs}");
}

macro_rules! beds {
    ($($(#[$doc:meta])* $name:ident: $expected:expr, $path:expr, $ends:expr;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            bed(stringify!($name), &$expected, $path, $ends);
        }
    )*};
}

beds! {
    /// 10 kB every 20 ms.
    an_application_with_little_to_send: [Limit::Application], NARROW,
        Ends { bursts: Some((10_000, 20)), ..CUBIC };
    /// 32 KiB over 40 ms.
    a_small_send_buffer: [Limit::SendBuffer], FAR_AWAY, Ends { sndbuf: Some(32 << 10), ..CUBIC };
    a_small_receive_buffer: [Limit::ReceiveWindow], FAR_AWAY, Ends { rcvbuf: Some(16 << 10), ..CUBIC };
    a_receiver_that_reads_slowly: [Limit::ReceiveWindow], FAR_AWAY, Ends { slow_reader: Some(20), ..CUBIC };
    a_sender_that_was_given_a_rate: [Limit::Pacing], FAR_AWAY, Ends { pacing: Some(2_000_000), ..CUBIC };
    a_path_that_is_full: [Limit::Path], NARROW, CUBIC;
    a_path_that_is_full_with_bbr: [Limit::Path], NARROW, Ends { congestion: Some("bbr"), ..CUBIC };
    a_path_that_loses: [Limit::Loss], Path { lost_of_million: 30_000, ..FAR_AWAY }, CUBIC;
    a_queue_in_this_host: [Limit::LocalStack, Limit::Path], FAR_AWAY, Ends { prepare: Some(narrow_queue), ..CUBIC };
    /// The handshake passes, what is full does not.
    packets_over_a_size_that_vanish: [Limit::BlackHole], Path { largest: 1200, ..FAR_AWAY }, Ends::default();
}

/// Lets the device of the present namespace send a megabyte a second.
fn narrow_queue() {
    tc(&["qdisc", "add", "dev", DEVICE, "root", "tbf", "rate", "8mbit", "burst", "10kb", "limit", "1mb"]);
}
