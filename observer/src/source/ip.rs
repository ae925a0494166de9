//! The kernel's counters of IP in one network namespace. Source: /proc/net/snmp, /proc/net/snmp6.

use super::{
    Malformed,
    lines::{Fields, Unit, words},
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

/// Datagrams received: line `Udp` of /proc/net/snmp.
pub fn udp(snmp: &[u8]) -> Result<u64, Malformed> {
    datagrams(&Fields::from_table(snmp, b"Udp")?, "InDatagrams")
}

/// The same of IPv6, from /proc/net/snmp6.
pub fn udp6(snmp6: &[u8]) -> Result<u64, Malformed> {
    datagrams(&Fields::from_lines(snmp6, Unit::None)?, "Udp6InDatagrams")
}

fn datagrams(fields: &Fields<'_>, name: &str) -> Result<u64, Malformed> {
    fields.checked(fields.get(name))?.ok_or_else(|| Malformed::new(1, format!("there is no {name}")))
}

/// Sockets of a protocol that are in use, from a line of /proc/net/sockstat such as `UDP: inuse 3 mem 0`.
pub fn in_use(sockstat: &[u8], protocol: &[u8]) -> Result<u64, Malformed> {
    let line = sockstat.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(protocol)?.strip_prefix(b": inuse "));
    let number = line.and_then(|line| std::str::from_utf8(words(line).next()?).ok()?.parse().ok());
    number.ok_or_else(|| Malformed::new(1, "there is no number of sockets in use".to_owned()))
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

    #[test]
    fn datagrams_and_sockets_of_both_families() {
        let snmp = b"Udp: InDatagrams NoPorts\nUdp: 5 1\nUdpLite: InDatagrams\nUdpLite: 9\n";
        assert_eq!(udp(snmp).unwrap(), 5);
        assert_eq!(udp6(b"Udp6InDatagrams\t7\nUdp6NoPorts\t1\n").unwrap(), 7);
        assert!(udp(b"Ip: A\nIp: 1\n").is_err() && udp6(b"Ip6InReceives 1\n").is_err());
        let sockstat = b"sockets: used 19\nTCP: inuse 1 orphan 0\nUDP: inuse 3 mem 0\nUDPLITE: inuse 8\n";
        assert_eq!(in_use(sockstat, b"UDP").unwrap(), 3);
        assert!(in_use(sockstat, b"UDP6").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (udp(&bytes), udp6(&bytes), in_use(&bytes, b"UDP"));
            let _ = (v4(&[b"Ip: FragOKs\nIp: ", bytes.as_slice(), b"\n"].concat()), v6(&bytes));
        }
    }
}
