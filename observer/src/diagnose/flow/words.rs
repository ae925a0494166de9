//! A verdict in words: the ceiling with its formula, the evidence, the advice.

use super::{Ceiling, Limit, numbers::Numbers};
use crate::{diagnose::Evidence, units};

/// The rate that a limit allows.
pub(super) fn ceiling(limit: Limit, n: &Numbers) -> Option<Ceiling> {
    let rtt = || Some((n.srtt?, format!("rtt {}", units::seconds(n.srtt?))));
    let over_rtt = |bytes: f64, what: String| {
        let (srtt, words) = rtt()?;
        Some((bytes / srtt, format!("{what} / {words}")))
    };
    let segments = || Some((f64::from(n.info.cwnd?) * f64::from(n.info.mss?), n.info.cwnd?, n.info.mss?));
    let (bytes_per_second, how) = match limit {
        // What the buffer held, not its size: of that the kernel spends a part on its own structures.
        Limit::SendBuffer => {
            let held = n.buffered?;
            over_rtt(held, format!("send buffer with {}", units::bytes(held)))?
        }
        Limit::ReceiveWindow => {
            let window = f64::from(n.info.snd_wnd?);
            over_rtt(window, format!("window {}", units::bytes(window)))?
        }
        Limit::CongestionWindow => {
            let (bytes, cwnd, mss) = segments()?;
            over_rtt(bytes, format!("cwnd {cwnd} x {mss} B"))?
        }
        Limit::Pacing => (n.info.max_pacing_rate? as f64, "SO_MAX_PACING_RATE".to_owned()),
        Limit::Path => (n.delivery?, "delivery rate".to_owned()),
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

pub(super) fn evidence(limit: Limit, n: &Numbers) -> Vec<Evidence> {
    let (info, over) = (&n.info, units::seconds(n.seconds));
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
            let text = format!("{} of {} readings", percent(n.starved), n.readings);
            all.push(Evidence::new(
                "nothing to send, and room in the congestion window",
                text,
                "tcp_sock rate_app_limited, snd_cwnd",
            ));
        }
        Limit::SendBuffer => {
            all.push(Evidence::new("send buffer", bytes(info.sndbuf), "sock sk_sndbuf"));
            let text = format!("{} of {} readings", percent(n.stuffed), n.readings);
            all.push(Evidence::new("full of what is under way", text, "sock sk_wmem_queued, tcp_sock write_seq"));
        }
        Limit::ReceiveWindow => {
            let used = format!("{} of {}", percent(n.window_used), bytes(info.snd_wnd.map(u64::from)));
            all.push(Evidence::new("peer's window in flight, at most", used, "tcp_sock snd_nxt - snd_una, snd_wnd"));
        }
        Limit::Loss | Limit::Reordering => {
            all.push(Evidence::new("bytes sent again", percent(n.again), "tcp_sock bytes_retrans / bytes_sent"));
            all.push(Evidence::new("of these in vain", percent(n.spurious), "tcp_sock dsack_dups / total_retrans"));
        }
        Limit::LateAcks => {
            let time = |seconds: Option<f64>| units::or_unknown(seconds, units::seconds);
            all.push(Evidence::new(
                "under way until acknowledged",
                format!("{}, the smoothed round trip {}", time(n.under_way), time(n.srtt)),
                "tcp_sock snd_nxt - snd_una, srtt_us",
            ));
            all.push(Evidence::new("round trip varies by", time(n.mdev), "tcp_sock mdev_us"));
        }
        Limit::Path | Limit::CongestionWindow => {
            let text = format!("{} of {} readings", percent(n.cwnd_limited), n.readings);
            all.push(Evidence::new("congestion window used up", text, "tcp_sock is_cwnd_limited"));
            let times = units::or_unknown(n.queueing, |q| format!("{q:.1} x the smallest"));
            all.push(Evidence::new("round trip", times, "tcp_sock srtt_us, rtt_min"));
        }
        Limit::Pacing => {
            let rate = units::or_unknown(info.max_pacing_rate.map(|r| r as f64), units::bits_per_second);
            all.push(Evidence::new("rate that it was given", rate, "sock sk_max_pacing_rate"));
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
            let text = format!("{} of {} readings", percent(n.room), n.readings);
            let source = "tcp_sock write_seq - snd_nxt, packets_out, snd_cwnd";
            all.push(Evidence::new("data waits, and room in the congestion window", text, source));
        }
        Limit::Idle | Limit::Sender => {}
    }
    all
}

pub(super) fn advice(limit: Limit) -> Option<&'static str> {
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
        Limit::LateAcks => {
            "At the receiver: does its process wait for a processor? One that is taken off it while it reads lets segments \
             wait, and they are acknowledged together. Else see whether acknowledgements are delayed there (`nstat -az \
             TcpExtDelayedACKs`), or gathered by a link on the way back."
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
