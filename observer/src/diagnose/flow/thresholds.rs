//! From where on something is a limit. Named, so that a line in a report can be traced to its number.

use crate::diagnose::thresholds::thresholds;

thresholds! {
    /// The thresholds of the procedure. The defaults are calibrated on paths of known limits (`tests/kernel/flows`).
    flow {
        /// Seconds of history that are looked at.
        look_back_seconds: f64 = 10.0, 1.0 to 60.0;
        /// Seconds under which nothing is said.
        least_seconds: f64 = 1.0, 0.0 to 60.0;
        /// Round trips under which nothing is said.
        least_round_trips: f64 = 10.0, 0.0 to 1000.0;
        /// Share of the time without data to send from which the application is the limit.
        idle_share: f64 = 0.3, 0.0 to 1.0;
        /// Share of the readings in which the application had left nothing to send from which it is the limit.
        starved_samples: f64 = 0.5, 0.0 to 1.0;
        /// Share of the busy time from which the send buffer is the limit.
        send_buffer_share: f64 = 0.1, 0.0 to 1.0;
        /// Share of the busy time from which the peer's receive window is the limit.
        receive_window_share: f64 = 0.1, 0.0 to 1.0;
        /// Share of the peer's window in flight that confirms it.
        window_full: f64 = 0.9, 0.0 to 1.0;
        /// Share of the pacing rate that is reached where pacing is the limit: headers and a late timer take the rest.
        pacing_reached: f64 = 0.75, 0.0 to 1.0;
        /// Share of the readings with the congestion window used up from which it is the limit.
        cwnd_limited_samples: f64 = 0.5, 0.0 to 1.0;
        /// Share of the bytes sent again from which the path loses: the line that NDT draws for a path with low loss.
        loss_share: f64 = 0.01, 0.0 to 1.0;
        /// Duplicates reported for each segment sent again from which it was sent again in vain.
        spurious_share: f64 = 0.5, 0.0 to 1.0;
        /// Mean deviation of the round trip in terms of the round trip from which acknowledgements come late and in bursts, if
        /// packets wait.
        rtt_variation: f64 = 0.75, 0.0 to 10.0;
        /// Round trip in terms of the smallest one from which packets wait in a queue.
        queueing: f64 = 2.0, 1.0 to 100.0;
        /// Delivery rate in terms of what is acknowledged under which it is no path's bandwidth.
        path_delivers: f64 = 0.8, 0.0 to 1.0;
        /// Share of the readings with data that waits and room in the congestion window from which packets wait in this host.
        room_samples: f64 = 0.5, 0.0 to 1.0;
        /// Time-outs in a row from which a connection without progress is dead.
        dead_backoff: u32 = 2, 1 to 15;
        /// Bytes a second from which the limit of a connection is a finding: a slow one has nobody who waits for it.
        finding_least_rate: f64 = 125_000.0, 0.0 to 1e12;
        /// Bytes written and not sent from which the limit of a slower connection is a finding.
        finding_waiting: f64 = 65_536.0, 0.0 to 1e12;
        /// Bytes a second from which the limit of a connection is no finding any more: every connection has one.
        finding_most_rate: f64 = 250_000_000.0, 0.0 to 1e12;
    }
}
