use super::super::{Limit, Verdict, verdicts};
use crate::{
    diagnose::{
        Window,
        testing::{models, snapshot_at},
    },
    snapshot::tcp::{Socket, Sockets, TcpInfo},
};

const SECOND: u64 = 1_000_000_000;

/// A connection that is busy, sends 10 MB a second over 20 ms, and has no limit that shows.
fn busy(second: u64) -> TcpInfo {
    TcpInfo {
        bytes_acked: Some(second * 10_000_000),
        bytes_sent: Some(second * 10_000_000),
        bytes_retrans: Some(0),
        bytes_received: Some(0),
        segs_out: Some(second * 7000),
        retrans_segs: Some(0),
        dsack_dups: Some(0),
        reord_seen: Some(0),
        busy_ns: Some(second * SECOND),
        rwnd_limited_ns: Some(0),
        sndbuf_limited_ns: Some(0),
        srtt_ns: Some(20_000_000),
        min_rtt_ns: Some(19_000_000),
        cwnd: Some(140),
        mss: Some(1448),
        snd_wnd: Some(4 << 20),
        unacked_bytes: Some(200_000),
        packets_out: Some(140),
        sacked_out: Some(0),
        lost_out: Some(0),
        retrans_out: Some(0),
        notsent_bytes: Some(100_000),
        sndbuf: Some(4 << 20),
        backoff: Some(0),
        app_limited: Some(false),
        cwnd_limited: Some(false),
        pacing_rate: Some(20_000_000),
        delivery_rate: Some(10_000_000),
        ..TcpInfo::default()
    }
}

/// Judges a connection over three seconds; `at` makes it what it is at each.
fn judged(at: impl Fn(u64, &mut TcpInfo)) -> Verdict {
    judged_of(4, |_| true, at)
}

/// The same over any number of readings, of which it is in some.
fn judged_of(readings: u64, listed: impl Fn(u64) -> bool, at: impl Fn(u64, &mut TcpInfo)) -> Verdict {
    let snapshots: Vec<_> = (1..=readings)
        .map(|second| {
            let mut snapshot = snapshot_at(second);
            let mut info = busy(second);
            at(second, &mut info);
            let socket = Socket { info, ..Socket::new(1, 2, ([10, 0, 0, 1].into(), 1), ([10, 0, 0, 2].into(), 443)) };
            let list = if listed(second) { vec![socket] } else { Vec::new() };
            snapshot.tcp.sockets = Some(Sockets { list, ..Sockets::default() });
            snapshot
        })
        .collect();
    let models = models(&snapshots);
    verdicts(&Window::new(&models).unwrap()).remove(0)
}

#[test]
fn each_limit_is_found_by_its_own_signs() {
    let limit = |at: fn(u64, &mut TcpInfo)| judged(at).limit;
    assert_eq!(limit(|s, i| i.busy_ns = Some(s * SECOND / 2)), Limit::Application, "whatever waits at a reading");
    let application = |s: u64, i: &mut TcpInfo| {
        i.busy_ns = Some(s * SECOND / 2);
        i.notsent_bytes = Some(0);
    };
    assert_eq!(judged(application).limit, Limit::Application);
    assert_eq!(limit(|s, i| i.sndbuf_limited_ns = Some(s * SECOND / 4)), Limit::SendBuffer);
    assert_eq!(limit(|s, i| i.rwnd_limited_ns = Some(s * SECOND * 3 / 4)), Limit::ReceiveWindow);
    assert_eq!(limit(|s, i| i.bytes_retrans = Some(s * 300_000)), Limit::Loss);
    assert_eq!(limit(|_, i| i.srtt_ns = Some(60_000_000)), Limit::Path);
    let late = |_: u64, i: &mut TcpInfo| (i.srtt_ns, i.mdev_ns) = (Some(60_000_000), Some(50_000_000));
    assert_eq!(judged(late).limit, Limit::LateAcks);
    assert_eq!(limit(|_, i| i.cwnd_limited = Some(true)), Limit::CongestionWindow);
    assert_eq!(limit(|_, i| i.packets_out = Some(20)), Limit::LocalStack);
    let reordered = |s: u64, i: &mut TcpInfo| {
        (i.bytes_retrans, i.retrans_segs, i.dsack_dups) = (Some(s * 300_000), Some(s * 200), Some(s * 190));
    };
    assert_eq!(judged(reordered).limit, Limit::Reordering);
    let paced = |_: u64, i: &mut TcpInfo| (i.pacing_rate, i.max_pacing_rate) = (Some(10_500_000), Some(10_500_000));
    assert_eq!(judged(paced).limit, Limit::Pacing);
    let dead = |_: u64, i: &mut TcpInfo| (i.bytes_acked, i.backoff) = (Some(5), Some(4));
    assert_eq!(judged(dead).limit, Limit::BlackHole);
    let receives = |s: u64, i: &mut TcpInfo| (i.bytes_acked, i.bytes_received) = (Some(s * 300), Some(s * 10_000_000));
    assert_eq!(judged(receives).limit, Limit::Sender);
    let idle = |_: u64, i: &mut TcpInfo| (i.bytes_acked, i.unacked_bytes) = (Some(5), Some(0));
    assert_eq!(judged(idle).limit, Limit::Idle);
}

#[test]
fn what_is_full_because_acknowledgements_are_late_is_no_limit() {
    let judged = |mdev_ns: u64, what: fn(u64, &mut TcpInfo)| {
        let at = |s: u64, i: &mut TcpInfo| {
            (i.srtt_ns, i.mdev_ns) = (Some(60_000_000), Some(mdev_ns));
            what(s, i);
        };
        judged(at).limit
    };
    let buffer: fn(u64, &mut TcpInfo) = |s, i| i.sndbuf_limited_ns = Some(s * SECOND / 4);
    let window: fn(u64, &mut TcpInfo) = |s, i| i.rwnd_limited_ns = Some(s * SECOND * 3 / 4);
    assert_eq!((judged(50_000_000, buffer), judged(50_000_000, window)), (Limit::LateAcks, Limit::LateAcks));
    assert_eq!((judged(8_000_000, buffer), judged(8_000_000, window)), (Limit::SendBuffer, Limit::ReceiveWindow));
    let paused = |s: u64, i: &mut TcpInfo| (i.busy_ns, i.notsent_bytes) = (Some(s * SECOND / 2), Some(0));
    assert_eq!(judged(50_000_000, paused), Limit::Application, "who has nothing to send waits for nobody");
}

#[test]
fn a_buffer_that_is_full_of_what_is_under_way_is_the_limit_although_the_kernel_counts_no_time() {
    let sent = |queued| {
        move |_: u64, i: &mut TcpInfo| {
            (i.notsent_bytes, i.packets_out, i.sndbuf, i.wmem_queued) = (Some(0), Some(28), Some(65_536), Some(queued));
        }
    };
    assert_eq!(judged(sent(65_632)).limit, Limit::SendBuffer);
    assert_eq!(judged(sent(60_000)).limit, Limit::Application, "what was written went in");
    let drained = |s: u64, i: &mut TcpInfo| sent(if s == 2 { 66_000 } else { 45_000 })(s, i);
    assert_eq!(judged(drained).limit, Limit::SendBuffer, "it waits until a third is free");
}

#[test]
fn a_given_rate_is_the_limit_unless_the_congestion_window_is_used_up() {
    let given = |_: u64, i: &mut TcpInfo| i.max_pacing_rate = Some(12_000_000);
    assert_eq!(judged(given).limit, Limit::Pacing, "10 of 12 MB/s");
    let full = |s: u64, i: &mut TcpInfo| {
        given(s, i);
        (i.cwnd_limited, i.srtt_ns) = (Some(true), Some(60_000_000));
    };
    assert_eq!(judged(full).limit, Limit::Path);
}

#[test]
fn packets_that_wait_for_a_processor_are_in_no_queue_of_a_path() {
    let fast = |s: u64, i: &mut TcpInfo| {
        // 6 us without anything to wait for, and 40 times that under load; the delivery rate is of single bursts.
        (i.srtt_ns, i.min_rtt_ns, i.delivery_rate) = (Some(240_000), Some(6000), Some(4_000_000));
        (i.packets_out, i.cwnd_limited) = (Some(20), Some(s.is_multiple_of(4)));
    };
    assert_eq!(judged(fast).limit, Limit::LocalStack);
    let no_room = |s: u64, i: &mut TcpInfo| {
        fast(s, i);
        i.packets_out = Some(140);
    };
    assert_eq!(judged(no_room).limit, Limit::Unknown);
    let queue = |s: u64, i: &mut TcpInfo| {
        no_room(s, i);
        i.delivery_rate = Some(9_000_000);
    };
    assert_eq!(judged(queue).limit, Limit::Path);
}

#[test]
fn a_window_that_is_full_now_and_then_counts_only_when_it_was_seen_full() {
    let a_little = |s: u64, i: &mut TcpInfo| {
        i.rwnd_limited_ns = Some(s * SECOND / 5);
        i.snd_wnd = Some(210_000);
    };
    assert_eq!(judged(a_little).limit, Limit::ReceiveWindow);
    let roomy = |s: u64, i: &mut TcpInfo| i.rwnd_limited_ns = Some(s * SECOND / 5);
    assert_ne!(judged(roomy).limit, Limit::ReceiveWindow);
}

#[test]
fn the_ceiling_is_said_with_its_numbers() {
    let small = |s: u64, i: &mut TcpInfo| {
        i.rwnd_limited_ns = Some(s * SECOND);
        (i.snd_wnd, i.srtt_ns, i.min_rtt_ns) = (Some(64 << 10), Some(80_000_000), Some(80_000_000));
    };
    let ceiling = judged(small).ceiling().unwrap();
    assert_eq!(ceiling.formula, "window 64 KiB / rtt 80 ms = 6.55 Mbit/s");
    assert!((ceiling.bytes_per_second - 819_200.0).abs() < 1.0);
}

#[test]
fn shares_add_up_and_are_always_shown() {
    let mixed = |s: u64, i: &mut TcpInfo| {
        i.busy_ns = Some(s * SECOND * 8 / 10);
        i.rwnd_limited_ns = Some(s * SECOND * 3 / 10);
        i.sndbuf_limited_ns = Some(s * SECOND / 10);
    };
    let shares = judged(mixed).shares().unwrap();
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(near(shares.idle, 0.2) && near(shares.network, 0.4) && near(shares.receive_window, 0.3), "{shares:?}");
    assert!(near(shares.idle + shares.network + shares.receive_window + shares.send_buffer, 1.0));
}

#[test]
fn what_is_not_counted_or_too_short_is_unknown() {
    let verdict = judged(|_, i| i.busy_ns = None);
    assert_eq!((verdict.limit, verdict.shares()), (Limit::Unknown, None));
    let long = judged(|_, i| (i.srtt_ns, i.min_rtt_ns) = (Some(SECOND), Some(SECOND)));
    assert_eq!(long.limit, Limit::Unknown, "three seconds are three round trips");
}

#[test]
fn each_limit_has_one_label_everywhere() {
    for limit in Limit::ALL {
        assert_eq!(serde_json::to_value(limit).unwrap(), limit.label());
    }
}

#[test]
fn a_connection_whose_namespace_has_its_turn_at_every_other_reading_is_judged() {
    let small = |s: u64, i: &mut TcpInfo| i.rwnd_limited_ns = Some(s * SECOND * 3 / 4);
    for listed in [|_| true, |s| s % 2 == 1, |s| s % 3 == 1] {
        let verdict = judged_of(7, listed, small);
        assert_eq!(verdict.limit, Limit::ReceiveWindow);
        let (rate, shares) = (verdict.rate().unwrap(), verdict.shares().unwrap());
        assert!((rate - 10e6).abs() < 1.0 && (shares.receive_window - 0.75).abs() < 1e-6, "{rate} {shares:?}");
    }
    assert_eq!(judged_of(7, |s| s == 7, small).limit, Limit::Unknown, "one reading says nothing");
}
