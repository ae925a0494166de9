//! What the probes of first bytes and of drops cost those that send. Not a test of right and wrong: `cargo test --test kernel
//! first_byte::cost -- --ignored --nocapture`.
//!
//! Measured is the CPU time of this process, which is both ends, with the softirqs that it is charged for. Rounds with and
//! without the probes take turns, each pair in the other order than the one before.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use observer::source::kernel::Options;

use crate::support::{
    bpf::runs,
    needs_root,
    netns::Netns,
    observer::{load_with, read},
    seen,
    socket::{LOOPBACKS, listen},
};

/// Pairs of rounds.
const ROUNDS: usize = 30;
/// CPU time that a round is to take, in seconds.
const LONG_ENOUGH: f64 = 0.4;
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";
const STAGES: &[&str] = &["first_byte_segments", "first_byte_reads"];
const SOFTIRQ: &[&str] = &["first_byte_segments", "first_byte_reads", "softirq_raise", "softirq_entry", "softirq_exit"];

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("the clock is there");
    Duration::from(time).as_secs_f64()
}

/// One connection, for as long as it is measured.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    fn new(netns: &Netns) -> Self {
        netns.inside(|| {
            let listener = listen(LOOPBACKS[0]);
            let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
            client.set_nodelay(true).expect("an option");
            let (server, _) = listener.accept().expect("accept");
            server.set_nodelay(true).expect("an option");
            Self { client, server }
        })
    }

    /// CPU time of so many thousand requests with their answers. One thread is both ends: how the scheduler places two of
    /// them would outweigh all that is measured.
    fn requests(&mut self, thousands: usize) -> f64 {
        let begin = cpu_seconds();
        let mut buffer = [0; 100];
        for _ in 0..thousands * 1000 {
            self.client.write_all(&[7; 100]).expect("write");
            self.server.read_exact(&mut buffer).expect("read");
            self.server.write_all(&buffer).expect("write");
            self.client.read_exact(&mut buffer).expect("read");
        }
        cpu_seconds() - begin
    }

    /// CPU time of so many thousand pieces of 64 KiB in one direction.
    fn stream(&mut self, thousands: usize) -> f64 {
        let begin = cpu_seconds();
        let mut buffer = vec![0; 1 << 16];
        for _ in 0..thousands * 1000 {
            self.client.write_all(&buffer).expect("write");
            self.server.read_exact(&mut buffer).expect("read");
        }
        cpu_seconds() - begin
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(what: &str, only: &'static [&'static str], round: &mut dyn FnMut(usize) -> f64) {
    let options = Options { first_byte: true, softirq_wait: true, only: Some(only), ..Options::default() };
    round(1);
    let size = (LONG_ENOUGH / round(10) * 10.0).clamp(1.0, 10_000.0) as usize;
    let (mut off, mut on, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..ROUNDS {
        let mut with = || {
            let _kernel = load_with(&options);
            round(size)
        };
        let (without, seconds) = if pair % 2 == 0 {
            let seconds = with();
            (round(size), seconds)
        } else {
            let without = round(size);
            let _kernel = load_with(&options);
            (without, round(size))
        };
        off.push(without);
        on.push(seconds);
        ratios.push(seconds / without);
    }
    let per = |seconds: f64| seconds / size as f64 * 1e6;
    let (off, on, ratio) = (per(median(&mut off)), per(median(&mut on)), median(&mut ratios));
    // Between these two lies the median of all there could be, 95 times of 100.
    let apart = 0.98 * (ROUNDS as f64).sqrt();
    let place = |at: f64| ratios[(at.round() as usize).min(ROUNDS - 1)];
    let (low, high) = (place(ROUNDS as f64 / 2.0 - apart), place(ROUNDS as f64 / 2.0 + apart));
    seen!("{what}: off {off:.0} ns, on {on:.0} ns of CPU time each; ratio {ratio:.4} ({low:.4} to {high:.4})");

    let old = fs::read_to_string(STATS).expect("the kernel counts runs");
    fs::write(STATS, "1").expect("root may have them counted");
    let mut kernel = load_with(&options);
    round(size);
    let attached = read(&mut kernel).coverage.probes;
    let runs = runs();
    drop(kernel);
    fs::write(STATS, old.trim()).expect("root may set it back");
    for (probe, (count, ns)) in attached.iter().zip(runs) {
        let each = count as f64 / (size * 1000) as f64;
        seen!("    {}: {each:.2} runs each, {:.0} ns each by bpf_stats", probe.name, ns as f64 / count.max(1) as f64);
    }
}

#[test]
#[ignore = "it measures, and judges nothing"]
fn what_the_probe_of_drops_costs_while_nothing_is_dropped() {
    needs_root!("what_the_probe_of_drops_costs_while_nothing_is_dropped");
    let netns = Netns::new();
    let mut ends = Ends::new(&netns);
    compare("drops, request and answer", &["drops"], &mut |size| ends.requests(size));
    compare("drops, 64 KiB of a stream", &["drops"], &mut |size| ends.stream(size));
}

#[test]
#[ignore = "it measures, and judges nothing"]
fn what_the_probes_of_first_bytes_cost() {
    needs_root!("what_the_probes_of_first_bytes_cost");
    let netns = Netns::new();
    let mut ends = Ends::new(&netns);
    for (probes, only) in [("first bytes", STAGES), ("first bytes and soft interrupts", SOFTIRQ), ("drops", &["drops"])]
    {
        compare(&format!("{probes}, request and answer"), only, &mut |size| ends.requests(size));
        compare(&format!("{probes}, 64 KiB of a stream"), only, &mut |size| ends.stream(size));
    }
}
