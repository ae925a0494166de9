//! Handshakes and first bytes: a delay is put into one stage at a time.

mod cost;

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use observer::{
    snapshot::{
        Snapshot,
        tcp::{FirstByteTotals, StagesNs, Who},
    },
    source::kernel::{Kernel, Options},
};

use crate::support::{
    needs_root,
    netns::Netns,
    observer::{load_with, read},
    seen, skipped,
    socket::{LOOPBACKS, begin_connect, closed_port, full, listen},
    wait::wait_for,
    wire::{FAR, Path, Wire},
};

/// Exchanges of one kind.
const EACH: u64 = 12;
/// The delay that is put into a stage: far above what a busy machine adds to the mean of the others.
const DELAY: Duration = Duration::from_millis(150);

fn looking() -> Options {
    Options { first_byte: true, ..Options::default() }
}

/// Where the delay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    Nothing,
    Request,
    Accept,
    Server,
    Reader,
}

/// The stages with their names.
fn named(stages: &StagesNs) -> [(&'static str, u64); 6] {
    let StagesNs { connect, request, wire, server, softirq, read } = *stages;
    [
        ("connect", connect),
        ("request", request),
        ("wire", wire),
        ("server", server),
        ("softirq", softirq),
        ("read", read),
    ]
}

/// Exchanges over connections of their own, one after the other; gives the port.
fn exchange(listener: &TcpListener, slow: Slow, connect: &dyn Fn(SocketAddr) -> TcpStream) -> u16 {
    let to = listener.local_addr().expect("an address");
    let pause = |at: Slow| {
        if at == slow {
            // The delay itself, which nothing could be waited for instead of.
            std::thread::sleep(DELAY);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..EACH {
                let (mut server, _) = listener.accept().expect("a connection");
                pause(Slow::Accept);
                let mut request = [0; 100];
                server.read_exact(&mut request).expect("a request");
                pause(Slow::Server);
                server.write_all(b"!").expect("an answer is sent");
                // Until the client has gone: the answer is acknowledged before this side ends.
                let _ = server.read(&mut request);
            }
        });
        for _ in 0..EACH {
            let mut client = connect(to);
            pause(Slow::Request);
            client.write_all(&[7; 100]).expect("a request is sent");
            pause(Slow::Reader);
            let mut answer = [0; 1];
            client.read_exact(&mut answer).expect("an answer");
        }
    });
    to.port()
}

fn plain(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).expect("connect")
}

/// Sums of one port by network of the other end, and the sums by process must be the same.
fn totals(snapshot: &Snapshot, netns: u64, port: u16, outgoing: bool) -> FirstByteTotals {
    let first_bytes = snapshot.tcp.first_bytes.as_ref().expect("first bytes are counted");
    assert!(first_bytes.stages);
    let of = |by_process: bool| {
        let mut rows = first_bytes.list.iter().filter(|g| {
            (g.netns, g.port, g.outgoing) == (netns, port, outgoing)
                && by_process == matches!(g.who, Who::Process { .. })
        });
        let row = rows.next().map(|g| g.totals.clone()).unwrap_or_default();
        (row, rows.count())
    };
    let ((by_network, more), (by_process, _)) = (of(false), of(true));
    assert_eq!(more, 0, "one network only");
    if outgoing {
        assert_eq!(by_network, by_process);
    }
    by_network
}

/// Waits until all exchanges are counted on both sides.
fn counted(kernel: &mut Kernel, near: u64, far: u64, port: u16) -> (FirstByteTotals, FirstByteTotals) {
    wait_for("all first bytes", || {
        let snapshot = read(kernel);
        let (out, inward) = (totals(&snapshot, near, port, true), totals(&snapshot, far, port, false));
        (out.first_bytes + out.unstaged >= EACH && inward.first_bytes >= EACH).then_some((out, inward))
    })
}

/// Which stage a first byte lost most time in, beside a baseline: what the report names.
fn largest(now: &FirstByteTotals, baseline: &FirstByteTotals) -> (&'static str, f64) {
    let mean = |t: &FirstByteTotals, ns: u64| ns as f64 / t.first_bytes.max(1) as f64 / 1e9;
    let pairs = named(&now.stages).into_iter().zip(named(&baseline.stages));
    let grown = pairs.map(|((name, a), (_, b))| (name, mean(now, a) - mean(baseline, b)));
    grown.max_by(|a, b| a.1.total_cmp(&b.1)).expect("a stage")
}

#[test]
fn a_delay_in_one_stage_is_found_there_on_both_sides() {
    needs_root!("a_delay_in_one_stage_is_found_there_on_both_sides");
    let mut kernel = load_with(&looking());
    let netns = Netns::new();
    let inode = netns.inode();
    for ip in LOOPBACKS {
        let mut run = |slow| {
            let port = netns.inside(|| exchange(&listen(ip), slow, &plain));
            let (out, inward) = counted(&mut kernel, inode, inode, port);
            seen!("{ip} {slow:?}: client {:?}", out.stages);
            seen!("{ip} {slow:?}: server {:?}", inward.stages);
            assert_eq!((out.first_bytes, out.unstaged, out.connects, out.failed), (EACH, 0, EACH, 0));
            assert_eq!(inward.first_bytes, EACH);
            assert_eq!((out.total_ns.count(), out.connect_ns.count()), (EACH, EACH));
            (out, inward)
        };
        let (out, inward) = run(Slow::Nothing);
        for (slow, client, server) in [
            (Slow::Request, "request", "request"),
            (Slow::Accept, "server", "read"),
            (Slow::Server, "server", "server"),
            (Slow::Reader, "read", ""),
        ] {
            let (slow_out, slow_inward) = run(slow);
            let (stage, seconds) = largest(&slow_out, &out);
            assert_eq!(stage, client, "{slow:?}: {slow_out:?}");
            assert!(seconds > DELAY.as_secs_f64() * 0.9, "{slow:?}: {seconds}");
            let (stage, seconds) = largest(&slow_inward, &inward);
            if server.is_empty() {
                assert!(seconds < DELAY.as_secs_f64() / 2.0, "the server cannot see that: {stage} {seconds}");
            } else {
                assert_eq!(stage, server, "{slow:?}: {slow_inward:?}");
                assert!(seconds > DELAY.as_secs_f64() * 0.9, "{slow:?}: {seconds}");
            }
        }
    }
}

#[test]
fn a_long_path_is_in_the_handshake_and_on_the_wire() {
    needs_root!("a_long_path_is_in_the_handshake_and_on_the_wire");
    let mut kernel = load_with(&looking());
    let path = Path { delay: DELAY / 2, ..Path::default() };
    let (Some(short), Some(long)) = (Wire::new(Path::default()), Wire::new(path)) else {
        return skipped("a_long_path_is_in_the_handshake_and_on_the_wire", "no tun devices");
    };
    let mut run = |wire: &Wire, slow| {
        let listener = wire.far.inside(|| TcpListener::bind((FAR, 0)).unwrap());
        let near = |to| wire.near.inside(|| plain(to));
        let port = exchange(&listener, slow, &near);
        let (out, _) = counted(&mut kernel, wire.near.inode(), wire.far.inode(), port);
        seen!("{slow:?}: {:?}", out.stages);
        out
    };
    let (near, far) = (run(&short, Slow::Nothing), run(&long, Slow::Nothing));
    let (stage, seconds) = largest(&far, &near);
    assert!(["connect", "wire"].contains(&stage), "{stage}");
    assert!((0.9..1.8).contains(&(seconds / DELAY.as_secs_f64())), "one round trip: {seconds}");
    let path = |t: &FirstByteTotals| (t.stages.wire + t.stages.connect) as f64 / 1e9 / EACH as f64;
    assert!(path(&far) > 1.8 * DELAY.as_secs_f64(), "a round trip each: {}", path(&far));
    assert!((far.stages.server as f64) < far.stages.wire as f64 / 2.0, "{:?}", far.stages);
    // The same path, and a server that thinks: only that is new.
    let (stage, _) = largest(&run(&long, Slow::Server), &far);
    assert_eq!(stage, "server");
}

#[test]
fn handshakes_that_fail_or_are_repeated_are_counted() {
    needs_root!("handshakes_that_fail_or_are_repeated_are_counted");
    const REFUSED: u64 = 25;
    let mut kernel = load_with(&looking());
    let netns = Netns::new();
    for ip in LOOPBACKS {
        let (refused, (slow, again)) = netns.inside(|| {
            let nobody = closed_port(ip);
            for _ in 0..REFUSED {
                TcpStream::connect(nobody).unwrap_err();
            }
            let (listener, filler) = full(ip);
            let to = listener.local_addr().unwrap();
            let client = begin_connect(to);
            wait_for("the SYN to be sent again", || (netns.snmp()["RetransSegs"] > 0).then_some(()));
            // Now there is room, and the next SYN is taken.
            drop(filler);
            let _first = listener.accept().unwrap();
            let _second = listener.accept().unwrap();
            let client = TcpStream::from(client);
            wait_for("the connection", || client.peer_addr().ok());
            (nobody.port(), (to.port(), netns.snmp()["RetransSegs"]))
        });
        let snapshot = read(&mut kernel);
        let failed = totals(&snapshot, netns.inode(), refused, true);
        assert_eq!((failed.failed, failed.connects), (REFUSED, 0), "{failed:?}");
        let late = totals(&snapshot, netns.inode(), slow, true);
        seen!("{late:?}, RetransSegs {again}");
        assert!(late.syn_retrans >= 1 && late.syn_retrans <= again, "{late:?}");
        let longest = late.connect_ns.quantile_bound(1.0).unwrap() / 1e9;
        assert!(longest > 0.9, "a SYN is sent again after a second: {longest}");
    }
}

/// Runs the thread on one CPU only.
fn pin(cpu: usize) {
    // SAFETY: zeros are an empty set, and the set lives through the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set), 0);
    }
}

/// Before this thread on its CPU comes nothing.
fn first_of_all() {
    let param = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter lives through the call.
    assert_eq!(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) }, 0);
}

#[test]
fn a_busy_core_is_in_the_reading_with_the_wait_for_it_beside() {
    const NAME: &str = "a_busy_core_is_in_the_reading_with_the_wait_for_it_beside";
    needs_root!("a_busy_core_is_in_the_reading_with_the_wait_for_it_beside");
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skipped(NAME, "it takes two CPUs");
    }
    let mut kernel = load_with(&looking());
    let netns = Netns::new();
    let ip: IpAddr = LOOPBACKS[0];
    let port = netns.inside(|| {
        let listener = listen(ip);
        let to = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pin(1);
                for _ in 0..EACH {
                    let (mut server, _) = listener.accept().unwrap();
                    let mut request = [0; 100];
                    server.read_exact(&mut request).unwrap();
                    // From now on the client's CPU is taken; the answer comes while it is.
                    let (taken, is_taken) = std::sync::mpsc::channel();
                    let hog = std::thread::spawn(move || {
                        pin(0);
                        first_of_all();
                        taken.send(()).unwrap();
                        let begun = std::time::Instant::now();
                        while begun.elapsed() < DELAY {
                            std::hint::spin_loop();
                        }
                    });
                    is_taken.recv().unwrap();
                    server.write_all(b"!").unwrap();
                    hog.join().unwrap();
                    let _ = server.read(&mut request);
                }
            });
            pin(0);
            for _ in 0..EACH {
                let mut client = plain(to);
                client.write_all(&[7; 100]).unwrap();
                client.read_exact(&mut [0; 1]).unwrap();
            }
        });
        to.port()
    });
    let (out, _) = counted(&mut kernel, netns.inode(), netns.inode(), port);
    seen!("{out:?}");
    let seconds = |ns: u64| ns as f64 / 1e9 / EACH as f64;
    assert!(seconds(out.stages.read) > DELAY.as_secs_f64() * 0.8, "{:?}", out.stages);
    assert_eq!(out.run_delays, EACH, "the thread that reads is the one that opened");
    assert!(seconds(out.run_delay_ns) > DELAY.as_secs_f64() * 0.8, "it waited for its CPU: {out:?}");
}

#[test]
fn the_wait_for_the_soft_interrupt_is_a_part_of_the_whole() {
    needs_root!("the_wait_for_the_soft_interrupt_is_a_part_of_the_whole");
    let mut kernel = load_with(&Options { softirq_wait: true, ..looking() });
    let netns = Netns::new();
    let port = netns.inside(|| exchange(&listen(LOOPBACKS[0]), Slow::Server, &plain));
    let (out, inward) = counted(&mut kernel, netns.inode(), netns.inode(), port);
    assert!(read(&mut kernel).tcp.first_bytes.unwrap().softirq);
    seen!("client {:?}, server {:?}", out.stages, inward.stages);
    for side in [&out, &inward] {
        let softirq = side.stages.softirq as f64 / 1e9;
        assert!(softirq > 0.0 && softirq < DELAY.as_secs_f64() * EACH as f64 / 2.0, "{side:?}");
    }
}

#[test]
fn without_first_bytes_handshakes_are_seen_and_no_segment_is() {
    needs_root!("without_first_bytes_handshakes_are_seen_and_no_segment_is");
    let mut kernel = load_with(&Options::default());
    let netns = Netns::new();
    let port = netns.inside(|| exchange(&listen(LOOPBACKS[0]), Slow::Nothing, &plain));
    let snapshot = read(&mut kernel);
    assert!(!snapshot.coverage.is_wanted("tcp.first_bytes"), "{:?}", snapshot.coverage.probes);
    let first_bytes = snapshot.tcp.first_bytes.expect("handshakes are counted");
    assert!(!first_bytes.stages);
    let of_port: Vec<_> = first_bytes.list.iter().filter(|g| (g.netns, g.port) == (netns.inode(), port)).collect();
    assert_eq!(of_port.len(), 2, "of the process that connects and of its network: {of_port:?}");
    for group in of_port {
        assert!(group.outgoing, "{group:?}");
        assert_eq!((group.totals.connects, group.totals.connect_ns.count()), (EACH, EACH));
        assert_eq!((group.totals.first_bytes, group.totals.unstaged), (0, 0));
    }
}
