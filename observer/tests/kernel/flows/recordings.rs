//! Recordings of connections for `tests/replay.rs`: some that are slower than they could be, and one that has little to send.
//!
//! Not run with the other tests: `cargo test --test kernel -- --ignored make_flow_recordings`.

use std::time::Duration;

use super::{Ends, Flow, Running, beds::BUSY_RECEIVER};
use crate::{
    make_recordings::{finish, record},
    support::{
        needs_root,
        wire::{Path, Wire},
    },
};

const FAR_AWAY: Path =
    Path { delay: Duration::from_millis(20), rate: 0, queue: 4 << 20, lost_of_million: 0, largest: usize::MAX };

#[test]
#[ignore = "writes into the source tree"]
fn make_flow_recordings() {
    needs_root!("make_flow_recordings");
    let small = Ends { rcvbuf: Some(16 << 10), congestion: Some("cubic"), ..Ends::default() };
    let bursts = Ends { bursts: Some((10_000, 20)), congestion: Some("cubic"), ..Ends::default() };
    for (name, ends) in [("receive-window", small), ("small-writes", bursts)] {
        let wire = Wire::new(FAR_AWAY).expect("a wire");
        let flow = Flow::start(&wire, ends);
        // What comes first is slow start.
        std::thread::sleep(Duration::from_millis(1500));
        finish(record(name, "4s", None));
        drop(flow);
    }
}

#[test]
#[ignore = "writes into the source tree"]
fn make_a_recording_of_late_acks() {
    needs_root!("make_a_recording_of_late_acks");
    let bed = Running::start(&BUSY_RECEIVER).expect("iperf3 is there");
    // As above.
    std::thread::sleep(Duration::from_secs(3));
    finish(record("late-acks", "4s", None));
    drop(bed);
}
