//! The numbers of one connection that the procedure compares.

use super::{Shares, observed::Observed};
use crate::snapshot::tcp::TcpInfo;

/// The numbers that the procedure compares, each `None` where the kernel does not tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Numbers {
    /// As the kernel reports it now.
    pub(super) info: TcpInfo,
    /// Seconds that the counts cover.
    pub(super) seconds: f64,
    /// Bytes a second acknowledged.
    pub(super) rate: Option<f64>,
    /// Where the time went.
    pub(super) shares: Option<Shares>,
    /// Smoothed round-trip time in seconds, at the middle one of the readings.
    pub(super) srtt: Option<f64>,
    /// Share of the bytes that were sent again.
    pub(super) again: Option<f64>,
    /// Duplicates reported for each segment sent again.
    pub(super) spurious: Option<f64>,
    /// Share of the readings in which the congestion window was used up.
    pub(super) cwnd_limited: Option<f64>,
    /// Share of the readings in which the application had left nothing to send.
    pub(super) starved: Option<f64>,
    /// Share of the readings in which there was nothing to send because the send buffer was full of what is under way. The
    /// kernel's own count of that time misses senders whose packets are single segments.
    pub(super) stuffed: Option<f64>,
    /// Share of the readings in which data waited although the congestion window had room.
    pub(super) room: Option<f64>,
    /// Delivery rate at the middle one of the readings, in bytes a second.
    pub(super) delivery: Option<f64>,
    /// That rate in terms of what was acknowledged: much less than 1 if it is of single bursts.
    pub(super) delivers: Option<f64>,
    /// Seconds that bytes are under way: the mean of those in flight at the readings, by the rate (Little's law). The
    /// smoothed round trip is that of most segments; where acknowledgements come in bursts, most come at a burst's end.
    pub(super) under_way: Option<f64>,
    /// Mean deviation of the round trip in seconds, at the middle one of the readings.
    pub(super) mdev: Option<f64>,
    /// The same in terms of the round trip.
    pub(super) rtt_variation: Option<f64>,
    /// Largest share of the peer's window that was in flight at a reading.
    pub(super) window_used: Option<f64>,
    /// The round trip in terms of the smallest one.
    pub(super) queueing: Option<f64>,
    /// Bytes that the send buffer held at the middle one of the readings.
    pub(super) buffered: Option<f64>,
    /// Readings.
    pub(super) readings: usize,
}

impl Numbers {
    pub(super) fn new(o: &Observed<'_>) -> Self {
        let (g, info) = (&o.grown, &o.connection.now.info);
        let per = |part: Option<f64>, whole: Option<f64>| {
            part.zip(whole).filter(|(_, whole)| *whole > 0.0).map(|(part, whole)| part / whole)
        };
        let float = |n: Option<u64>| n.map(|n| n as f64);
        let ratio = |part, whole| per(float(part), float(whole));
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
        let rate = g.bytes_acked.filter(|_| o.seconds > 0.0).map(|n| n as f64 / o.seconds);
        let of = |what: fn(&TcpInfo) -> Option<u64>| middle(o.samples.iter().filter_map(|i| what(i)).collect());
        let (srtt, mdev) = (of(|i| i.srtt_ns), of(|i| i.mdev_ns));
        let in_flight: Vec<u64> = o.samples.iter().filter_map(|i| i.unacked_bytes).collect();
        let mean = (!in_flight.is_empty()).then(|| in_flight.iter().sum::<u64>() as f64 / in_flight.len() as f64);
        let under_way = per(mean, rate);
        let delivery = of(|i| i.delivery_rate);
        Self {
            info: *info,
            seconds: o.seconds,
            rate,
            shares: shares(o),
            srtt: srtt.filter(|ns| *ns > 0.0).map(|ns| ns / 1e9),
            again: ratio(g.bytes_retrans, g.bytes_sent),
            spurious: ratio(g.dsack_dups, g.retrans_segs),
            cwnd_limited: samples(|i| i.cwnd_limited),
            starved: samples(starved),
            stuffed: samples(stuffed).filter(|_| o.samples.iter().any(|i| filled(i).is_some_and(|full| full >= 1.0))),
            room: samples(room),
            delivery,
            delivers: per(delivery, rate),
            under_way,
            mdev: mdev.map(|ns| ns / 1e9),
            rtt_variation: per(mdev, srtt),
            window_used: o.samples.iter().filter_map(used).reduce(f64::max),
            queueing: per(srtt, float(info.min_rtt_ns)),
            buffered: of(|i| Some(i.unacked_bytes? + i.notsent_bytes?)),
            readings: o.samples.len(),
        }
    }
}

/// True if the network would have taken more than there was: the kernel says so of its last sample of the delivery rate, or
/// less than a segment waits and the congestion window has room.
fn starved(info: &TcpInfo) -> Option<bool> {
    if info.app_limited == Some(true) {
        return Some(true);
    }
    Some(info.notsent_bytes? < u64::from(info.mss?) && info.packets_out? < info.cwnd?)
}

/// True if data waits to be sent although the congestion window has room for it.
fn room(info: &TcpInfo) -> Option<bool> {
    let in_flight = info.packets_out? + info.retrans_out.unwrap_or(0);
    let gone = info.sacked_out.unwrap_or(0) + info.lost_out.unwrap_or(0);
    Some(in_flight.saturating_sub(gone) < info.cwnd? && info.notsent_bytes? > 0)
}

/// The middle one of some numbers, the larger of two.
fn middle(mut all: Vec<u64>) -> Option<f64> {
    all.sort_unstable();
    all.get(all.len() / 2).map(|n| *n as f64)
}

/// How full the send buffer is, its own structures included.
fn filled(info: &TcpInfo) -> Option<f64> {
    Some(info.wmem_queued? as f64 / info.sndbuf.filter(|size| *size > 0)? as f64)
}

/// True if nothing waits and the sender could not write either: one that had to wait is woken when two thirds are taken.
fn stuffed(info: &TcpInfo) -> Option<bool> {
    Some(starved(info)? && filled(info)? >= 2.0 / 3.0)
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
