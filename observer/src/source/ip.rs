//! The kernel's counters of IP in one network namespace. Source: /proc/net/snmp, /proc/net/snmp6.

use super::{
    Malformed,
    lines::{Fields, Unit},
};
use crate::snapshot::ip::{Ip, Ip6};

/// Parses line `Ip` of /proc/net/snmp.
pub fn v4(bytes: &[u8]) -> Result<Ip, Malformed> {
    let fields = Fields::from_table(bytes, b"Ip")?;
    fields.checked(Ip::from_lookup(1, |name| fields.get(name)))
}

/// Parses /proc/net/snmp6.
pub fn v6(bytes: &[u8]) -> Result<Ip6, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    fields.checked(Ip6::from_lookup(1, |name| fields.get(name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn every_kernel_has_every_counter_of_ipv4() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            let ip = v4(&proc_file(host, "net/snmp")).unwrap();
            assert!(ip.iter().all(|(_, v)| v.is_some()), "{host}: {ip:?}");
        }
    }

    #[test]
    fn values_stand_under_their_names() {
        let text = b"Ip6InReceives                   \t5\nIp6FragCreates                  \t7\nIcmp6InMsgs\t0\n";
        let ip6 = v6(text).unwrap();
        assert_eq!((ip6.in_receives, ip6.frag_creates, ip6.reasm_fails), (Some(5), Some(7), None));
        assert!(v6(b"Ip6InReceives x\n").is_err() && v4(b"Tcp: A\nTcp: 1\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (v4(&[b"Ip: FragOKs\nIp: ", bytes.as_slice(), b"\n"].concat()), v6(&bytes));
        }
    }
}
