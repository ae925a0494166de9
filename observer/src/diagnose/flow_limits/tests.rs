use super::*;
use crate::{
    diagnose::{
        self,
        testing::{fired, models, snapshot_at},
    },
    model::Model,
    snapshot::tcp::{Owner, Socket, Sockets, TcpInfo},
};

const SECOND: u64 = 1_000_000_000;

/// Sends all the time, a tenth of a second away, and has no limit that shows.
fn busy(second: u64, rate: u64) -> TcpInfo {
    TcpInfo {
        bytes_acked: Some(second * rate),
        bytes_sent: Some(second * rate),
        bytes_retrans: Some(0),
        bytes_received: Some(0),
        retrans_segs: Some(0),
        dsack_dups: Some(0),
        busy_ns: Some(second * SECOND),
        rwnd_limited_ns: Some(0),
        sndbuf_limited_ns: Some(0),
        srtt_ns: Some(80_000_000),
        min_rtt_ns: Some(79_000_000),
        cwnd: Some(900),
        mss: Some(1448),
        snd_wnd: Some(64 << 10),
        unacked_bytes: Some(64 << 10),
        packets_out: Some(45),
        notsent_bytes: Some(0),
        backoff: Some(0),
        ..TcpInfo::default()
    }
}

/// Makes a connection what it is at a second.
type Change = fn(u64, &mut TcpInfo);

const WINDOW: Change = |second, info| info.rwnd_limited_ns = Some(second * SECOND);
const IDLE: Change = |_, info| info.busy_ns = Some(0);
const LOSS: Change = |second, info| (info.bytes_retrans, info.notsent_bytes) = (Some(second * 100_000), Some(5000));

/// Four seconds of connections: what program holds each, bytes a second, and what is special about it.
fn window(connections: &[(&str, u64, Change)]) -> Vec<Model> {
    let at = |second| {
        let mut snapshot = snapshot_at(second);
        let socket = |(i, (program, rate, change)): (usize, &(&str, u64, Change))| {
            let mut info = busy(second, *rate);
            change(second, &mut info);
            let owner = Some(Owner { pid: 100 + i as u32, comm: (*program).into(), cgroup: None });
            let port = 1000 + i as u16;
            let ends = (([10, 0, 0, 1].into(), port), ([10, 0, 0, 2].into(), 443));
            Socket { info, owner, ..Socket::new(i as u64, 2, ends.0, ends.1) }
        };
        let list = connections.iter().enumerate().map(socket).collect();
        snapshot.tcp.sockets = Some(Sockets { list, ..Sockets::default() });
        snapshot
    };
    models(&(1..=4).map(at).collect::<Vec<_>>())
}

fn said(connections: &[(&str, u64, Change)]) -> Outcome {
    check(&Window::new(&window(connections)).unwrap())
}

#[test]
fn one_connection_is_named_with_its_process_and_its_ceiling() {
    let finding = fired(said(&[("scp", 800_000, WINDOW)]));
    assert_eq!(
        finding.verdict,
        "connection 10.0.0.1:1000 -> 10.0.0.2:443 of scp (pid 100) is limited by the peer's receive window: \
         window 64 KiB / rtt 80 ms = 6.55 Mbit/s"
    );
    assert_eq!((finding.severity, finding.advice.len()), (Severity::Warning, 1));
    assert!(finding.evidence.iter().any(|e| e.what.contains("peer's window in flight")), "{finding:?}");
}

#[test]
fn many_of_a_program_are_one_group_and_others_are_counted() {
    let mut connections = vec![("nginx", 400_000, WINDOW); 37];
    connections[7].1 = 800_000;
    connections.extend([("rsync", 900_000, LOSS), ("curl", 900_000, IDLE)]);
    let finding = fired(said(&connections));
    assert!(finding.verdict.starts_with("37 connections of nginx are limited by the peer's"), "{}", finding.verdict);
    assert!(finding.verdict.contains(" 10.0.0.1:1007 -> "), "{}", finding.verdict);
    assert!(finding.verdict.ends_with("; another one has a limit as well"), "{}", finding.verdict);
    assert!(finding.evidence.iter().any(|e| e.what.starts_with("1 connection of rsync, ")), "{finding:?}");
    assert_eq!(finding.advice.len(), 2);
}

#[test]
fn what_nobody_waits_for_is_no_finding() {
    assert_eq!(said(&[("chat", 50, WINDOW)]), Outcome::Quiet, "little is moved, and little waits");
    assert_eq!(said(&[("web", 900_000, IDLE)]), Outcome::Quiet);
    assert_eq!(said(&[("local", 3_000_000_000, WINDOW)]), Outcome::Quiet);
    let stuck = |second: u64, info: &mut TcpInfo| {
        WINDOW(second, info);
        info.notsent_bytes = Some(1 << 20);
    };
    assert_eq!(fired(said(&[("backup", 50, stuck)])).severity, Severity::Warning, "a megabyte waits");
}

#[test]
fn dead_connections_come_first_however_slow() {
    let dead: Change = |_, info| (info.bytes_acked, info.backoff) = (Some(5), Some(4));
    let finding = fired(said(&[("scp", 800_000, WINDOW), ("psql", 1, dead)]));
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.verdict.contains("of psql (pid 101) is dead"), "{}", finding.verdict);
}

#[test]
fn thresholds_come_from_the_configuration() {
    let mut thresholds = diagnose::Thresholds::default();
    thresholds.flow.finding_least_rate = 1e6;
    let models = window(&[("scp", 800_000, WINDOW)]);
    assert_eq!(check(&Window::by(&models, &thresholds).unwrap()), Outcome::Quiet);
}

#[test]
fn without_sockets_or_their_times_it_says_what_it_lacks() {
    let none = models(&[snapshot_at(1), snapshot_at(2)]);
    assert!(matches!(check(&Window::new(&none).unwrap()), Outcome::NoData { .. }));
    let untimed: Change = |_, info| info.busy_ns = None;
    assert!(matches!(said(&[("scp", 800_000, untimed)]), Outcome::NoData { reason: Some(_), .. }));
    assert_eq!(said(&[]), Outcome::Quiet, "no connection, no limit");
}
