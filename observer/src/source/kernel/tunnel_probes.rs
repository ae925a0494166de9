//! The probes on tunnels, in tables of their own: they are loaded only where there is something to see.

use super::probes::{
    Arg::{Int, Ptr},
    ProbeSpec, form, tp,
};

/// Name of the probe without which nothing is known of packets.
pub(super) const XMIT: &str = "tunnel_packets";
/// Name of the probe of polls.
pub(super) const POLLS: &str = "tunnel_polls";

/// Those that rest while there is much to do: each is hit by every packet that comes in, and tells no more than its size.
pub(super) const RESTING: [&str; 3] = [ARRIVALS, RECEIPTS, POLLS];

const ARRIVALS: &str = "tunnel_arrivals";
const RECEIPTS: &str = "tunnel_receipts";

const PART: &str = "encapsulation";

/// Loaded while there is a tunnel.
pub(super) const PACKETS: [&ProbeSpec; 4] = [
    &ProbeSpec {
        fields: &["packet", "encapsulation"],
        replaced_by: Some("counters of the tunnel's interface and of the one below"),
        ..tp(XMIT, "net_dev_start_xmit", &[form("obs_tun_xmit", &[Ptr("sk_buff"), Ptr("net_device")])], PART)
    },
    &ProbeSpec {
        fields: &["packet"],
        ..tp(ARRIVALS, "napi_gro_receive_entry", &[form("obs_tun_arrive", &[Ptr("sk_buff")])], PART)
    },
    &ProbeSpec {
        fields: &["packet"],
        ..tp(RECEIPTS, "netif_receive_skb", &[form("obs_tun_receive", &[Ptr("sk_buff")])], PART)
    },
    &ProbeSpec {
        fields: &["napi"],
        replaced_by: Some("/proc/net/softnet_stat time_squeeze, of each CPU"),
        ..tp(POLLS, "napi_poll", &[form("obs_tun_poll", &[Ptr("napi_struct"), Int, Int])], "encapsulation.polls")
    },
];

/// Loaded while there is a WireGuard interface. The end first: a function that begins between the two would never end.
pub(super) const CRYPTO: [&ProbeSpec; 2] = [
    &ProbeSpec {
        fields: &[],
        ..tp(
            "crypto_work_end",
            "workqueue_execute_end",
            &[form("obs_tun_end", &[Ptr("work_struct")])],
            "encapsulation.crypto",
        )
    },
    &ProbeSpec {
        fields: &["work"],
        ..tp(
            "crypto_work_begin",
            "workqueue_execute_start",
            &[form("obs_tun_begin", &[Ptr("work_struct")])],
            "encapsulation.crypto",
        )
    },
];
