use super::{Limit, Verdict, verdicts};
use crate::{
    diagnose::{Outcome, RULES, Severity, Window, testing::models},
    model::{
        Model,
        tunnel::testing::{BYTES, NETNS, PACKETS, TUNNEL, interface, namespace, tunnel, vxlan},
    },
    snapshot::{
        Snapshot,
        cpu::{Cpu, CpuTimes, Cpus, Softnet},
        encapsulation::{Encapsulation, Interface, Packets},
        link::Feature,
        tcp::{Owner, Socket, TcpInfo},
        tunnel::Kind,
    },
};

/// Models of three seconds; `change` makes of the healthy host what is looked for.
fn host(change: impl Fn(&mut Snapshot, u64)) -> Vec<Model> {
    let at = |second| {
        let mut snapshot = vxlan(second);
        change(&mut snapshot, second);
        snapshot
    };
    models(&[at(1), at(2), at(3), at(4)])
}

fn verdict(models: &[Model]) -> Verdict {
    let [verdict] = <[_; 1]>::try_from(verdicts(&Window::new(models).unwrap())).unwrap();
    verdict
}

fn rule(models: &[Model], name: &str) -> Outcome {
    let rule = RULES.iter().find(|r| r.name == name).unwrap();
    (rule.check)(&Window::new(models).unwrap())
}

fn socket(s: &mut Snapshot) -> &mut Socket {
    &mut s.tcp.sockets.as_mut().unwrap().list[0]
}

/// Four processors, of which the first has that share of its time in soft interrupts.
fn cpus(second: u64, softirq: f64, steered: u64) -> Option<Cpus> {
    let ns = second as f64 * 1e9;
    let one = |cpu: u32, softirq: f64, processed: u64| Cpu {
        cpu,
        times: CpuTimes {
            softirq_ns: (ns * softirq) as u64,
            idle_ns: (ns * (1.0 - softirq)) as u64,
            ..CpuTimes::default()
        },
        softnet: Some(Softnet {
            processed,
            time_squeeze: second * 10,
            received_rps: second * steered,
            ..Softnet::default()
        }),
    };
    let busy = one(0, softirq, second * PACKETS * 2);
    Some(Cpus { list: std::iter::once(busy).chain((1..4).map(|cpu| one(cpu, 0.02, second * 10))).collect() })
}

#[test]
fn a_healthy_tunnel_has_no_limit_and_its_shares_are_shown() {
    let models = host(|s, second| {
        s.cpus = cpus(second, 0.3, 0);
        let interfaces = vec![Interface { device: (NETNS, TUNNEL), ..Interface::default() }];
        s.encapsulation = Some(Encapsulation { interfaces, ..Encapsulation::default() });
    });
    let v = verdict(&models);
    assert_eq!((v.limit, &v.signs[..], &v.unknown[..]), (Limit::None, &[][..], &[][..]), "{v:#?}");
    assert_eq!((v.shares.drops, v.shares.fragments, v.shares.busiest_cpu), (Some(0.0), Some(0.0), Some(0.3)));
    // 1000 bytes a packet, and 50 around each.
    assert!((v.shares.overhead.unwrap() - 50.0 / 1050.0).abs() < 1e-9);
    for rule_ in RULES.iter().filter(|r| r.name.starts_with("tunnel_")) {
        assert_eq!(rule(&models, rule_.name), Outcome::Quiet, "{}", rule_.name);
    }
}

#[test]
fn an_mtu_that_does_not_fit_is_told_with_the_one_that_does() {
    let models = host(|s, _| interface(s, TUNNEL).mtu = Some(1500));
    let v = verdict(&models);
    assert_eq!((v.limit, v.signs[0].severity), (Limit::Mtu, Severity::Info), "a connection of this host is told");
    assert!(v.signs[0].advice[0].contains("`ip link set dev vxlan7 mtu 1450`"), "{v:#?}");
    let Outcome::Fires(finding) = rule(&models, "tunnel_mtu") else { panic!() };
    assert!(finding.verdict.starts_with("tunnel vxlan7: its MTU of 1500 B is 50 B larger"), "{finding:?}");
    let wireguard = host(|s, _| {
        interface(s, TUNNEL).mtu = Some(1500);
        tunnel(s).kind = Kind::Wireguard;
    });
    assert_eq!(verdict(&wireguard).signs[0].severity, Severity::Warning);
    let elsewhere = host(|s, _| {
        interface(s, TUNNEL).mtu = Some(1500);
        let links = s.links.take();
        let n = namespace(s);
        (n.own, n.links, n.process) = (false, links, Some(Owner { pid: 42, comm: "x".into(), cgroup: None }));
    });
    assert!(verdict(&elsewhere).signs[0].advice[0].contains("`nsenter -t 42 -n ip link"));
}

#[test]
fn fragments_are_the_tunnels_only_where_its_packets_do_not_fit() {
    let fragmenting = |mtu: u32| {
        host(move |s, second| {
            tunnel(s).kind = Kind::Wireguard;
            interface(s, TUNNEL).mtu = Some(mtu);
            namespace(s).ip.as_mut().unwrap().frag_creates = Some(second * PACKETS * 2);
        })
    };
    let v = verdict(&fragmenting(1450));
    assert_eq!((v.limit, v.shares.fragments), (Limit::Fragments, Some(1.0)));
    assert!(v.signs[0].advice[0].contains("mtu 1440"), "{v:#?}");
    assert_eq!(verdict(&fragmenting(1420)).limit, Limit::None, "another sender made them");
    let unknown = host(|s, _| {
        namespace(s).ip = None;
        tunnel(s).qdiscs.clear();
    });
    assert_eq!(
        verdict(&unknown).unknown.iter().map(|l| l.limit).collect::<Vec<_>>(),
        [Limit::Fragments, Limit::ReceiveSteering, Limit::OneCore, Limit::Offload]
    );
}

#[test]
fn a_queue_that_drops_or_stands_is_named_with_its_rate() {
    let v = verdict(&host(|s, second| tunnel(s).qdiscs[0].drops = second * PACKETS / 10));
    assert_eq!(v.limit, Limit::Drops);
    let sign = &v.signs[0];
    assert!(sign.verdict.contains("most by the queue of the underlay: tbf of eth0"), "{sign:#?}");
    assert_eq!(sign.ceiling.as_ref().map(|c| c.bytes_per_second), Some(BYTES as f64));
    let v = verdict(&host(|s, _| tunnel(s).qdiscs[0].backlog_bytes = BYTES / 50));
    assert!(v.signs[0].verdict.contains("wait 20 ms"), "{v:#?}");
    // One interval is enough if it begins and ends so.
    let once = host(|s, _| tunnel(s).qdiscs[0].backlog_bytes = BYTES / 50);
    assert_eq!(verdict(&once[..2]).limit, Limit::Drops);
    let late = host(|s, second| tunnel(s).qdiscs[0].backlog_bytes = if second == 2 { BYTES / 50 } else { 0 });
    assert_eq!(verdict(&late[..2]).limit, Limit::None);
    // Now and then a few bytes wait: that is what a queue is for.
    let v = verdict(&host(|s, second| tunnel(s).qdiscs[0].backlog_bytes = if second == 4 { BYTES / 50 } else { 0 }));
    assert_eq!(v.limit, Limit::None);
    let few = verdict(&host(|s, second| tunnel(s).qdiscs[0].drops = second * 2));
    assert_eq!(few.limit, Limit::None, "6 of 45,000");
}

#[test]
fn a_black_hole_takes_full_packets_alone() {
    let stuck = |acked: u64, alive: bool| {
        host(move |s, _| {
            socket(s).tx_ifindex = Some(TUNNEL);
            socket(s).info = TcpInfo {
                bytes_acked: Some(acked),
                unacked_bytes: Some(14_480),
                mss: Some(1448),
                backoff: Some(4),
                pmtu: Some(1500),
                ..TcpInfo::default()
            };
            if !alive {
                let link = interface(s, TUNNEL);
                (link.rx_packets, link.rx_bytes) = (7, 700);
            }
        })
    };
    let v = verdict(&stuck(1_000_000, true));
    assert_eq!((v.limit, v.signs[0].severity), (Limit::BlackHole, Severity::Critical));
    assert!(v.signs[0].verdict.contains("1448 B"), "{v:#?}");
    assert_eq!(verdict(&stuck(100, false)).limit, Limit::BlackHole, "the handshake passed");
    assert_eq!(verdict(&stuck(1_000_000, false)).limit, Limit::None, "the other end may be gone");
    let slow = host(|s, second| {
        let info = &mut socket(s).info;
        (info.bytes_acked, info.unacked_bytes, info.mss, info.backoff) =
            (Some(second), Some(14_480), Some(1448), Some(4));
    });
    assert_eq!(verdict(&slow).limit, Limit::None, "something is acknowledged");
}

#[test]
fn one_busy_processor_among_idle_ones() {
    let v = verdict(&host(|s, second| s.cpus = cpus(second, 0.97, 5)));
    assert_eq!(v.limit, Limit::OneCore);
    let ceiling = v.signs[0].ceiling.as_ref().unwrap();
    assert!((ceiling.bytes_per_second - BYTES as f64 * 1.1 / 0.97).abs() < 1.0, "{ceiling:?}");
    let other = host(|s, second| {
        s.cpus = cpus(second, 0.97, 5);
        let link = interface(s, TUNNEL);
        (link.rx_packets, link.tx_packets) = (second * 10, second * 10);
    });
    assert_eq!(verdict(&other).limit, Limit::None, "the packets are of somebody else");
}

#[test]
fn a_single_outer_flow_on_one_processor_without_steering() {
    let receiving = |kind: Kind, steered: u64| {
        host(move |s, second| {
            tunnel(s).kind = kind.clone();
            interface(s, TUNNEL).mtu = Some(1400);
            s.cpus = cpus(second, 0.7, steered);
        })
    };
    let v = verdict(&receiving(Kind::Gre, 0));
    assert_eq!(v.limit, Limit::ReceiveSteering);
    assert!(v.signs[0].advice[0].contains("echo f > /sys/class/net/'vxlan7'/queues/rx-0/rps_cpus"), "{v:#?}");
    assert_eq!(verdict(&receiving(Kind::Gre, 100)).limit, Limit::None, "it is steered");
    let many = host(|s, second| {
        s.cpus = cpus(second, 0.7, 0);
        let mut other = socket(s).clone();
        other.cookie = 78;
        s.tcp.sockets.as_mut().unwrap().list.push(other);
    });
    assert_eq!(verdict(&many).limit, Limit::None, "VXLAN spreads its connections over ports");
}

#[test]
fn large_packets_that_leave_cut_are_a_matter_of_offloads() {
    let sampled = |kind: Kind, queue: &'static str, large_below: u64| {
        host(move |s, second| {
            tunnel(s).kind = kind.clone();
            tunnel(s).qdiscs[0].kind = queue.into();
            let packets = |large| Packets {
                packets: second * 100,
                large: second * large,
                segments: second * 4000,
                bytes: second * 100 * 60_000,
            };
            let interface = Interface {
                device: (NETNS, TUNNEL),
                tunnel: true,
                entered: packets(90),
                left: packets(large_below),
                ..Interface::default()
            };
            s.encapsulation = Some(Encapsulation { interfaces: vec![interface], ..Encapsulation::default() });
        })
    };
    let v = verdict(&sampled(Kind::Vxlan, "fq_codel", 0));
    assert_eq!(v.limit, Limit::Offload, "{v:#?}");
    assert_eq!(v.signs[0].severity, Severity::Info);
    assert!(v.signs[0].advice[0].contains("ethtool -K eth0 tx-udp_tnl-segmentation on"), "{v:#?}");
    assert_eq!(verdict(&sampled(Kind::Vxlan, "fq_codel", 90)).limit, Limit::None);
    let with = |on: bool, fixed: bool| {
        let mut models = sampled(Kind::Vxlan, "fq_codel", 0);
        for model in &mut models {
            let tunnel = &mut model.tunnels.as_mut().unwrap().list[0];
            let name = "tx-udp_tnl-csum-segmentation".into();
            tunnel.underlays[0].now.features = Some(vec![Feature { name, on, fixed }]);
        }
        verdict(&models).signs.remove(0)
    };
    let off = with(false, false);
    assert!(off.verdict.ends_with(": tx-udp_tnl-csum-segmentation of eth0 is off"), "{off:#?}");
    assert_eq!(off.advice, ["`ethtool -K eth0 tx-udp_tnl-csum-segmentation on`."]);
    assert!(with(false, true).advice[0].starts_with("eth0 cannot do it."));
    let on = with(true, false);
    assert!(on.verdict.ends_with("the interface below") && on.advice[0].contains("gso_max_segs"), "{on:#?}");
    assert_eq!(verdict(&sampled(Kind::Vxlan, "tbf", 0)).limit, Limit::None, "tbf cuts what is larger than its burst");
    let wireguard = verdict(&sampled(Kind::Wireguard, "fq_codel", 0));
    assert!(wireguard.signs.iter().all(|s| s.limit != Limit::Offload), "it cannot be otherwise");
}

#[test]
fn without_data_nothing_is_said() {
    let blind = models(&[Snapshot { network: None, ..vxlan(1) }, Snapshot { network: None, ..vxlan(2) }]);
    assert!(matches!(rule(&blind, "tunnel_mtu"), Outcome::NoData { .. }));
    let none = host(|s, _| namespace(s).tunnels = Some(Vec::new()));
    assert_eq!(rule(&none, "tunnel_one_core"), Outcome::Quiet);
    let idle = host(|s, _| {
        *interface(s, TUNNEL) = interface(&mut vxlan(1), TUNNEL).clone();
    });
    assert_eq!((verdict(&idle).limit, verdict(&idle).netns), (Limit::Idle, NETNS));
}

#[test]
fn small_packets_are_a_matter_of_offloads_where_they_keep_a_processor_busy() {
    let with = |gro: bool, softirq: f64, large: u64| {
        verdict(&host(move |s, second| {
            s.cpus = cpus(second, softirq, 5);
            socket(s).tx_ifindex = Some(TUNNEL);
            interface(s, TUNNEL).features = Some(vec![Feature { name: "rx-gro".into(), on: gro, fixed: false }]);
            let received = Packets {
                packets: second * 100,
                large: second * large,
                segments: second * 100,
                bytes: second * 140_000,
            };
            let interface = Interface { device: (NETNS, TUNNEL), tunnel: true, received, ..Interface::default() };
            s.encapsulation = Some(Encapsulation { interfaces: vec![interface], ..Encapsulation::default() });
        }))
    };
    let v = with(false, 0.7, 0);
    let sign = v.signs.iter().find(|s| s.limit == Limit::Offload).unwrap_or_else(|| panic!("{v:#?}"));
    assert!(sign.verdict.ends_with("a processor is busy: rx-gro of vxlan7 is off"), "{sign:#?}");
    assert_eq!(sign.advice, ["`ethtool -K vxlan7 rx-gro on`."]);
    for (gro, softirq, large) in [(true, 0.7, 0), (false, 0.3, 0), (false, 0.7, 90)] {
        let v = with(gro, softirq, large);
        assert!(v.signs.iter().all(|s| s.limit != Limit::Offload), "{gro} {softirq} {large}: {v:#?}");
    }
}
