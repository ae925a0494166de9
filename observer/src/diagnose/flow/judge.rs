//! The procedure: from the numbers of one connection to its verdict.

use super::{Ceiling, Limit, Observed, Shares, Thresholds, Verdict};
use crate::{diagnose::Evidence, snapshot::tcp::TcpInfo, units};

/// The numbers that the procedure compares, each `None` where the kernel does not tell.
struct Numbers<'a> {
    info: &'a TcpInfo,
    seconds: f64,
    /// Bytes a second acknowledged.
    rate: Option<f64>,
    shares: Option<Shares>,
    srtt: Option<f64>,
    /// Share of the bytes that were sent again.
    again: Option<f64>,
    /// Duplicates reported for each segment sent again.
    spurious: Option<f64>,
    /// Share of the readings in which the congestion window was used up.
    cwnd_limited: Option<f64>,
    /// Share of the readings in which the last delivery rate was limited by the application.
    app_limited: Option<f64>,
    /// Largest share of the peer's window that was in flight at a reading.
    window_used: Option<f64>,
    /// Round trip in terms of the smallest one.
    queueing: Option<f64>,
}

pub(super) fn judge(o: &Observed<'_>, t: &Thresholds) -> Verdict {
    let n = Numbers::new(o);
    let limit = limit(o, &n, t);
    Verdict {
        limit,
        seconds: o.seconds,
        shares: n.shares,
        ceiling: ceiling(limit, &n),
        evidence: evidence(limit, o, &n),
        advice: advice(limit),
    }
}

fn limit(o: &Observed<'_>, n: &Numbers<'_>, t: &Thresholds) -> Limit {
    let g = &o.grown;
    let round_trips = n.srtt.map_or(0.0, |srtt| srtt * t.least_round_trips);
    if o.seconds < t.least_seconds.max(round_trips) {
        return Limit::Unknown;
    }
    let acked = g.bytes_acked.unwrap_or(0);
    if acked == 0
        && n.info.backoff.is_some_and(|backoff| backoff >= t.dead_backoff)
        && n.info.unacked_bytes.is_some_and(|n| n > 0)
    {
        return Limit::BlackHole;
    }
    let received = g.bytes_received.unwrap_or(0);
    if acked == 0 && received == 0 && n.info.unacked_bytes.unwrap_or(0) == 0 {
        return Limit::Idle;
    }
    if received > acked.saturating_mul(4) {
        return Limit::Sender;
    }
    let Some(shares) = n.shares else { return Limit::Unknown };
    let of_busy = |share: f64| if shares.idle < 1.0 { share / (1.0 - shares.idle) } else { 0.0 };
    let nothing_waits = n.info.app_limited == Some(true) || n.info.notsent_bytes == Some(0);
    if shares.idle > t.idle_share && nothing_waits {
        return Limit::Application;
    }
    let (buffer, window) = (of_busy(shares.send_buffer), of_busy(shares.receive_window));
    let window_full = n.window_used.is_some_and(|used| used >= t.window_full);
    let by_window = window > t.receive_window_share && (window_full || window > 0.5);
    if buffer > t.send_buffer_share && buffer >= window {
        return Limit::SendBuffer;
    }
    if by_window {
        return Limit::ReceiveWindow;
    }
    if buffer > t.send_buffer_share {
        return Limit::SendBuffer;
    }
    // Data is always under way where little is written often and the path is long: never idle, and never full.
    if n.app_limited.is_some_and(|share| share > t.app_limited_samples) {
        return Limit::Application;
    }
    match paced(o, n, t) {
        Some(Pacer::Given) => return Limit::Pacing,
        // It paces at what it holds for the path's bandwidth, and takes no loss for a sign.
        Some(Pacer::Bbr) => return Limit::Path,
        None => {}
    }
    if n.again.is_some_and(|again| again > t.loss_share) {
        let spurious = n.spurious.is_some_and(|share| share > t.spurious_share);
        return if spurious { Limit::Reordering } else { Limit::Loss };
    }
    let by_cwnd = n.cwnd_limited.is_some_and(|share| share > t.cwnd_limited_samples);
    if n.queueing.is_some_and(|q| q >= t.queueing) {
        return Limit::Path;
    }
    if by_cwnd {
        return Limit::CongestionWindow;
    }
    let in_flight = n.info.packets_out.unwrap_or(0) + n.info.retrans_out.unwrap_or(0);
    let gone = n.info.sacked_out.unwrap_or(0) + n.info.lost_out.unwrap_or(0);
    let room = n.info.cwnd.is_some_and(|cwnd| in_flight.saturating_sub(gone) < cwnd);
    if room && n.info.notsent_bytes.is_some_and(|n| n > 0) {
        return Limit::LocalStack;
    }
    if shares.idle > t.idle_share { Limit::Application } else { Limit::Unknown }
}

/// Who says how fast a sender may pace.
enum Pacer {
    /// The application, or who runs it: `SO_MAX_PACING_RATE`.
    Given,
    /// The congestion control.
    Bbr,
}

/// Who keeps the sender to the rate that it reaches.
fn paced(o: &Observed<'_>, n: &Numbers<'_>, t: &Thresholds) -> Option<Pacer> {
    let (rate, pacing) = n.rate.zip(n.info.pacing_rate)?;
    if rate < t.pacing_reached * pacing as f64 {
        return None;
    }
    let given = n.info.max_pacing_rate.is_some_and(|max| max <= pacing);
    let bbr = o.connection.now.congestion.as_ref().is_some_and(|name| name.as_str().starts_with("bbr"));
    if given { Some(Pacer::Given) } else { bbr.then_some(Pacer::Bbr) }
}

impl<'a> Numbers<'a> {
    fn new(o: &Observed<'a>) -> Self {
        let (g, info) = (&o.grown, &o.connection.now.info);
        let ratio = |part: Option<u64>, whole: Option<u64>| {
            part.zip(whole).filter(|(_, whole)| *whole > 0).map(|(part, whole)| part as f64 / whole as f64)
        };
        let samples = |test: fn(&TcpInfo) -> Option<bool>| {
            let known: Vec<bool> = o.samples.iter().filter_map(|i| test(i)).collect();
            (!known.is_empty()).then(|| known.iter().filter(|yes| **yes).count() as f64 / known.len() as f64)
        };
        let used = |i: &&TcpInfo| {
            let window = f64::from(i.snd_wnd?);
            // A window smaller than a segment is as good as none.
            if i.mss.is_some_and(|mss| window < f64::from(mss)) {
                Some(1.0)
            } else {
                Some(i.unacked_bytes? as f64 / window)
            }
        };
        Self {
            info,
            seconds: o.seconds,
            rate: g.bytes_acked.filter(|_| o.seconds > 0.0).map(|n| n as f64 / o.seconds),
            shares: shares(o),
            srtt: info.srtt_ns.filter(|ns| *ns > 0).map(|ns| ns as f64 / 1e9),
            again: ratio(g.bytes_retrans, g.bytes_sent),
            spurious: ratio(g.dsack_dups, g.retrans_segs),
            cwnd_limited: samples(|i| i.cwnd_limited),
            app_limited: samples(|i| i.app_limited),
            window_used: o.samples.iter().filter_map(used).reduce(f64::max),
            queueing: ratio(info.srtt_ns, info.min_rtt_ns),
        }
    }
}

fn shares(o: &Observed<'_>) -> Option<Shares> {
    let share = |ns: u64| (ns as f64 / 1e9 / o.seconds).clamp(0.0, 1.0);
    let (busy, window, buffer) = (o.grown.busy_ns?, o.grown.rwnd_limited_ns?, o.grown.sndbuf_limited_ns?);
    if o.seconds <= 0.0 {
        return None;
    }
    let (receive_window, send_buffer) = (share(window), share(buffer));
    // The chronographs tick, the interval does not: the parts may be a tick longer than the whole.
    let busy = share(busy).max((receive_window + send_buffer).min(1.0));
    Some(Shares {
        idle: 1.0 - busy,
        network: (busy - receive_window - send_buffer).max(0.0),
        receive_window,
        send_buffer,
    })
}

fn ceiling(limit: Limit, n: &Numbers<'_>) -> Option<Ceiling> {
    let rtt = || Some((n.srtt?, format!("rtt {}", units::seconds(n.srtt?))));
    let over_rtt = |bytes: f64, what: String, times: f64| {
        let (srtt, words) = rtt()?;
        Some((
            bytes / (times * srtt),
            if times > 1.0 { format!("{what} / ({times} x {words})") } else { format!("{what} / {words}") },
        ))
    };
    let segments = || Some((f64::from(n.info.cwnd?) * f64::from(n.info.mss?), n.info.cwnd?, n.info.mss?));
    let (bytes_per_second, how) = match limit {
        Limit::SendBuffer => {
            let buffer = n.info.sndbuf? as f64;
            over_rtt(buffer, format!("buffer {}", units::bytes(buffer)), 2.0)?
        }
        Limit::ReceiveWindow => {
            let window = f64::from(n.info.snd_wnd?);
            over_rtt(window, format!("window {}", units::bytes(window)), 1.0)?
        }
        Limit::CongestionWindow => {
            let (bytes, cwnd, mss) = segments()?;
            over_rtt(bytes, format!("cwnd {cwnd} x {mss} B"), 1.0)?
        }
        Limit::Pacing => (n.info.pacing_rate? as f64, "pacing rate".to_owned()),
        Limit::Path => (n.info.delivery_rate? as f64, "delivery rate".to_owned()),
        // Mathis and others: the macroscopic behaviour of the TCP congestion avoidance algorithm.
        Limit::Loss => {
            let (srtt, words) = rtt()?;
            let (mss, p) = (f64::from(n.info.mss?), n.again.filter(|p| *p > 0.0)?);
            (mss / srtt * 1.22 / p.sqrt(), format!("mss {mss} B / {words} x 1.22 / sqrt({})", units::percent(p)))
        }
        _ => return None,
    };
    let formula = format!("{how} = {}", units::bits_per_second(bytes_per_second));
    Some(Ceiling { bytes_per_second, formula })
}

fn evidence(limit: Limit, o: &Observed<'_>, n: &Numbers<'_>) -> Vec<Evidence> {
    let (info, over) = (n.info, units::seconds(n.seconds));
    let percent = |share: Option<f64>| units::or_unknown(share, units::percent);
    let bytes = |n: Option<u64>| units::or_unknown(n.map(|n| n as f64), units::bytes);
    let mut all = vec![Evidence::new(
        format!("acknowledged, {over}"),
        units::or_unknown(n.rate, units::bits_per_second),
        "tcp_sock bytes_acked",
    )];
    if let Some(s) = n.shares {
        let parts = [
            (s.idle, "nothing to send"),
            (s.network, "network"),
            (s.receive_window, "peer's window"),
            (s.send_buffer, "send buffer"),
        ];
        let text: Vec<String> =
            parts.iter().map(|(share, what)| format!("{what} {}", units::percent(*share))).collect();
        all.push(Evidence::new("where the time went", text.join(", "), "tcp_sock chrono_stat"));
    }
    match limit {
        Limit::Unknown => all.push(Evidence::new("seen for", over, "snapshots")),
        Limit::Application => {
            all.push(Evidence::new("written and not sent", bytes(info.notsent_bytes), "tcp_sock write_seq - snd_nxt"));
            let text = format!("{} of {} readings", percent(n.app_limited), o.samples.len());
            all.push(Evidence::new("rate limited by the application", text, "tcp_sock rate_app_limited"));
        }
        Limit::SendBuffer => all.push(Evidence::new("send buffer", bytes(info.sndbuf), "sock sk_sndbuf")),
        Limit::ReceiveWindow => {
            let used = format!("{} of {}", percent(n.window_used), bytes(info.snd_wnd.map(u64::from)));
            all.push(Evidence::new("peer's window in flight, at most", used, "tcp_sock snd_nxt - snd_una, snd_wnd"));
        }
        Limit::Loss | Limit::Reordering => {
            all.push(Evidence::new("bytes sent again", percent(n.again), "tcp_sock bytes_retrans / bytes_sent"));
            all.push(Evidence::new("of these in vain", percent(n.spurious), "tcp_sock dsack_dups / total_retrans"));
        }
        Limit::Path | Limit::CongestionWindow => {
            let text = format!("{} of {} readings", percent(n.cwnd_limited), o.samples.len());
            all.push(Evidence::new("congestion window used up", text, "tcp_sock is_cwnd_limited"));
            let times = units::or_unknown(n.queueing, |q| format!("{q:.1} x the smallest"));
            all.push(Evidence::new("round trip", times, "tcp_sock srtt_us, rtt_min"));
        }
        Limit::Pacing => {
            let rate = units::or_unknown(info.pacing_rate.map(|r| r as f64), units::bits_per_second);
            all.push(Evidence::new("pacing rate", rate, "sock sk_pacing_rate"));
        }
        Limit::BlackHole => {
            all.push(Evidence::new(
                "sent and not acknowledged",
                bytes(info.unacked_bytes),
                "tcp_sock snd_nxt - snd_una",
            ));
            all.push(Evidence::new(
                "time-outs in a row",
                info.backoff.map_or_else(|| units::UNKNOWN.to_owned(), |n| n.to_string()),
                "inet_connection_sock icsk_backoff",
            ));
        }
        Limit::LocalStack => {
            all.push(Evidence::new("written and not sent", bytes(info.notsent_bytes), "tcp_sock write_seq - snd_nxt"));
        }
        Limit::Idle | Limit::Sender => {}
    }
    all
}

fn advice(limit: Limit) -> Option<&'static str> {
    Some(match limit {
        Limit::Unknown | Limit::Idle => return None,
        Limit::Sender => "Look at it where the data is sent from: only the sender knows its limit.",
        Limit::Application => "The network could take more: look at what the sending process waits for.",
        Limit::SendBuffer => {
            "Raise the third number of net.ipv4.tcp_wmem; or, if the process sets SO_SNDBUF, which turns the kernel's own \
             sizing off, let it not do so."
        }
        Limit::ReceiveWindow => {
            "At the receiver: is its process slow to read? If not, raise the third number of net.ipv4.tcp_rmem, and let it not \
             set SO_RCVBUF."
        }
        Limit::Pacing => "The rate is what SO_MAX_PACING_RATE or the congestion control says: raise it there.",
        Limit::Reordering => {
            "Segments overtake each other: look for packets spread over several links or queues, and at net.ipv4.tcp_reordering."
        }
        Limit::Loss => {
            "Find where packets are lost: drops of interfaces and queues on both sides, then the path (`mtr`). A congestion \
             control that does not take loss for congestion (bbr) may help on a long path."
        }
        Limit::Path => "The path is full: it takes no more than this, shared with whoever else uses it.",
        Limit::CongestionWindow => {
            "It still grows, or begins anew after each pause: see net.ipv4.tcp_slow_start_after_idle, and whether connections \
             are kept open."
        }
        Limit::LocalStack => {
            "Look at the queue of the interface (`tc -s qdisc`), and at processors that are busy with softirqs."
        }
        Limit::BlackHole => {
            "If small transfers work, packets of full size are lost: try `ping -M do -s 1472`, set the MTU of the tunnel or \
             net.ipv4.tcp_mtu_probing=1."
        }
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
