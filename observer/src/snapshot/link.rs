//! Network interfaces. Source: rtnetlink `RTM_GETLINK`, `IFLA_STATS64`, `IFLA_LINKINFO`.

use serde::{Deserialize, Serialize};

use super::Name;

/// Interfaces of one network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    /// Every interface, by index.
    pub list: Vec<Link>,
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Interface name.
    pub name: Name,
    /// `IFLA_INFO_KIND`, such as `veth` or `vxlan`; `None` for a device that has no kind, such as a NIC.
    pub kind: Option<Name>,
    /// True if it is administratively up.
    pub up: bool,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Index of the interface below it (`IFLA_LINK`): the parent of a VLAN or tunnel, the other end of a veth.
    #[serde(default)]
    pub parent: Option<u32>,
    /// Inode of the namespace that the interface below is in, if it is another one (`IFLA_LINK_NETNSID`).
    #[serde(default)]
    pub parent_netns: Option<u64>,
    /// Index of the bridge or bond that it belongs to (`IFLA_MASTER`).
    #[serde(default)]
    pub master: Option<u32>,
    /// Largest packet in bytes that it is given to cut into segments (`IFLA_GSO_MAX_SIZE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gso_max_size: Option<u32>,
    /// Largest packet in bytes that received segments are put together to (`IFLA_GRO_MAX_SIZE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gro_max_size: Option<u32>,
    /// Offloads, of those that matter to tunnels. `None` unless it is a tunnel, or outer packets leave by it. Source:
    /// `ETHTOOL_MSG_FEATURES_GET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<Feature>>,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Received packets that were bad.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Received packets dropped for want of room or of anyone who wants them.
    pub rx_dropped: u64,
    /// Packets dropped before they were sent.
    pub tx_dropped: u64,
}

/// Something that an interface may do for the processor, as `ethtool -k` lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Feature {
    /// The kernel's name, such as `tx-udp_tnl-segmentation`.
    pub name: Name,
    /// True if it is switched on.
    pub on: bool,
    /// True if it cannot be switched.
    pub fixed: bool,
}

impl Link {
    /// A feature by its name; `None` if it is not known.
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.as_ref()?.iter().find(|feature| feature.name.as_str() == name)
    }
}
