//! The procedure: from the numbers of one connection to its verdict.

use super::{
    Limit, Thresholds, Verdict,
    numbers::Numbers,
    observed::{Observed, key},
};

/// The verdict on one connection.
pub(super) fn judge(o: &Observed<'_>, t: &Thresholds) -> Verdict {
    let numbers = Numbers::new(o);
    Verdict { limit: limit(o, &numbers, t), key: key(o.connection), numbers }
}

fn limit(o: &Observed<'_>, n: &Numbers, t: &Thresholds) -> Limit {
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
    let waits = n.queueing.is_some_and(|q| q >= t.queueing);
    let late = waits && n.rtt_variation.is_some_and(|times| times >= t.rtt_variation);
    // A buffer or a window is full of what is under way, and would not be if acknowledgements came as they should.
    let full = |what| if late { Limit::LateAcks } else { what };
    if n.stuffed.is_some_and(|share| share > t.starved_samples) {
        return full(Limit::SendBuffer);
    }
    let nothing_waits = n.info.app_limited == Some(true) || n.info.notsent_bytes == Some(0);
    if shares.idle > t.idle_share && nothing_waits {
        return Limit::Application;
    }
    let (buffer, window) = (of_busy(shares.send_buffer), of_busy(shares.receive_window));
    let window_full = n.window_used.is_some_and(|used| used >= t.window_full);
    let by_window = window > t.receive_window_share && (window_full || window > 0.5);
    if buffer > t.send_buffer_share && buffer >= window {
        return full(Limit::SendBuffer);
    }
    if by_window {
        return full(Limit::ReceiveWindow);
    }
    if buffer > t.send_buffer_share {
        return full(Limit::SendBuffer);
    }
    // Data is always under way where little is written often and the path is long: never idle, and never full.
    if n.starved.is_some_and(|share| share > t.starved_samples) {
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
    if late {
        return Limit::LateAcks;
    }
    let by_cwnd = n.cwnd_limited.is_some_and(|share| share > t.cwnd_limited_samples);
    // A queue that lets through less than what arrives is none: packets wait for a processor, and the samples of the delivery
    // rate are of single bursts.
    let queue = waits && n.delivers.is_none_or(|times| times >= t.path_delivers);
    if by_cwnd {
        return if queue { Limit::Path } else { Limit::CongestionWindow };
    }
    if n.room.is_some_and(|share| share > t.room_samples) {
        return Limit::LocalStack;
    }
    if queue {
        return Limit::Path;
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
fn paced(o: &Observed<'_>, n: &Numbers, t: &Thresholds) -> Option<Pacer> {
    let rate = n.rate?;
    let reaches = |pacing: Option<u64>| pacing.is_some_and(|pacing| rate >= t.pacing_reached * pacing as f64);
    // At a reading it may pace below: the congestion window's part of it goes up and down.
    let by_cwnd = n.cwnd_limited.is_some_and(|share| share > t.cwnd_limited_samples);
    if reaches(n.info.max_pacing_rate) && !by_cwnd {
        return Some(Pacer::Given);
    }
    let bbr = o.connection.now.congestion.as_ref().is_some_and(|name| name.as_str().starts_with("bbr"));
    (bbr && reaches(n.info.pacing_rate)).then_some(Pacer::Bbr)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
