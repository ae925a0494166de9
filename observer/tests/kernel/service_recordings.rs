//! Recordings of services for `tests/replay.rs`: one that does not accept, one that does not read, one that is slow for a part
//! of its clients, and one with which all is well.
//!
//! Not run with the other tests: `cargo test --test kernel -- --ignored make_service_recordings`.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    make_recordings::{finish, record_with},
    support::{
        cgroup::Cgroup,
        needs_root,
        netns::Netns,
        socket::{LOOPBACKS, begin_connect, full, pair},
    },
};

/// Records inside a namespace while the load goes on. The load returns soon after it is told to stop.
fn recorded(name: &str, load: impl Fn(&AtomicBool) + Sync) {
    let stop = AtomicBool::new(false);
    let netns = Netns::new();
    netns.inside(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| netns.inside(|| load(&stop)));
            finish(record_with(name, "2s", None, &["--first-byte"]));
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// Does something a hundred times a second.
fn steadily(stop: &AtomicBool, mut each: impl FnMut()) {
    while !stop.load(Ordering::Relaxed) {
        each();
        // The rate of the load.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Two networks with the same service, asked in turn; the second one answers after a pause.
fn two_networks(stop: &AtomicBool, pause: Duration) {
    let near = TcpListener::bind("127.0.1.1:0").expect("a free port");
    let port = near.local_addr().expect("an address").port();
    let far = TcpListener::bind(("127.0.2.1", port)).expect("the same port");
    std::thread::scope(|scope| {
        for (listener, pause) in [(&near, Duration::ZERO), (&far, pause)] {
            scope.spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.expect("accept");
                    // A connection without a request is the last one.
                    let mut request = [0; 100];
                    if stream.read_exact(&mut request).is_err() {
                        return;
                    }
                    // What makes this network slow.
                    std::thread::sleep(pause);
                    stream.write_all(b"!").expect("write");
                    let _ = stream.read(&mut request);
                }
            });
        }
        steadily(stop, || {
            for listener in [&near, &far] {
                let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
                client.write_all(&[7; 100]).expect("write");
                client.read_exact(&mut [0; 1]).expect("an answer");
            }
        });
        for listener in [&near, &far] {
            drop(TcpStream::connect(listener.local_addr().expect("an address")));
        }
    });
}

#[test]
#[ignore = "writes into the source tree"]
fn make_service_recordings() {
    needs_root!("make_service_recordings");
    recorded("listen-overflow", |stop| {
        let (busy, _filler) = full(LOOPBACKS[0]);
        let mut waiting = Vec::new();
        steadily(stop, || {
            if waiting.len() < 200 {
                waiting.push(begin_connect(busy.local_addr().expect("an address")));
            }
        });
    });
    recorded("packet-drops", |stop| {
        let deaf = UdpSocket::bind((LOOPBACKS[0], 0)).expect("a free port");
        let sender = UdpSocket::bind((LOOPBACKS[0], 0)).expect("a free port");
        let to = deaf.local_addr().expect("an address");
        steadily(stop, || {
            for _ in 0..5 {
                sender.send_to(&[0; 1000], to).expect("send");
            }
        });
    });
    recorded("first-byte-slow", |stop| two_networks(stop, Duration::from_millis(40)));
    recorded("service-healthy", |stop| {
        // Nobody takes what comes to this port: it is dropped, and nothing is wrong with that.
        let sender = UdpSocket::bind((LOOPBACKS[0], 0)).expect("a free port");
        let nobody = UdpSocket::bind((LOOPBACKS[0], 0)).expect("a free port").local_addr().expect("an address");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                steadily(stop, || {
                    // The error is that of the datagram before, which was refused.
                    let _ = sender.send_to(&[0; 10], nobody);
                });
            });
            two_networks(stop, Duration::ZERO);
        });
    });
}

#[test]
#[ignore = "writes into the source tree"]
fn make_tcp_memory_recording() {
    needs_root!("make_tcp_memory_recording");
    let cgroup = Cgroup::new("tcp-memory");
    std::fs::write(cgroup.path().join("memory.kmem.tcp.limit_in_bytes"), (256 << 10).to_string())
        .expect("cgroup version 1 limits the buffers of TCP for themselves");
    recorded("tcp-memory", |stop| {
        let tid = nix::unistd::gettid().to_string();
        std::fs::write(cgroup.path().join("tasks"), tid).expect("this thread enters the cgroup");
        let listener = TcpListener::bind((LOOPBACKS[0], 443)).expect("nobody else is in the namespace");
        let mut pairs = Vec::new();
        steadily(stop, || {
            if pairs.len() < 40 {
                let mut ends = pair(&listener);
                ends.client.set_nonblocking(true).expect("a flag");
                while ends.client.write(&[0; 65_536]).is_ok() {}
                pairs.push(ends);
            }
        });
    });
}
