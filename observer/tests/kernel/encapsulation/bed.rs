//! Two network namespaces, a cable between them, and a tunnel over it.

use std::{
    ffi::CString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
};

use observer::{
    snapshot::tunnel::{Kind, Outer, Tunnel},
    source::kernel::encapsulation::Watched,
};

use crate::support::{netns::Netns, wire::ip};

/// Name of the cable's ends.
pub(super) const CABLE: &str = "under";
/// Name of the tunnel's ends.
pub(super) const TUNNEL: &str = "inner";
/// UDP port of tunnels in UDP.
pub(super) const PORT: u16 = 4789;

/// The version of IP outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    V4,
    V6,
}

impl Outside {
    pub(super) fn near(self) -> IpAddr {
        self.address(1)
    }

    pub(super) fn far(self) -> IpAddr {
        self.address(2)
    }

    fn address(self, end: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 78, 0, end).into(),
            Self::V6 => Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, end.into()).into(),
        }
    }
}

/// Address of an end inside of the tunnel.
pub(super) fn inside(end: u8) -> IpAddr {
    Ipv4Addr::new(10, 79, 0, end).into()
}

/// Two namespaces and what is between them; removed with it.
#[derive(Debug)]
pub(super) struct Bed {
    /// The end of 10.78.0.1 and 10.79.0.1.
    pub(super) near: Netns,
    /// The other end.
    pub(super) far: Netns,
    kind: Kind,
}

impl Bed {
    /// Namespaces with a cable, and no tunnel.
    pub(super) fn cabled(kind: Kind) -> Self {
        let (near, far) = (Netns::new(), Netns::new());
        let [a, b] = [&near, &far].map(|end| end.holder().to_string());
        ip(&["link", "add", CABLE, "netns", &a, "type", "veth", "peer", "name", CABLE, "netns", &b]);
        for (netns, end) in [(&near, 1), (&far, 2)] {
            netns.inside(|| {
                ip(&["link", "set", CABLE, "up"]);
                for outside in [Outside::V4, Outside::V6] {
                    address(CABLE, outside.address(end));
                }
            });
        }
        Self { near, far, kind }
    }

    /// With a tunnel that `ip link add … type` knows; `None` where the kernel has no such.
    pub(super) fn new(kind: Kind, outside: Outside, type_and_options: &[&str]) -> Option<Self> {
        Self::cabled(kind).with_tunnel(outside, type_and_options)
    }

    /// The same on a cable that is there.
    pub(super) fn with_tunnel(self, outside: Outside, type_and_options: &[&str]) -> Option<Self> {
        for (netns, end, local, remote) in
            [(&self.near, 1, outside.near(), outside.far()), (&self.far, 2, outside.far(), outside.near())]
        {
            let (local, remote) = (local.to_string(), remote.to_string());
            let words = type_and_options.iter().map(|word| match *word {
                "LOCAL" => local.as_str(),
                "REMOTE" => remote.as_str(),
                word => word,
            });
            let arguments: Vec<&str> = ["link", "add", TUNNEL, "type"].into_iter().chain(words).collect();
            let made = netns.inside(|| {
                let output = Command::new("ip").args(&arguments).output().expect("ip");
                if !output.status.success() {
                    println!("ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
                    return false;
                }
                ip(&["link", "set", TUNNEL, "up"]);
                address(TUNNEL, inside(end));
                true
            });
            if !made {
                return None;
            }
        }
        Some(self)
    }

    /// The near end of the tunnel and of the cable, as observer is told to watch them.
    pub(super) fn watched(&self, port: Option<u16>) -> Vec<Watched> {
        let index = |name: &str| self.near.inside(|| index(name));
        let outer = Outer { port, ..Outer::default() };
        let tunnel = Tunnel { ifindex: Some(index(TUNNEL)), kind: self.kind.clone(), outer, ..Tunnel::default() };
        let below = Tunnel { ifindex: Some(index(CABLE)), ..Tunnel::default() };
        let inode = self.near.inode();
        let below = Watched { tunnel: false, ..Watched::of(inode, &below).expect("it has an interface") };
        vec![Watched::of(inode, &tunnel).expect("it has an interface"), below]
    }
}

/// Index of an interface of the present namespace.
pub(super) fn index(device: &str) -> u32 {
    let name = CString::new(device).expect("no NUL");
    // SAFETY: the name ends with NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "{device}: {}", std::io::Error::last_os_error());
    index
}

/// Gives an interface of the present namespace an address, of a network of its own.
pub(super) fn address(device: &str, address: IpAddr) {
    let length = if address.is_ipv4() { 24 } else { 64 };
    let with_length = format!("{address}/{length}");
    let mut arguments = vec!["address", "add", &with_length, "dev", device];
    if address.is_ipv6() {
        arguments.push("nodad");
    }
    ip(&arguments);
}
