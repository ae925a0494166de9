//! The kernel's own TCP counters of one network namespace. Source: /proc/net/snmp, /proc/net/netstat.

use super::Malformed;
use super::lines::Fields;
use crate::snapshot::tcp::{Netstat, Snmp};

/// Parses line `Tcp` of /proc/net/snmp.
pub fn snmp(bytes: &[u8]) -> Result<Snmp, Malformed> {
    let fields = Fields::from_table(bytes, b"Tcp")?;
    fields.checked(Snmp::from_lookup(1, |name| fields.get(name)))
}

/// Parses line `TcpExt` of /proc/net/netstat.
pub fn netstat(bytes: &[u8]) -> Result<Netstat, Malformed> {
    let fields = Fields::from_table(bytes, b"TcpExt")?;
    fields.checked(Netstat::from_lookup(1, |name| fields.get(name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn every_kernel_has_every_counter() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            let snmp = snmp(&proc_file(host, "net/snmp")).unwrap();
            assert!(snmp.iter().all(|(_, v)| v.is_some()), "{host}: {snmp:?}");
            let netstat = netstat(&proc_file(host, "net/netstat")).unwrap();
            assert!(netstat.iter().all(|(_, v)| v.is_some()), "{host}: {netstat:?}");
        }
    }

    #[test]
    fn values_stand_under_their_names() {
        let text = b"Tcp: RtoMin MaxConn RetransSegs InSegs\nTcp: 200 -1 5 7129\n";
        let snmp = snmp(text).unwrap();
        assert_eq!((snmp.retrans_segs, snmp.in_segs, snmp.active_opens), (Some(5), Some(7129), None));
    }

    #[test]
    fn a_table_of_something_else_is_an_error() {
        assert!(snmp(b"Udp: InDatagrams\nUdp: 1\n").is_err());
        assert!(netstat(b"TcpExt: ListenDrops\nTcpExt: -1\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (snmp(&bytes), netstat(&[b"TcpExt: a\nTcpExt: ", bytes.as_slice(), b"\n"].concat()));
        }
    }
}
