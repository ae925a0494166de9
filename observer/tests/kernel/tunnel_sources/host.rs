//! Tunnels that every kernel with veth has.

use std::{
    fs::{File, OpenOptions},
    os::fd::AsRawFd,
};

use observer::snapshot::tunnel::Kind;

use super::{Ends, Rest, here, link, narrow, read, read_of, same_route, send, tunnel};
use crate::support::{
    needs_root,
    netns::Netns,
    seen,
    wait::wait_for,
    wire::{ip, run},
};

#[test]
fn a_vxlan_is_as_ip_shows_it() {
    needs_root!("a_vxlan_is_as_ip_shows_it");
    for (local, remote) in [("10.88.0.1", "10.88.0.2"), ("fd88::1", "fd88::2")] {
        let ends = Ends::new();
        let of = ["local", local, "remote", remote, "dstport", "4789", "ttl", "33", "dev", "under"];
        ends.near.inside(|| {
            ip(&[&["link", "add", "vx", "mtu", "1400", "type", "vxlan", "id", "42"][..], &of].concat());
            ip(&["address", "add", "10.99.0.1/24", "dev", "vx"]);
            ip(&["link", "set", "vx", "up"]);
            ip(&["neigh", "add", "10.99.0.2", "lladdr", "02:00:00:00:00:02", "dev", "vx"]);
            narrow();
        });
        let rest = wait_for("packets that are dropped, and peace", || {
            ends.near.inside(|| send("10.99.0.2:9", 1200, 200));
            let rest = Rest::of(&ends.near);
            let dropped = tunnel(&rest.found, "vx").qdiscs.iter().any(|queue| queue.drops > 0);
            dropped.then_some(rest)
        });
        let (vx, under) = (tunnel(&rest.found, "vx"), link(&rest.found, "under"));
        seen!("{vx:?}");
        let outer = (vx.outer.id, vx.outer.port, vx.outer.ttl, vx.outer.local);
        assert_eq!(outer, (Some(42), Some(4789), Some(33), local.parse().ok()));
        assert_eq!(vx.kind, Kind::Vxlan);
        assert_eq!(vx.peers.iter().map(|p| p.address).collect::<Vec<_>>(), [remote.parse().ok()]);
        assert_eq!((vx.underlay_netns, vx.underlay_ifindex), (Some(ends.near.inode()), Some(under.index)));
        rest.same_link("vx");
        rest.same_route(vx, &ends.near);
        rest.same_queues(vx, "under");
    }
}

#[test]
fn a_vxlan_without_a_remote_has_those_of_its_forwarding_database() {
    needs_root!("a_vxlan_without_a_remote_has_those_of_its_forwarding_database");
    let ends = Ends::new();
    ends.near.inside(|| {
        ip(&["link", "add", "vx", "type", "vxlan", "id", "7", "dstport", "4789", "local", "10.88.0.1"]);
        ip(&["link", "set", "vx", "up"]);
        for last in 2..40 {
            let to = format!("10.88.0.{last}");
            run("bridge", &["fdb", "append", "00:00:00:00:00:00", "dev", "vx", "dst", &to]);
        }
    });
    let found = read_of(&ends.near);
    let vx = tunnel(&found, "vx");
    let mut last: Vec<u8> =
        vx.peers.iter().filter_map(|p| p.address?.to_string().rsplit('.').next()?.parse().ok()).collect();
    last.sort_unstable();
    assert_eq!(last, (2..40).collect::<Vec<u8>>());
    assert!(vx.peers.iter().all(|p| p.route.as_ref().is_some_and(|r| r.device.as_str() == "under")), "{vx:?}");
}

#[test]
fn a_peer_without_a_route_says_so() {
    needs_root!("a_peer_without_a_route_says_so");
    let ends = Ends::new();
    ends.near.inside(|| {
        ip(&["link", "add", "vx", "type", "vxlan", "id", "7", "dstport", "4789", "remote", "192.0.2.1"]);
        ip(&["link", "set", "vx", "up"]);
    });
    let found = read_of(&ends.near);
    let [peer] = tunnel(&found, "vx").peers.as_slice() else { panic!("{found:?}") };
    assert_eq!(peer.route, None);
    assert!(peer.no_route.as_ref().unwrap().as_str().starts_with("Network is unreachable"), "{peer:?}");
}

#[test]
fn a_path_that_was_found_to_be_narrower_shows_in_the_route() {
    needs_root!("a_path_that_was_found_to_be_narrower_shows_in_the_route");
    let ends = Ends::new();
    ends.near.inside(|| {
        ip(&["link", "add", "vx", "type", "vxlan", "id", "7", "dstport", "4789", "remote", "10.88.0.2"]);
        ip(&["link", "set", "vx", "up"]);
        ip(&["route", "add", "10.88.0.2/32", "dev", "under", "mtu", "1280"]);
    });
    let found = read_of(&ends.near);
    let vx = tunnel(&found, "vx");
    let route = vx.peers.first().and_then(|p| p.route.as_ref()).unwrap();
    assert_eq!((route.mtu, route.device_mtu), (Some(1280), Some(1500)));
    same_route(vx, &ends.near, &found.links.as_ref().unwrap().list);
}

#[test]
fn the_other_end_of_a_veth_is_found_in_its_namespace() {
    needs_root!("the_other_end_of_a_veth_is_found_in_its_namespace");
    let ends = Ends::new();
    let (network, _) = read();
    let of = |netns: &Netns| network.namespaces.iter().find(|n| n.netns == netns.inode()).unwrap();
    let (near, far) = (link(of(&ends.near), "under"), link(of(&ends.far), "under"));
    assert_eq!((near.parent, near.parent_netns), (Some(far.index), Some(ends.far.inode())));
    assert_eq!((far.parent, far.parent_netns), (Some(near.index), Some(ends.near.inode())));
    Rest::of(&ends.near).same_link("under");
}

#[test]
fn a_tunnel_that_was_moved_leaves_by_the_namespace_that_it_came_from() {
    needs_root!("a_tunnel_that_was_moved_leaves_by_the_namespace_that_it_came_from");
    let (ends, inner) = (Ends::new(), Netns::new());
    let into = inner.pid().to_string();
    ends.near.inside(|| {
        ip(&["link", "add", "vx", "type", "vxlan", "id", "7", "dstport", "4789", "remote", "10.88.0.2"]);
        ip(&["link", "set", "vx", "netns", &into]);
    });
    inner.inside(|| ip(&["link", "set", "vx", "up"]));
    let found = read_of(&inner);
    let vx = tunnel(&found, "vx");
    assert_eq!(vx.underlay_netns, Some(ends.near.inode()));
    same_route(vx, &ends.near, &read_of(&ends.near).links.unwrap().list);
}

/// Makes a tun or tap device in the present namespace.
fn device(name: &str, flags: i16) -> Option<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").ok()?;
    // SAFETY: zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the request lives through the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, &raw const request) };
    assert_eq!(done, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    Some(file)
}

#[test]
fn tun_and_tap_devices_and_a_hostile_name() {
    needs_root!("tun_and_tap_devices_and_a_hostile_name");
    let netns = Netns::new();
    let hostile = "a\x1b[2J\"\\";
    let Some(_files) = netns.inside(|| Some([device("obs_tun", 1)?, device(hostile, 2)?])) else {
        return crate::support::skipped("tun_and_tap_devices_and_a_hostile_name", "the kernel has no tun devices");
    };
    let found = read_of(&netns);
    assert_eq!(tunnel(&found, "obs_tun").kind, Kind::Tun);
    let tap = tunnel(&found, "a\\x1b[2J\"\\\\");
    assert_eq!((&tap.kind, tap.underlay_netns, tap.peers.len()), (&Kind::Tap, None, 0));
    assert_ne!(netns.inode(), here());
    // The files are held by this process, which is in another namespace than the devices.
    // Beside them are those that other modules make in each namespace, such as sit0.
    let ours = found.tunnels.iter().flatten().filter(|tunnel| matches!(tunnel.kind, Kind::Tun | Kind::Tap));
    let names = ours.map(|tunnel| tunnel.holder.as_ref().map(|holder| holder.pid));
    assert_eq!(names.collect::<Vec<_>>(), [Some(std::process::id()); 2]);
}
