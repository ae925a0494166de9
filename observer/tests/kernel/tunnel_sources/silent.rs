//! What WireGuard drops without a counter, against what was sent to its socket.

use std::{io::Write, net::UdpSocket};

use observer::{
    model::{
        Model,
        tunnel::{Dropped, Stage},
    },
    snapshot::{Snapshot, Stamp, network::Network},
};

use super::{Ends, add, kinds::wg, link, tunnel};
use crate::support::{needs_root, seen, skipped, wait::wait_for, wire::ip};

/// Datagrams that look like data of WireGuard, for a session that there never was.
const FORGED: u64 = 5000;

/// Of one namespace alone, so that what else the machine does is not in it.
fn snapshot(ends: &Ends, second: u64) -> Snapshot {
    let found = super::read_of(&ends.near);
    Snapshot {
        stamp: Stamp { monotonic_ns: second * 1_000_000_000, ..Stamp::default() },
        network: Some(Network { namespaces: vec![found], ..Network::default() }),
        ..Snapshot::default()
    }
}

fn silent(before: &Snapshot, now: &Snapshot) -> Dropped {
    let model = Model::new(now, Some(before));
    let tunnels = model.tunnels.expect("they were read");
    let wg = tunnels.list.iter().find(|tunnel| tunnel.name.as_str() == "wg0").expect("it is there");
    wg.dropped(Stage::Silent).expect("it is WireGuard").clone()
}

/// Sends forged data to the near end's port.
fn forge(ends: &Ends) {
    let socket = ends.far.inside(|| UdpSocket::bind("10.88.0.2:0").expect("a socket"));
    let mut data = [0; 64];
    data[0] = 4;
    for _ in 0..FORGED {
        socket.send_to(&data, "10.88.0.1:51820").expect("it is sent");
    }
}

#[test]
fn what_wireguard_drops_in_silence_is_told() {
    const NAME: &str = "what_wireguard_drops_in_silence_is_told";
    needs_root!("what_wireguard_drops_in_silence_is_told");
    let ends = Ends::new();
    let made = ends.near.inside(|| add(&["wg0", "type", "wireguard"]));
    if let Err(reason) = made {
        return skipped(NAME, &reason);
    }
    let (Some(own), Some(other)) = (wg(&["genkey"], ""), wg(&["genkey"], "")) else {
        return skipped(NAME, "there is no wg");
    };
    let public = wg(&["pubkey"], &other).expect("wg");
    let mut key = tempfile::NamedTempFile::new().expect("a file");
    key.write_all(own.as_bytes()).expect("it is written");
    ends.near.inside(|| {
        let file = key.path().to_str().expect("a path");
        wg(&["set", "wg0", "listen-port", "51820", "private-key", file, "peer", &public], "").expect("wg");
        ip(&["link", "set", "wg0", "up"]);
    });
    // Two sockets of its own, and none of anybody else.
    forge(&ends);
    let before = wait_for("the datagrams to be counted", || {
        let now = snapshot(&ends, 1);
        let udp = now.network.as_ref()?.namespaces[0].udp?;
        (udp.in_datagrams >= FORGED).then_some(now)
    });
    let udp = before.network.as_ref().expect("it is there").namespaces[0].udp.expect("it was there");
    seen!("{udp:?}");
    assert_eq!(udp.sockets, Some(2), "one for each version of IP");
    assert_eq!(tunnel(&before.network.as_ref().expect("it is there").namespaces[0], "wg0").outer.port, Some(51820));
    forge(&ends);
    let now = wait_for("the datagrams to be counted", || {
        let now = snapshot(&ends, 2);
        let came = now.network.as_ref()?.namespaces[0].udp?.in_datagrams - udp.in_datagrams;
        (came >= FORGED).then_some(now)
    });
    let network = now.network.as_ref().expect("it is there");
    assert_eq!(link(&network.namespaces[0], "wg0").rx_packets, 0, "no counter of WireGuard tells");
    let lost = silent(&before, &now);
    seen!("{lost:?}");
    assert_eq!((lost.in_interval, lost.unknown), (Some(FORGED), None));
    // With a process that receives UDP too, it is a bound.
    let _socket = ends.near.inside(|| UdpSocket::bind("10.88.0.1:9").expect("a socket"));
    forge(&ends);
    let last = wait_for("the datagrams to be counted", || {
        let last = snapshot(&ends, 3);
        let came = last.network.as_ref()?.namespaces[0].udp?.in_datagrams - udp.in_datagrams;
        (came >= 2 * FORGED).then_some(last)
    });
    let lost = silent(&now, &last);
    seen!("{lost:?}");
    assert_eq!((lost.in_interval, lost.at_most), (None, Some(FORGED)));
}
