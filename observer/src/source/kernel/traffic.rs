//! Feeds the sums of traffic from the kernel side: sockets as they are read, and the records of those that ended.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::{
    socket::Socket as RawSocket,
    tcp::{Closed, Ended, OUTGOING},
};

use super::{maps::Array, owners, ring::Ring, socket::address};
use crate::{
    snapshot::tcp::{Service, Traffic, TrafficTotals},
    source::traffic::{End, Followed, Holder, Look, Options, Place},
};

/// `TCP_SYN_SENT`: there is no connection yet, and its end is not told.
const SYN_SENT: u8 = 2;

/// Reader of traffic.
#[derive(Debug)]
pub(super) struct Reader {
    followed: Followed,
    ends: Option<Ends>,
}

/// Where the kernel side tells of ends.
#[derive(Debug)]
struct Ends {
    ring: Ring,
    untold: Array<Closed>,
}

impl Reader {
    /// Takes the ring buffer of ends, if the probe that fills it is attached.
    pub(super) fn open(ebpf: &mut Ebpf, options: Options, ends_told: bool) -> io::Result<Self> {
        let open = |ebpf: &mut Ebpf| -> io::Result<Ends> {
            Ok(Ends { untold: Array::open(ebpf, "obs_tcp_untold")?, ring: Ring::open(ebpf, "obs_tcp_ended")? })
        };
        let ends = ends_told.then(|| open(ebpf)).transpose()?;
        Ok(Self { followed: Followed::new(options, ends_told), ends })
    }

    /// To be called before sockets are read.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let untold = match &self.ends {
            Some(ends) => totals(&ends.untold.get(0)?),
            None => TrafficTotals::default(),
        };
        self.followed.begin(untold);
        Ok(())
    }

    /// Takes an open socket; `read_before` tells whether its namespace was read in an earlier round. Gives its weight among
    /// all sockets.
    pub(super) fn look(&mut self, netns: u64, raw: &RawSocket, read_before: bool) -> u64 {
        let waiting = u64::try_from(raw.write_seq.wrapping_sub(raw.snd_una).cast_signed()).unwrap_or(0);
        if raw.state == SYN_SENT {
            return waiting;
        }
        let place = Place {
            netns,
            remote: address(raw.family, raw.remote),
            service: service(raw.direction, raw.local_port, raw.remote_port),
            ifindex: if raw.tx_ifindex != 0 { raw.tx_ifindex } else { raw.rx_ifindex },
        };
        let look = Look {
            cookie: raw.cookie,
            inode: raw.inode,
            bytes_acked: raw.bytes_acked,
            bytes_received: raw.bytes_received,
            retrans: raw.total_retrans,
            waiting,
            cgroup: raw.cgroup,
            born: raw.direction != 0,
            opener: opener(raw),
            place,
        };
        self.followed.look(&look, read_before)
    }

    /// Takes the ends that came, and credits everything; `is_read` tells whether a namespace was read in this round.
    pub(super) fn credit(&mut self, owners: Option<&owners::Reader>, is_read: impl Fn(u64) -> bool) -> Traffic {
        let followed = &mut self.followed;
        if let Some(ends) = &mut self.ends {
            ends.ring.drain(|raw: &Ended| followed.end(&end(raw)));
        }
        followed.credit(|inode| owners?.holder(inode), is_read)
    }
}

/// The process that opened a socket, where that was seen.
pub(super) fn opener(raw: &RawSocket) -> Option<Holder> {
    holder(raw.opener, raw.opener_comm, raw.opener_cgroup)
}

fn holder(pid: u32, comm: [u8; 16], cgroup: u64) -> Option<Holder> {
    (pid != 0).then_some(Holder { pid, comm, cgroup })
}

/// The service's port. Of a connection whose begin was not seen it is the lower one, as a rule.
fn service(direction: u16, local: u16, remote: u16) -> Service {
    let outgoing = if direction == 0 { remote < local } else { direction == OUTGOING };
    Service { port: if outgoing { remote } else { local }, outgoing }
}

fn end(raw: &Ended) -> End {
    End {
        cookie: raw.cookie,
        bytes_acked: raw.bytes_acked,
        bytes_received: raw.bytes_received,
        retrans: raw.retrans,
        cgroup: raw.cgroup,
        born: raw.direction != 0,
        holder: holder(raw.tgid, raw.comm, raw.cgroup),
        place: Place {
            netns: raw.netns.into(),
            remote: address(raw.family, raw.remote),
            service: service(raw.direction, raw.local_port, raw.remote_port),
            ifindex: raw.ifindex,
        },
    }
}

fn totals(raw: &Closed) -> TrafficTotals {
    TrafficTotals {
        bytes_acked: raw.bytes_acked,
        bytes_received: raw.bytes_received,
        retrans_segs: raw.retrans,
        began: 0,
        ended: raw.connections,
    }
}

#[cfg(test)]
mod tests {
    use observer_ebpf::abi::tcp::INCOMING;

    use super::*;

    #[test]
    fn the_service_is_at_the_end_that_was_connected_to() {
        assert_eq!(service(OUTGOING, 40_000, 443), Service { port: 443, outgoing: true });
        assert_eq!(service(INCOMING, 50_000, 40_000), Service { port: 50_000, outgoing: false });
        assert_eq!(service(0, 22, 40_000), Service { port: 22, outgoing: false });
        assert_eq!(service(0, 40_000, 22), Service { port: 22, outgoing: true });
    }
}
