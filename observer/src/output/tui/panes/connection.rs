//! All that is known of one open TCP connection.

use crate::{
    diagnose::flow::{Limit, Verdict},
    model::tcp::Connection,
    output::tui::{
        context::Context,
        strip::{About, Strip},
        table::{Cell, Origin},
        theme::Tone,
    },
    snapshot::tcp::{State, ends},
    units,
};

const FROM: Origin = ("tcp.sockets", &[]);

/// A number of `tcp_sock`.
const fn about(name: &'static str, what: &'static str, field: &'static str) -> About {
    About::new(name, what, field, FROM)
}

/// The state in the words of RFC 9293.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Established => "ESTABLISHED",
        State::SynSent => "SYN-SENT",
        State::SynRecv => "SYN-RECV",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::TimeWait => "TIME-WAIT",
        State::Close => "CLOSE",
        State::CloseWait => "CLOSE-WAIT",
        State::LastAck => "LAST-ACK",
        State::Listen => "LISTEN",
        State::Closing => "CLOSING",
        State::NewSynRecv => "NEW-SYN-RECV",
    }
}

const IDENTITY: [About; 7] = [
    about("connection", "local and remote address and port", "iter/tcp, struct sock_common"),
    about("state", "state of the connection, as in RFC 9293", "iter/tcp sk_state"),
    about("uid", "number of the user that the socket belongs to", "iter/tcp sk_uid"),
    about("inode", "number of the socket, as in /proc/PID/fd", "iter/tcp sk_socket inode"),
    about("netns", "network namespace: its name, or a process in it, and its inode", "iter/tcp net.ns.inum"),
    about("cgroup", "path of the memory cgroup of the socket, else of its process", "iter/tcp sk_memcg"),
    about("container", "container or pod of that cgroup, by name", "path of the cgroup and files of the runtime"),
];
const SO_FAR: [About; 7] = [
    about("acknowledged", "bytes acknowledged by the other side since it began", "tcp_sock bytes_acked"),
    about("sent", "bytes sent since it began, those sent again included", "tcp_sock bytes_sent"),
    about("sent again", "bytes sent again since it began", "tcp_sock bytes_retrans"),
    about("received", "bytes received since it began", "tcp_sock bytes_received"),
    about("segments out", "segments sent since it began", "tcp_sock segs_out"),
    about("segments in", "segments received since it began", "tcp_sock segs_in"),
    about("segments again", "segments sent again since it began", "tcp_sock total_retrans"),
];
const PATH: [About; 7] = [
    about("rtt", "time, smoothed round trip", "tcp_sock srtt_us"),
    about("least rtt", "time, least round trip of late", "tcp_sock rtt_min"),
    about("cwnd", "segments that may be under way", "tcp_sock snd_cwnd"),
    about("ssthresh", "segments from which the window grows slowly", "tcp_sock snd_ssthresh"),
    about("mss", "bytes of the largest segment", "tcp_sock mss_cache"),
    about("in flight", "segments sent and not acknowledged", "tcp_sock packets_out"),
    about("time-outs in a row", "number of time-outs without an answer", "inet_connection_sock icsk_backoff"),
];
const WINDOWS: [About; 5] = [
    about("peer's window", "bytes that the other side can take", "tcp_sock snd_wnd"),
    about("our window", "bytes that this side can take", "tcp_sock rcv_wnd"),
    about("not yet sent", "bytes written and not yet sent", "tcp_sock write_seq - snd_nxt"),
    about("pacing", "bits a second that it may send", "sock sk_pacing_rate"),
    about("delivery", "bits a second last delivered", "tcp_sock rate_delivered / rate_interval_us"),
];
const LIMITED: [About; 4] = [
    about("busy", "share of the interval with data to send", "tcp_sock chrono_stat"),
    about("by the peer's window", "share of the interval limited by the receiver", "tcp_sock chrono_stat"),
    about("by the send buffer", "share of the interval limited by the send buffer", "tcp_sock chrono_stat"),
    about(
        "sent again",
        "share of the segments of the interval that were sent again",
        "tcp_sock total_retrans / segs_out",
    ),
];

const VERDICT: [About; 2] = [
    about(
        "limited by",
        "what keeps it from being faster, over the last ten seconds",
        "tcp_sock chrono_stat and others",
    ),
    about("ceiling", "bits a second that this limit allows", "computed from tcp_sock"),
];

/// What limits a connection, in a cell; something to look at where it is a fault of the path or of a setting.
pub(super) fn limit(limit: Limit) -> Cell {
    let tone = match limit {
        Limit::BlackHole => Tone::Bad,
        Limit::SendBuffer | Limit::ReceiveWindow | Limit::Loss | Limit::Reordering | Limit::LateAcks => Tone::Warn,
        Limit::Unknown | Limit::Idle | Limit::Sender => Tone::Dim,
        Limit::Application | Limit::Pacing | Limit::Path | Limit::CongestionWindow | Limit::LocalStack => Tone::Plain,
    };
    Cell::text(limit.words()).tone(tone)
}

/// What limits it, with the ceiling and what lifts it.
fn verdict(verdict: &Verdict) -> Vec<Strip> {
    let [limited_by, ceiling] = &VERDICT;
    let mut first = Strip::sentence().label("limited by ").words(limited_by, verdict.limit.words(), Tone::Plain);
    if let Some(at) = verdict.ceiling() {
        first = first.label(": ").words(ceiling, at.formula, Tone::Plain);
    }
    let advice = verdict.advice().map(|advice| Strip::sentence().label(advice));
    std::iter::once(first).chain(advice).collect()
}

/// All about it, by subject.
pub(super) fn details(ctx: &Context<'_>, c: &Connection, limit: Option<&Verdict>) -> Vec<Strip> {
    let info = &c.now.info;
    let time = |v: Option<u64>| v.map(|ns| ns as f64 / 1e9);
    let [connection, state_of, uid, inode, netns, cgroup, container] = &IDENTITY;
    let mut identity = Strip::sentence()
        .words(connection, ends(&c.now), Tone::Plain)
        .label("  ")
        .words(state_of, state(c.now.state), Tone::Plain)
        .label("  uid ")
        .words(uid, c.now.uid.to_string(), Tone::Plain)
        .label("  inode ")
        .words(inode, c.now.inode.to_string(), Tone::Plain)
        .label("  netns ")
        .words(netns, ctx.model.netns_titles.with_inode(c.now.netns), Tone::Plain);
    if let Some(path) = &c.in_cgroup.path {
        identity = identity.label("  cgroup ").words(cgroup, path.to_string(), Tone::Plain);
    }
    let names = c.in_cgroup.container.iter().flat_map(|c| c.pod.iter().chain(&c.name).chain(&c.id));
    if let Some(name) = names.map(ToString::to_string).next() {
        identity = identity.label("  container ").words(container, name, Tone::Plain);
    }
    let [acked, sent, again, received, out, incoming, segments_again] = &SO_FAR;
    let so_far = Strip::sentence()
        .label("since it began: acknowledged ")
        .bytes(acked, info.bytes_acked)
        .label(", sent ")
        .bytes(sent, info.bytes_sent)
        .label(", sent again ")
        .bytes(again, info.bytes_retrans)
        .label(", received ")
        .bytes(received, info.bytes_received)
        .label(", segments out ")
        .count(out, info.segs_out)
        .label(" in ")
        .count(incoming, info.segs_in)
        .label(" again ")
        .count(segments_again, info.retrans_segs);
    let [rtt, least, cwnd, ssthresh, mss, in_flight, backoff] = &PATH;
    let path = Strip::sentence()
        .label("rtt ")
        .number(rtt, time(info.srtt_ns), units::seconds)
        .label(" (least ")
        .number(least, time(info.min_rtt_ns), units::seconds)
        .label("), cwnd ")
        .count(cwnd, info.cwnd.map(u64::from))
        .label(", ssthresh ")
        .words(ssthresh, info.ssthresh.map_or("none known".to_owned(), |n| units::count(n.into())), Tone::Plain)
        .label(", mss ")
        .bytes(mss, info.mss.map(u64::from))
        .label(", in flight ")
        .count(in_flight, info.packets_out.map(u64::from))
        .label(", time-outs in a row ")
        .count(backoff, info.backoff.map(u64::from));
    let [peer, ours, unsent, pacing, delivery] = &WINDOWS;
    let windows = Strip::sentence()
        .label("windows: peer's ")
        .bytes(peer, info.snd_wnd.map(u64::from))
        .label(", ours ")
        .bytes(ours, info.rcv_wnd.map(u64::from))
        .label(", not yet sent ")
        .bytes(unsent, info.notsent_bytes)
        .label("; pacing ")
        .words(
            pacing,
            info.pacing_rate.map_or("none known".to_owned(), |r| units::bits_per_second(r as f64)),
            Tone::Plain,
        )
        .label(", delivery ")
        .number(delivery, info.delivery_rate.map(|r| r as f64), units::bits_per_second);
    let [busy, rwnd, sndbuf, ratio] = &LIMITED;
    let limited = Strip::sentence()
        .label("of the interval: busy ")
        .number(busy, c.busy_ratio, units::percent)
        .label(", limited by the peer's window ")
        .number(rwnd, c.rwnd_limited_ratio, units::percent)
        .label(", by the send buffer ")
        .number(sndbuf, c.sndbuf_limited_ratio, units::percent)
        .label("; sent again ")
        .number(ratio, c.retrans_ratio, units::percent)
        .label(" of segments");
    let mut all = limit.map(verdict).unwrap_or_default();
    all.extend([identity, so_far, path, windows, limited]);
    all
}
