//! What limits a tunnel, on tunnels whose limit is known: VXLAN between two network namespaces.

mod beds;
mod cores;
mod routed;
mod traffic;

use std::{
    net::{Ipv4Addr, UdpSocket},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    lifecycle::binary,
    support::{line, netns::Netns, wait::wait_for, wire::ip},
};

/// Addresses inside of the tunnel.
pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// Names of the interfaces, the same on both sides.
pub(crate) const TUNNEL: &str = "vxtest";
pub(crate) const UNDERLAY: &str = "under0";

/// Two sites with a VXLAN between them, over a bridge in a third namespace. Removed with it.
pub(crate) struct Sites {
    pub(crate) near: Netns,
    pub(crate) middle: Netns,
    pub(crate) far: Netns,
}

impl Sites {
    pub(crate) fn new() -> Self {
        let sites = Self { near: Netns::new(), middle: Netns::new(), far: Netns::new() };
        let end = |netns: &Netns, port: &str, host: u8| {
            let middle = sites.middle.pid().to_string();
            netns.inside(|| {
                ip(&["link", "add", UNDERLAY, "type", "veth", "peer", "name", port, "netns", &middle]);
                ip(&["address", "add", &format!("192.0.2.{host}/24"), "dev", UNDERLAY]);
                ip(&["link", "set", UNDERLAY, "up"]);
                // Not bound to the interface below: so its MTU may be anything.
                let (local, remote) = (format!("192.0.2.{host}"), format!("192.0.2.{}", 3 - host));
                ip(&[
                    "link", "add", TUNNEL, "mtu", "1450", "type", "vxlan", "id", "7", "local", &local, "remote",
                    &remote, "dstport", "4789",
                ]);
                ip(&["address", "add", &format!("10.9.0.{host}/24"), "dev", TUNNEL]);
                ip(&["link", "set", TUNNEL, "up"]);
            });
        };
        end(&sites.near, "port1", 1);
        end(&sites.far, "port2", 2);
        sites.middle.inside(|| {
            ip(&["link", "add", "bridge", "type", "bridge"]);
            for device in ["port1", "port2"] {
                ip(&["link", "set", device, "master", "bridge", "up"]);
            }
            ip(&["link", "set", "bridge", "up"]);
        });
        sites.greet();
        sites
    }

    /// Waits until a packet comes through both ways: one that waits for an address would make the first round trip, and with
    /// it the first time-out of a connection, as long as that takes.
    fn greet(&self) {
        let socket = |site: &Netns, address| site.inside(|| UdpSocket::bind((address, 9)).expect("a socket"));
        let ends = [(socket(&self.near, NEAR), FAR), (socket(&self.far, FAR), NEAR)];
        for ((from, to), (other, _)) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
            other.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
            wait_for("a packet to come through the tunnel", || {
                let _ = from.send_to(b"?", (*to, 9));
                other.recv(&mut [0; 8]).is_ok().then_some(())
            });
        }
    }

    /// Lets packets on the way between the sites vanish if their IP packet is larger.
    fn drop_above(&self, bytes: usize) {
        for port in ["port1", "port2"] {
            self.middle.inside(|| line::drop_above(port, bytes));
        }
    }
}

/// What `observer report tunnels` says of both ends of these sites: each tunnel, and the verdict on it.
pub(crate) struct Reported {
    pub(crate) near: (Value, Value),
    pub(crate) far: (Value, Value),
}

/// Looks at this host for that time.
pub(crate) fn reported(sites: &Sites, time: &str) -> Reported {
    let output = Command::new(binary())
        .args(["report", "tunnels", "--json", "--for", time])
        .stdin(Stdio::null())
        .output()
        .expect("observer runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
    let of = |site: &Netns| {
        let inode = site.inode();
        let of = |list: &Value| {
            let found = list.as_array().into_iter().flatten().find(|t| t["netns"] == inode && t["name"] == TUNNEL);
            found.unwrap_or_else(|| panic!("no {TUNNEL} in {inode}: {list:#}")).clone()
        };
        (of(&document["tunnels"]["list"]), of(&document["tunnel_verdicts"]))
    };
    Reported { near: of(&sites.near), far: of(&sites.far) }
}
