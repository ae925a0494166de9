//! From where on something limits a tunnel. Named, so that a line in a report can be traced to its number.

use crate::diagnose::thresholds::thresholds;

thresholds! {
    /// The thresholds of the checks. The defaults are calibrated on tunnels of known limits (`tests/kernel/tunnels`).
    tunnel {
        /// Seconds of history that are looked at.
        look_back_seconds: f64 = 10.0, 1.0 to 600.0;
        /// Seconds under which nothing is said.
        least_seconds: f64 = 1.0, 0.1 to 600.0;
        /// Bytes a second, both ways, under which a tunnel is idle.
        idle_rate: f64 = 1000.0, 0.0 to 1e12;
        /// Fragments made for each packet that it sends from which its outer packets are too large.
        fragments_share: f64 = 0.01, 0.0 to 1.0;
        /// Packets lost of those sent and received from which something is wrong.
        drops_share: f64 = 0.001, 0.0 to 1.0;
        /// Packets lost under which their share says nothing.
        least_drops: u32 = 10, 1 to 1000000;
        /// Seconds that what waits in a queue would take at the queue's rate from which it stands.
        standing_seconds: f64 = 0.005, 0.0 to 60.0;
        /// Share of the readings in which a queue stands from which it does not empty.
        standing_samples: f64 = 0.5, 0.0 to 1.0;
        /// Share of a processor's time in soft interrupts from which it is busy.
        cpu_busy: f64 = 0.9, 0.0 to 1.0;
        /// Median of the same share of the other processors below which they are not busy.
        other_cpus: f64 = 0.5, 0.0 to 1.0;
        /// Share of a processor's time in soft interrupts from which it matters that it receives alone.
        receive_cpu_busy: f64 = 0.5, 0.0 to 1.0;
        /// Share of all received packets that one processor takes from which it receives alone.
        receive_cpu_share: f64 = 0.9, 0.0 to 1.0;
        /// Packets of a tunnel for each packet that the processors take from which the tunnel is what they work on.
        tunnel_share: f64 = 0.1, 0.0 to 1.0;
        /// Share of the packets that enter a tunnel that are large from which it matters who cuts them.
        large_share: f64 = 0.5, 0.0 to 1.0;
        /// Share of a device's polls that used their whole budget from which its processor is left with packets.
        full_polls: f64 = 0.5, 0.0 to 1.0;
        /// Time-outs in a row from which a connection without progress is stuck.
        dead_backoff: u32 = 2, 1 to 15;
    }
}
