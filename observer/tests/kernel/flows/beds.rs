//! One bed for each limit, and some for connections that are well.

use std::time::Duration;

use observer::{diagnose::flow::Limit, source::kernel::Options};

use super::{Bed, Ends, Over, Sender, judged};
use crate::support::{
    needs_root,
    observer::load_with,
    runs::{self, right_nearly_always},
    skipped,
    wire::{DEVICE, Path, Wire, tc},
};

/// Probes that tell of connections, and whose they are.
const PROBES: &[&str] = &["tcp_states", "tcp_closed", "tcp_sockets", "tcp_owners"];

/// Forty milliseconds there and back.
const FAR_AWAY: Path =
    Path { delay: Duration::from_millis(20), rate: 0, queue: 4 << 20, lost_of_million: 0, largest: usize::MAX };

/// Ten megabytes a second, and a queue of a tenth of a second.
const NARROW: Path = Path { rate: 10_000_000, queue: 1_000_000, ..FAR_AWAY };

/// One megabyte a second: what many of them together leave a busy machine time for.
const THIN: Path = Path { rate: 1_000_000, queue: 100_000, ..FAR_AWAY };

/// Two namespaces side by side.
const NEAR: Path = Path { delay: Duration::ZERO, ..FAR_AWAY };

/// What most hosts use.
const CUBIC: Ends =
    Ends { sndbuf: None, rcvbuf: None, pacing: None, congestion: Some("cubic"), bursts: None, slow_reader: None };

/// Threads that send all they can over the wire.
const PLAIN: Bed = Bed { path: FAR_AWAY, over: Over::Wire, sender: Sender::Threads(CUBIC), prepare: None };

/// The path is the limit, whatever the machine can do.
pub(super) const FULL_PATH: Bed = Bed { path: THIN, ..PLAIN };

/// The receiver is the limit: it gets little of its processor.
pub(super) const BUSY_RECEIVER: Bed = Bed { path: NEAR, sender: Sender::Iperf(&["-C", "cubic"], Some(0)), ..PLAIN };

const fn threads(ends: Ends) -> Sender {
    Sender::Threads(ends)
}

const fn iperf(arguments: &'static [&'static str]) -> Sender {
    Sender::Iperf(arguments, None)
}

/// What may be said.
struct Right {
    /// The verdicts.
    limits: &'static [Limit],
    /// Whether there is to be a finding; `None` where it depends on the machine.
    found: Option<bool>,
    /// How many of these a machine with two CPUs can do at once.
    at_once: usize,
}

/// Judges a bed.
fn bed(test: &str, right: &Right, bed: &Bed) {
    needs_root!(test);
    let there = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").expect("TCP is there");
    let congestion = match bed.sender {
        Sender::Threads(ends) => ends.congestion,
        Sender::Iperf(..) | Sender::Requests(..) => None,
    };
    if let Some(name) = congestion.filter(|name| !there.split_whitespace().any(|word| word == *name)) {
        return skipped(test, &format!("this kernel has no {name}"));
    }
    let runs = runs::asked();
    // A guest is slow: there the programs run over what only a guest has.
    let guest = std::env::var_os("OBSERVER_TEST_WHOLE_MACHINE").is_some();
    let own = matches!(bed.sender, Sender::Threads(_)) || !matches!(bed.over, Over::Wire | VXLAN | Over::Boringtun);
    if guest && runs.is_none() && !own {
        return skipped(test, "in a guest threads make this limit; OBSERVER_TEST_RUNS=1 lets programs do so too");
    }
    // BBR keeps to one too: of a megabyte a second it reached 0.2 there.
    let paced =
        matches!(bed.sender, Sender::Threads(Ends { pacing: Some(_), .. } | Ends { congestion: Some("bbr"), .. }));
    if guest && runs.is_none() && paced {
        return skipped(test, "timers of an emulated machine come too late for a rate; OBSERVER_TEST_RUNS=1 tries it");
    }
    // And so that not all of its time goes to what is sent.
    let (bed, at_once) = if guest { (bed.slower(), right.at_once.min(4)) } else { (*bed, right.at_once) };
    // What these beds need: in a guest loading takes long.
    let mut kernel = load_with(&Options { only: Some(PROBES), ..Options::default() });
    let good = |limit: &Limit, found: bool| right.limits.contains(limit) && right.found.is_none_or(|f| f == found);
    right_nearly_always(test, |runs| {
        let all = judged(&mut kernel, &bed, at_once.min(runs))?;
        Ok(all.iter().map(|s| good(&s.limit, s.found)).collect())
    });
}

macro_rules! beds {
    ($($(#[$doc:meta])* $name:ident: $limits:expr, $found:expr, $at_once:literal, $bed:expr;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            let right = Right { limits: &$limits, found: $found, at_once: $at_once };
            bed(stringify!($name), &right, &$bed);
        }
    )*};
}

beds! {
    /// 10 kB every 20 ms.
    an_application_with_little_to_send: [Limit::Application], Some(false), 5,
        Bed { path: NARROW, sender: threads(Ends { bursts: Some((10_000, 20)), ..CUBIC }), ..PLAIN };
    /// 32 KiB over 40 ms.
    a_small_send_buffer: [Limit::SendBuffer], Some(true), 5,
        Bed { sender: threads(Ends { sndbuf: Some(32 << 10), ..CUBIC }), ..PLAIN };
    a_small_receive_buffer: [Limit::ReceiveWindow], Some(true), 5,
        Bed { sender: threads(Ends { rcvbuf: Some(16 << 10), ..CUBIC }), ..PLAIN };
    a_receiver_that_reads_slowly: [Limit::ReceiveWindow], Some(true), 5,
        Bed { sender: threads(Ends { slow_reader: Some(20), ..CUBIC }), ..PLAIN };
    a_sender_that_was_given_a_rate: [Limit::Pacing], Some(true), 5,
        Bed { sender: threads(Ends { pacing: Some(2_000_000), ..CUBIC }), ..PLAIN };
    a_path_that_is_full: [Limit::Path], Some(true), 2, Bed { path: NARROW, ..PLAIN };
    a_path_that_is_full_with_bbr: [Limit::Path], Some(true), 2,
        Bed { path: NARROW, sender: threads(Ends { congestion: Some("bbr"), ..CUBIC }), ..PLAIN };
    a_path_that_loses: [Limit::Loss], Some(true), 5,
        Bed { path: Path { lost_of_million: 30_000, ..FAR_AWAY }, ..PLAIN };
    a_queue_in_this_host: [Limit::LocalStack, Limit::Path], Some(true), 4, Bed { prepare: Some(narrow_queue), ..PLAIN };
    /// The handshake passes, what is full does not.
    packets_over_a_size_that_vanish: [Limit::BlackHole], Some(true), 5,
        Bed { path: Path { largest: 1200, ..FAR_AWAY }, sender: threads(Ends::default()), ..PLAIN };
    /// The same by a filter of the kernel.
    packets_over_a_size_that_a_filter_drops: [Limit::BlackHole], Some(true), 5,
        Bed { path: Path { largest: 1200, ..NEAR }, sender: iperf(&[]), ..PLAIN };

    iperf_over_a_thin_path: [Limit::Path], Some(true), 4, Bed { path: THIN, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    iperf_that_keeps_to_a_rate: [Limit::Pacing], Some(true), 5,
        Bed { sender: iperf(&["-C", "cubic", "--fq-rate", "16M"]), ..PLAIN };
    /// It writes 8 kB 125 times a second.
    iperf_that_writes_at_a_rate: [Limit::Application], Some(false), 5,
        Bed { sender: iperf(&["-C", "cubic", "-b", "8M", "-l", "8K"]), ..PLAIN };
    iperf_with_a_small_send_buffer: [Limit::SendBuffer], Some(true), 5,
        Bed { sender: iperf(&["-C", "cubic"]), prepare: Some(small_send_buffers), ..PLAIN };
    iperf_with_a_small_receive_buffer: [Limit::ReceiveWindow], Some(true), 5,
        Bed { sender: iperf(&["-C", "cubic"]), prepare: Some(small_receive_buffers), ..PLAIN };
    iperf_over_a_path_that_loses: [Limit::Loss], Some(true), 5,
        Bed { path: Path { lost_of_million: 30_000, ..FAR_AWAY }, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    /// As fast as two processes and their CPUs can: a limit of the path or of a buffer's size is none of it.
    iperf_at_full_speed:
        [Limit::Application, Limit::ReceiveWindow, Limit::LocalStack, Limit::LateAcks, Limit::Unknown], Some(false), 1, Bed { path: NEAR, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    /// Whoever reads gets a hundredth of its CPU, and is taken off it while it reads.
    iperf_to_a_receiver_whose_core_is_busy: [Limit::LateAcks], Some(true), 1, BUSY_RECEIVER;
    requests_with_time_to_think: [Limit::Application], Some(false), 5,
        Bed { path: NEAR, sender: Sender::Requests(20_000, 5), ..PLAIN };
    requests_from_far_away: [Limit::Application], Some(false), 5, Bed { sender: Sender::Requests(10_000, 0), ..PLAIN };

    iperf_over_vxlan_on_a_thin_path: [Limit::Path], Some(true), 4,
        Bed { path: THIN, over: VXLAN, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    iperf_over_vxlan_with_a_small_receive_buffer: [Limit::ReceiveWindow], Some(true), 5,
        Bed { over: VXLAN, sender: iperf(&["-C", "cubic"]), prepare: Some(small_receive_buffers), ..PLAIN };
    /// The tunnel has the MTU of the wire; what is larger than the path takes vanishes.
    iperf_over_vxlan_that_is_too_large_for_its_path: [Limit::BlackHole], Some(true), 5,
        Bed { path: Path { largest: 1450, ..NEAR }, over: VXLAN, sender: iperf(&[]), ..PLAIN };
    iperf_over_boringtun_on_a_thin_path: [Limit::Path], Some(true), 2,
        Bed { path: THIN, over: Over::Boringtun, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    iperf_over_wireguard_on_a_thin_path: [Limit::Path], Some(true), 2,
        Bed { path: THIN, over: Over::WireGuard, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    iperf_over_wireguard_with_a_small_receive_buffer: [Limit::ReceiveWindow], Some(true), 2,
        Bed { over: Over::WireGuard, sender: iperf(&["-C", "cubic"]), prepare: Some(small_receive_buffers), ..PLAIN };
    iperf_over_gre_on_a_thin_path: [Limit::Path], Some(true), 4,
        Bed { path: THIN, over: GRE, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    iperf_over_ipip_on_a_path_that_loses: [Limit::Loss], Some(true), 5,
        Bed { path: Path { lost_of_million: 30_000, ..FAR_AWAY }, over: IPIP, sender: iperf(&["-C", "cubic"]), ..PLAIN };
    iperf_over_geneve_with_a_small_send_buffer: [Limit::SendBuffer], Some(true), 5,
        Bed { over: GENEVE, sender: iperf(&["-C", "cubic"]), prepare: Some(small_send_buffers), ..PLAIN };
    iperf_over_esp_on_a_thin_path: [Limit::Path], Some(true), 4,
        Bed { path: THIN, over: Over::Esp, sender: iperf(&["-C", "cubic"]), ..PLAIN };
}

const VXLAN: Over = Over::Device(&["vxlan", "id", "7", "local", "LOCAL", "remote", "REMOTE", "dstport", "4789"]);
const GENEVE: Over = Over::Device(&["geneve", "id", "7", "remote", "REMOTE"]);
const GRE: Over = Over::Device(&["gre", "local", "LOCAL", "remote", "REMOTE"]);
const IPIP: Over = Over::Device(&["ipip", "local", "LOCAL", "remote", "REMOTE"]);

/// Lets the device of the near end send a megabyte a second.
fn narrow_queue(wire: &Wire) {
    wire.near.inside(|| {
        tc(&["qdisc", "add", "dev", DEVICE, "root", "tbf", "rate", "8mbit", "burst", "10kb", "limit", "1mb"]);
    });
}

/// Keeps send buffers from growing above 32 KiB.
fn small_send_buffers(wire: &Wire) {
    wire.near.inside(|| sysctl("tcp_wmem", "4096 16384 32768"));
}

/// Keeps receive buffers from growing above 32 KiB.
fn small_receive_buffers(wire: &Wire) {
    wire.far.inside(|| sysctl("tcp_rmem", "4096 32768 32768"));
}

/// Sets a number of TCP of the present namespace, which goes away with it.
fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/net/ipv4/{name}");
    std::fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
}
