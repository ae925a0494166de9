//! What one TCP connection did in an interval.

use serde::Serialize;

use crate::snapshot::tcp::TcpInfo;

/// Growth of a connection's counters. `None` where this kernel does not count it, or where the counter shrank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Grown {
    /// Bytes that the peer acknowledged.
    pub bytes_acked: Option<u64>,
    /// Bytes sent, those sent again included.
    pub bytes_sent: Option<u64>,
    /// Bytes sent again.
    pub bytes_retrans: Option<u64>,
    /// Bytes received.
    pub bytes_received: Option<u64>,
    /// Segments sent, those sent again included.
    pub segs_out: Option<u64>,
    /// Segments sent again.
    pub retrans_segs: Option<u64>,
    /// Duplicates that the peer reported (DSACK).
    pub dsack_dups: Option<u64>,
    /// Times that reordering was seen.
    pub reord_seen: Option<u64>,
    /// Nanoseconds with data to send; contains the two below.
    pub busy_ns: Option<u64>,
    /// Nanoseconds in which the peer's receive window was the limit.
    pub rwnd_limited_ns: Option<u64>,
    /// Nanoseconds in which the send buffer was the limit.
    pub sndbuf_limited_ns: Option<u64>,
}

/// Does the same to every field.
macro_rules! each_field {
    ($do:expr) => {
        Grown {
            bytes_acked: $do(|g| g.bytes_acked, |i| i.bytes_acked),
            bytes_sent: $do(|g| g.bytes_sent, |i| i.bytes_sent),
            bytes_retrans: $do(|g| g.bytes_retrans, |i| i.bytes_retrans),
            bytes_received: $do(|g| g.bytes_received, |i| i.bytes_received),
            segs_out: $do(|g| g.segs_out, |i| i.segs_out),
            retrans_segs: $do(|g| g.retrans_segs, |i| i.retrans_segs),
            dsack_dups: $do(|g| g.dsack_dups, |i| i.dsack_dups),
            reord_seen: $do(|g| g.reord_seen, |i| i.reord_seen),
            busy_ns: $do(|g| g.busy_ns, |i| i.busy_ns),
            rwnd_limited_ns: $do(|g| g.rwnd_limited_ns, |i| i.rwnd_limited_ns),
            sndbuf_limited_ns: $do(|g| g.sndbuf_limited_ns, |i| i.sndbuf_limited_ns),
        }
    };
}

type OfGrown = fn(&Grown) -> Option<u64>;
type OfInfo = fn(&TcpInfo) -> Option<u64>;

impl Grown {
    /// What was counted between two readings of one connection.
    pub fn between(before: &TcpInfo, now: &TcpInfo) -> Self {
        each_field!(|_: OfGrown, field: OfInfo| field(now)?.checked_sub(field(before)?))
    }

    /// What two intervals count together; a field that either lacks is not known.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        each_field!(|field: OfGrown, _: OfInfo| Some(field(self)? + field(other)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shrank_or_is_not_counted_is_unknown_and_stays_so() {
        let at = |acked, sent| TcpInfo { bytes_acked: Some(acked), bytes_sent: sent, ..TcpInfo::default() };
        let first = Grown::between(&at(10, Some(7)), &at(30, Some(9)));
        assert_eq!((first.bytes_acked, first.bytes_sent, first.busy_ns), (Some(20), Some(2), None));
        let second = Grown::between(&at(30, Some(9)), &at(31, Some(8)));
        assert_eq!(second.bytes_sent, None);
        assert_eq!((first.and(&second).bytes_acked, first.and(&second).bytes_sent), (Some(21), None));
    }
}
