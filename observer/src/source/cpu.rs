//! CPUs: /proc/stat, /proc/net/softnet_stat.

use super::Malformed;
use super::lines::{number, numbered, words};
use crate::snapshot::cpu::{Cpu, CpuTimes, Cpus, Softnet};

/// Parses the lines `cpuN` of /proc/stat; `tick_ns` are the nanoseconds of `USER_HZ`.
pub fn times(bytes: &[u8], tick_ns: u64) -> Result<Cpus, Malformed> {
    let mut list = Vec::new();
    for (line, text) in numbered(bytes)? {
        let mut words = words(text);
        let Some(cpu) = words.next().and_then(|w| w.strip_prefix(b"cpu")).filter(|n| !n.is_empty()) else { continue };
        let bad = |what: &str, word: &[u8]| Malformed::no_number(line, what, word);
        let cpu = number(cpu).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| bad("the CPU", cpu))?;
        let mut next = || {
            let word = words.next().unwrap_or_default();
            let ticks = number(word).ok_or_else(|| bad("a time", word))?;
            Ok(ticks.saturating_mul(tick_ns))
        };
        let times = CpuTimes {
            user_ns: next()?,
            nice_ns: next()?,
            system_ns: next()?,
            idle_ns: next()?,
            iowait_ns: next()?,
            irq_ns: next()?,
            softirq_ns: next()?,
            steal_ns: next()?,
        };
        list.push(Cpu { cpu, times, softnet: None });
    }
    if list.is_empty() {
        return Err(Malformed::new(1, "there is no line that begins with `cpu0`"));
    }
    Ok(Cpus { list })
}

/// A line of /proc/net/softnet_stat: which CPU's it is, where the kernel says so, and its numbers.
type Row = (Option<u32>, Softnet);

/// Parses /proc/net/softnet_stat: hexadecimal columns without names, in the order of net/core/net-procfs.c. The number of
/// the CPU and the length of its backlog came with Linux 5.10.
pub fn softnet(bytes: &[u8]) -> Result<Vec<Row>, Malformed> {
    let mut rows = Vec::new();
    for (line, text) in numbered(bytes)? {
        let columns: Vec<u64> = words(text)
            .map(|word| hexadecimal(word).ok_or_else(|| Malformed::no_number(line, "a column", word)))
            .collect::<Result<_, _>>()?;
        let column = |at: usize| columns.get(at).copied();
        let (Some(processed), Some(dropped), Some(time_squeeze)) = (column(0), column(1), column(2)) else {
            return Err(Malformed::new(line, "there are no three columns"));
        };
        let softnet = Softnet {
            processed,
            dropped,
            time_squeeze,
            received_rps: column(9).unwrap_or(0),
            flow_limit: column(10).unwrap_or(0),
            backlog: column(11),
        };
        rows.push((column(12).and_then(|n| u32::try_from(n).ok()), softnet));
    }
    Ok(rows)
}

/// Joins the two. Lines without a number are those of the CPUs in their order, if there are as many.
pub fn join(cpus: &mut Cpus, rows: &[Row]) {
    let in_order = rows.len() == cpus.list.len();
    for (place, cpu) in cpus.list.iter_mut().enumerate() {
        let numbered = rows.iter().find(|(number, _)| *number == Some(cpu.cpu));
        let unnumbered = || rows.get(place).filter(|(number, _)| in_order && number.is_none());
        cpu.softnet = numbered.or_else(unnumbered).map(|(_, softnet)| *softnet);
    }
}

fn hexadecimal(word: &[u8]) -> Option<u64> {
    // `from_str_radix` would take a sign.
    let text = std::str::from_utf8(word).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn every_cpu_of_a_real_kernel_has_times_and_packets() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            let mut cpus = times(&proc_file(host, "stat"), 10_000_000).unwrap();
            join(&mut cpus, &softnet(&proc_file(host, "net/softnet_stat")).unwrap());
            assert!(!cpus.list.is_empty(), "{host}");
            for cpu in &cpus.list {
                let softnet = cpu.softnet.unwrap();
                assert!(softnet.backlog.is_some() && cpu.times.total_ns() > cpu.times.softirq_ns, "{host}: {cpu:?}");
            }
        }
    }

    #[test]
    fn ticks_become_nanoseconds_and_columns_are_hexadecimal() {
        let cpus = times(b"cpu  9 9 9 9 9 9 9 9 0 0\ncpu3 1 2 3 4 5 6 7 8 0 0\nintr 1\n", 10).unwrap();
        let [cpu] = cpus.list.as_slice() else { panic!("{cpus:?}") };
        assert_eq!((cpu.cpu, cpu.times.user_ns, cpu.times.steal_ns, cpu.times.total_ns()), (3, 10, 80, 360));
        let line = b"0000000a 0000000b 00000001 0 0 0 0 0 0 000000ff 00000002 00000003 00000003 0 0\n";
        let rows = softnet(line).unwrap();
        let softnet =
            Softnet { processed: 10, dropped: 11, time_squeeze: 1, received_rps: 255, flow_limit: 2, backlog: Some(3) };
        assert_eq!(rows, [(Some(3), softnet)]);
    }

    #[test]
    fn lines_without_a_number_are_taken_in_order_only_if_all_cpus_have_one() {
        let two = times(b"cpu0 0 0 0 0 0 0 0 0\ncpu2 0 0 0 0 0 0 0 0\n", 1).unwrap();
        let seen = |rows: &[u8]| {
            let mut cpus = two.clone();
            join(&mut cpus, &softnet(rows).unwrap());
            cpus.list.iter().map(|c| c.softnet.map(|s| s.processed)).collect::<Vec<_>>()
        };
        assert_eq!(seen(b"1 0 0\n2 0 0\n"), [Some(1), Some(2)]);
        assert_eq!(seen(b"1 0 0\n2 0 0\n3 0 0\n"), [None, None], "which of the three is CPU 2?");
    }

    #[test]
    fn broken_files_name_the_line() {
        assert_eq!(times(b"cpu0 1 x\n", 1).unwrap_err().to_string(), r#"line 1: a time is "x", not a number"#);
        assert!(times(b"intr 1\n", 1).is_err() && softnet(b"1 2\n").is_err() && softnet(b"+1 2 3\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (times(&bytes, u64::MAX), softnet(&bytes));
            let _ = times(&[b"cpu1 1 ", bytes.as_slice(), b"\n"].concat(), 1);
        }
    }
}
