//! What the probes on tunnels cost. Not a test of right and wrong: `cargo test --test kernel encapsulation::cost --
//! --ignored --nocapture`.
//!
//! Measured is the CPU time of this process, which sends and receives, with the softirqs that it is charged for. Rounds with
//! and without the probes take turns, each pair in the other order than the one before.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, UdpSocket},
};

use nix::time::{ClockId, clock_gettime};
use observer::snapshot::tunnel::Kind;

use super::{
    bed::{Bed, Outside, PORT, inside},
    read, resting,
};
use crate::support::{bpf::runs, needs_root, seen, wait::wait_for};

/// Rounds of each.
const ROUNDS: usize = 24;
/// CPU time that a round is to take, in seconds.
const LONG_ENOUGH: f64 = 0.25;

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("the clock is there");
    std::time::Duration::from(time).as_secs_f64()
}

/// CPU time to send so many megabytes over one connection.
fn stream(bed: &Bed, megabytes: usize) -> f64 {
    let listener = bed.far.inside(|| TcpListener::bind((inside(2), 0)).expect("a listening socket"));
    let address = listener.local_addr().expect("an address");
    let mut near = bed.near.inside(|| std::net::TcpStream::connect(address).expect("connect"));
    let (mut far, _) = listener.accept().expect("accept");
    let begin = cpu_seconds();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let bytes = vec![7; 1 << 20];
            (0..megabytes).for_each(|_| near.write_all(&bytes).expect("write"));
        });
        let mut buffer = vec![0; 1 << 18];
        while far.read(&mut buffer).expect("read") > 0 {}
    });
    cpu_seconds() - begin
}

/// CPU time to send so many thousand packets of 64 bytes.
fn small(bed: &Bed, to: IpAddr, thousands: usize) -> f64 {
    let far = bed.far.inside(|| UdpSocket::bind((to, 0)).expect("a socket"));
    let address = far.local_addr().expect("an address");
    let near = bed.near.inside(|| {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
        socket.connect(address).expect("connect");
        socket
    });
    let begin = cpu_seconds();
    for _ in 0..thousands * 1000 {
        // Where the receiver's buffer is full the packet is dropped there, after all that is measured.
        near.send(&[7; 64]).expect("send");
    }
    cpu_seconds() - begin
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Compares rounds: without probes, with all of them, and with those alone that do not rest.
fn compare(what: &str, bed: &Bed, round: &dyn Fn(usize) -> f64) {
    round(1);
    let size = (LONG_ENOUGH / round(10) * 10.0).clamp(10.0, 20_000.0) as usize;
    let watched = bed.watched(Some(PORT));
    let with = |rest_above: f64| {
        let mut probes = resting(rest_above);
        read(&mut probes, &watched);
        round(size / 2 + 1);
        // The rate is known from here on.
        read(&mut probes, &watched);
        let seconds = round(size);
        (seconds, read(&mut probes, &watched).every)
    };
    let (mut off, mut ratios, mut every) = (Vec::new(), [Vec::new(), Vec::new()], [0, 0]);
    for turn in 0..ROUNDS {
        let mut seconds = [0.0; 3];
        for step in 0..3 {
            let mode = (turn + step) % 3;
            seconds[mode] = match mode {
                0 => round(size),
                1 => {
                    let (seconds, rate) = with(f64::INFINITY);
                    every[0] = rate;
                    seconds
                }
                _ => {
                    let (seconds, rate) = with(0.0);
                    every[1] = rate;
                    seconds
                }
            };
        }
        off.push(seconds[0]);
        ratios[0].push(seconds[1] / seconds[0]);
        ratios[1].push(seconds[2] / seconds[0]);
    }
    seen!("{what}: {size} units, {:.4} s of CPU time without probes", median(&mut off));
    for ((which, mut ratios), every) in ["all of them", "what rests rests"].into_iter().zip(ratios).zip(every) {
        let ratio = median(&mut ratios);
        let (low, high) = (ratios[ROUNDS / 4], ratios[ROUNDS * 3 / 4]);
        seen!("    {which}: ratio {ratio:.4} (middle half {low:.4} to {high:.4}), 1 in {every}");
    }
    let unit = size as f64;
    for (runs, ns) in programs(bed, &|| round(size)) {
        seen!("    a program: {:.3} runs a unit, {:.0} ns each", runs as f64 / unit, ns as f64 / runs.max(1) as f64);
    }
}

/// Runs and nanoseconds of the programs in a round by bpf_stats, in the order of loading.
fn programs(bed: &Bed, round: &dyn Fn() -> f64) -> Vec<(u64, u64)> {
    const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";
    let old = std::fs::read_to_string(STATS).expect("the kernel counts runs");
    std::fs::write(STATS, "1").expect("root may have them counted");
    let (mut reader, watched) = (resting(f64::INFINITY), bed.watched(Some(PORT)));
    for _ in 0..2 {
        read(&mut reader, &watched);
        round();
    }
    read(&mut reader, &watched);
    let before = runs();
    round();
    let after = runs();
    std::fs::write(STATS, old.trim()).expect("root may set it back");
    after.iter().zip(before).map(|(a, b)| (a.0 - b.0, a.1 - b.1)).collect()
}

#[test]
#[ignore = "it measures, and judges nothing"]
fn what_the_probes_on_tunnels_cost() {
    needs_root!("what_the_probes_on_tunnels_cost");
    let options = ["vxlan", "id", "7", "local", "LOCAL", "remote", "REMOTE", "dstport", "4789"];
    let bed = Bed::new(Kind::Vxlan, Outside::V4, &options).expect("VXLAN");
    wait_for("the tunnel to carry packets", || {
        let far = bed.far.inside(|| UdpSocket::bind((inside(2), 0)).expect("a socket"));
        far.set_nonblocking(true).expect("an option");
        let near = bed.near.inside(|| UdpSocket::bind((inside(1), 0)).expect("a socket"));
        near.send_to(b"x", far.local_addr().expect("an address")).expect("send");
        far.recv(&mut [0; 1]).ok()
    });
    compare("megabytes of a stream through VXLAN", &bed, &|size| stream(&bed, size));
    compare("thousands of small packets through VXLAN", &bed, &|size| small(&bed, inside(2), size));
    compare("thousands of small packets beside it", &bed, &|size| small(&bed, Outside::V4.far(), size));
}
