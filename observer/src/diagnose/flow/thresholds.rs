//! From where on something is a limit. Named, so that a line in a report can be traced to its number.

/// The thresholds of the procedure. The defaults are calibrated on paths of known limits (`tests/kernel/flows`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Seconds of history that are looked at.
    pub look_back_seconds: f64,
    /// Seconds under which nothing is said.
    pub least_seconds: f64,
    /// Round trips under which nothing is said.
    pub least_round_trips: f64,
    /// Share of the time without data to send from which the application is the limit.
    pub idle_share: f64,
    /// Share of the readings in which the application had left nothing to send from which it is the limit.
    pub starved_samples: f64,
    /// Share of the busy time from which the send buffer is the limit.
    pub send_buffer_share: f64,
    /// Share of the busy time from which the peer's receive window is the limit.
    pub receive_window_share: f64,
    /// Share of the peer's window in flight that confirms it.
    pub window_full: f64,
    /// Share of the pacing rate that is reached where pacing is the limit.
    pub pacing_reached: f64,
    /// Share of the readings with the congestion window used up from which it is the limit.
    pub cwnd_limited_samples: f64,
    /// Share of the bytes sent again from which the path loses: the line that NDT draws for a path with low loss.
    pub loss_share: f64,
    /// Duplicates reported for each segment sent again from which it was sent again in vain.
    pub spurious_share: f64,
    /// Round trip in terms of the smallest one from which packets wait in a queue.
    pub queueing: f64,
    /// Time-outs in a row from which a connection without progress is dead.
    pub dead_backoff: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            look_back_seconds: 10.0,
            least_seconds: 1.0,
            least_round_trips: 10.0,
            idle_share: 0.3,
            starved_samples: 0.5,
            send_buffer_share: 0.1,
            receive_window_share: 0.1,
            window_full: 0.9,
            pacing_reached: 0.9,
            cwnd_limited_samples: 0.5,
            loss_share: 0.01,
            spurious_share: 0.5,
            queueing: 2.0,
            dead_backoff: 2,
        }
    }
}
