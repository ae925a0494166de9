//! Packets through tunnels: inner flows and outer packets, overhead, latency, sizes.

mod bed;
mod capture;
mod ciphers;
mod cost;
mod overhead;
mod rehash;

use std::{
    collections::HashMap,
    net::{TcpListener, TcpStream},
    time::Duration,
};

use bed::{Bed, CABLE, Outside, PORT, inside};
use capture::Capture;
use observer::{
    snapshot::{
        coverage::{Coverage, ProbeState},
        encapsulation::{Encapsulation, Flow, Header},
        tunnel::Kind,
    },
    source::kernel::{
        Options as KernelOptions,
        encapsulation::{Options, REST_ABOVE, Reader, Watched},
    },
};

use crate::support::{
    needs_root, seen, skipped,
    socket::{cookie, move_bytes},
    wait::wait_for,
};

/// Flows at one time.
const FLOWS: usize = 50;

fn reader() -> Reader {
    resting(REST_ABOVE)
}

/// One whose probes of what comes in rest above so many packets a second.
fn resting(rest_above: f64) -> Reader {
    Reader::new(Options { object: observer::object::OBJECT, btf: KernelOptions::default().btf, rest_above })
}

/// What was counted until now; every probe must be attached.
fn read(reader: &mut Reader, watched: &[Watched]) -> Encapsulation {
    let mut coverage = Coverage::default();
    let read = reader.read(watched, &mut coverage);
    for probe in &coverage.probes {
        assert!(!matches!(probe.state, ProbeState::Absent { .. }), "{probe:?}");
        assert!(probe.fields_missing.is_empty(), "{probe:?}");
    }
    assert!(coverage.sources.iter().all(|s| s.missing.is_none()), "{:?}", coverage.sources);
    read.expect("there is a tunnel")
}

/// Connections through a tunnel, to one listening socket at the far end.
struct Flows(Vec<(TcpStream, TcpStream)>);

impl Flows {
    fn connect(bed: &Bed, to: std::net::IpAddr, flows: usize) -> Self {
        let listener = bed.far.inside(|| TcpListener::bind((to, 0)).expect("a listening socket"));
        let address = listener.local_addr().expect("an address");
        let near = bed.near.inside(|| {
            let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(30)).expect("connect");
            (0..flows).map(connect).collect::<Vec<_>>()
        });
        // The last segment of one handshake may come before that of an earlier one: in an emulated machine it does.
        let accept = |_: &TcpStream| listener.accept().map(|(far, from)| (from, far)).expect("accept");
        let mut far: HashMap<_, _> = near.iter().map(accept).collect();
        let both = |near: TcpStream| {
            let from = near.local_addr().expect("an address");
            (near, far.remove(&from).expect("it was accepted"))
        };
        Self(near.into_iter().map(both).collect())
    }

    /// Sends so many bytes on each.
    fn send(&mut self, bytes: usize) {
        self.0.iter_mut().for_each(|(near, far)| move_bytes(near, far, bytes));
    }

    fn cookies(&self) -> Vec<u64> {
        self.0.iter().map(|(near, _)| cookie(near)).collect()
    }

    fn port(&self, at: usize) -> u16 {
        self.0[at].0.local_addr().expect("an address").port()
    }
}

/// The flow of a socket that was known again last.
fn newest(encapsulation: &Encapsulation, cookie: u64) -> Option<&Flow> {
    let all = encapsulation.flows.iter().filter(|flow| flow.cookie == Some(cookie) && flow.outer.is_some());
    all.max_by_key(|flow| flow.joined_ns)
}

/// Sends until every flow was known again outside, and gives what observer says then.
fn all_joined(reader: &mut Reader, watched: &[Watched], flows: &mut [Flows]) -> Encapsulation {
    let cookies: Vec<u64> = flows.iter().flat_map(Flows::cookies).collect();
    wait_for("every flow to be known again outside", || {
        flows.iter_mut().for_each(|flows| flows.send(1000));
        let encapsulation = read(reader, watched);
        cookies.iter().all(|cookie| newest(&encapsulation, *cookie).is_some()).then_some(encapsulation)
    })
}

#[test]
fn fifty_flows_through_vxlan_have_the_outer_packets_that_a_capture_shows() {
    needs_root!("fifty_flows_through_vxlan_have_the_outer_packets_that_a_capture_shows");
    for outside in [Outside::V4, Outside::V6] {
        let options = ["vxlan", "id", "7", "local", "LOCAL", "remote", "REMOTE", "dstport", "4789"];
        let Some(bed) = Bed::new(Kind::Vxlan, outside, &options) else {
            skipped("fifty_flows_through_vxlan_have_the_outer_packets_that_a_capture_shows", "no VXLAN here");
            return;
        };
        let capture = bed.near.inside(|| Capture::new(CABLE));
        let mut flows = [Flows::connect(&bed, inside(2), FLOWS)];
        let (mut reader, watched) = (reader(), bed.watched(Some(PORT)));
        let encapsulation = all_joined(&mut reader, &watched, &mut flows);
        let mut truth = HashMap::new();
        capture.vxlan(&mut truth);
        let [flows] = flows;
        let mut ports = std::collections::HashSet::new();
        for (at, cookie) in flows.cookies().into_iter().enumerate() {
            let flow = newest(&encapsulation, cookie).expect("it was there");
            let Header { source, destination, protocol, ttl, .. } = flow.outer.expect("it was there");
            let seen = truth[&flows.port(at)];
            assert_eq!(((source, destination), ttl, protocol), (seen.outer, seen.ttl, 17), "flow {at}: {flow:?}");
            assert_eq!((flow.inner.source, flow.inner.protocol), ((inside(1), flows.port(at)), 6));
            assert_eq!(flow.leaves_by, Some(watched[1].device));
            assert_eq!(source.0, outside.near());
            ports.insert(source.1);
        }
        let tunnel = &encapsulation.interfaces.iter().find(|i| i.tunnel).expect("it is watched");
        seen!("{outside:?}: {} ports for {FLOWS} flows; {tunnel:?}", ports.len());
        assert!(ports.len() > FLOWS / 2, "VXLAN takes its port from the hash of the flow");
        assert!(tunnel.latency.count() > 0 && tunnel.latency_ns_sum > 0);
    }
}
