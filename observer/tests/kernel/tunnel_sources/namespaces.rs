//! Namespaces that come and go while they are read.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use observer::{snapshot::coverage::Source, source::network::Reader};

use crate::support::{needs_root, netns::Netns, seen, wire::ip};

/// How long they come and go.
const RUN: Duration = Duration::from_secs(4);

#[test]
fn a_namespace_that_vanishes_while_it_is_read_is_no_error() {
    needs_root!("a_namespace_that_vanishes_while_it_is_read_is_no_error");
    let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    let rounds = std::thread::scope(|scope| {
        let vanish = || {
            while !stop.load(Ordering::Relaxed) {
                let short = Netns::new();
                short.inside(|| {
                    ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"]);
                    ip(&["link", "add", "vx", "type", "vxlan", "id", "1", "dstport", "4789", "remote", "192.0.2.1"]);
                    ip(&["link", "set", "vx", "up"]);
                });
                drop(short);
                made.fetch_add(1, Ordering::Relaxed);
            }
        };
        let churn = scope.spawn(vanish);
        let mut rounds = 0;
        while begun.elapsed() < RUN {
            // A new reader looks for namespaces at once.
            let (network, missing) = Reader::open().expect("open").read(&[]).expect("read");
            assert!(network.namespaces.first().is_some_and(|own| own.own));
            let bad: Vec<_> = missing.iter().filter(|s| s.name != Source::NETWORK_PARTS).collect();
            assert!(bad.is_empty(), "{bad:?}");
            rounds += 1;
        }
        stop.store(true, Ordering::Relaxed);
        churn.join().expect("it does not panic");
        rounds
    });
    seen!("{rounds} rounds while {} namespaces came and went", made.load(Ordering::Relaxed));
    assert!(rounds > 0 && made.load(Ordering::Relaxed) > 0);
}
