//! A connection of a container, routed into a tunnel of the host.

use super::{FAR, NEAR, Sites, TUNNEL, reported, traffic::Traffic};
use crate::support::{needs_root, netns::Netns, seen, wire::ip};

/// Bytes a second.
const RATE: u32 = 2_000_000;
/// Addresses of the container and of its router.
const INSIDE: &str = "10.88.0.2";
const ROUTER: &str = "10.88.0.1";

/// A packet that is routed has lost its socket: the tunnel that it goes into is found all the same, and its outer packet.
#[test]
fn a_connection_that_is_routed_into_a_tunnel_is_one_that_it_carries() {
    needs_root!("a_connection_that_is_routed_into_a_tunnel_is_one_that_it_carries");
    for translated in [false, true] {
        let (sites, container) = (Sites::new(), Netns::new());
        attach(&sites, &container);
        if translated && !translate(&sites.near) {
            crate::support::skipped("a translated address", "the kernel or the machine has no nft");
            continue;
        }
        let _traffic = Traffic::routed(&container, &sites, RATE);
        // Of many packets some are sampled, and known again below.
        let found = (0..5).find_map(|_| {
            let (tunnel, _) = reported(&sites, "2s").near;
            seen!("translated {translated}: {}, {}", tunnel["flows"], tunnel["samples"]["flows"]);
            let carried = tunnel["flows"].as_array()?.iter().any(|f| f["netns"] == container.inode());
            let outer = tunnel["samples"]["flows"].as_array()?.iter().any(|f| f["outer"].is_object());
            (carried && outer).then_some(())
        });
        assert!(found.is_some(), "translated {translated}: the connection of {} is not seen", container.inode());
    }
}

/// Gives the container its way to the far site, and back.
fn attach(sites: &Sites, container: &Netns) {
    let pid = container.pid().to_string();
    sites.near.inside(|| {
        ip(&["link", "add", "pod0", "type", "veth", "peer", "name", "eth0", "netns", &pid]);
        ip(&["address", "add", &format!("{ROUTER}/24"), "dev", "pod0"]);
        ip(&["link", "set", "pod0", "up"]);
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("packets may be routed");
    });
    container.inside(|| {
        ip(&["address", "add", &format!("{INSIDE}/24"), "dev", "eth0"]);
        ip(&["link", "set", "eth0", "mtu", "1450", "up"]);
        ip(&["route", "add", &format!("{FAR}/32"), "via", ROUTER]);
    });
    sites.far.inside(|| ip(&["route", "add", "10.88.0.0/24", "via", &NEAR.to_string(), "dev", TUNNEL]));
}

/// Lets the near site put its own address in the place of the container's; false where that cannot be had.
fn translate(near: &Netns) -> bool {
    let rules = "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; \
                 add rule ip nat out oifname \"vxtest\" masquerade";
    near.inside(|| std::process::Command::new("nft").arg(rules).status().is_ok_and(|status| status.success()))
}
