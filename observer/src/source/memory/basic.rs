//! Memory of the host: /proc/meminfo, /proc/vmstat, /proc/buddyinfo; zones are in [`mod@super::zoneinfo`].

use crate::snapshot::Name;
use crate::snapshot::memory::{Buddy, Meminfo, Vmstat};
use crate::source::Malformed;
use crate::source::lines::{Fields, Unit, number, numbered, words};

/// Parses /proc/meminfo.
pub fn meminfo(bytes: &[u8]) -> Result<Meminfo, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::Kib)?;
    fields.checked(Meminfo::from_lookup(1, |name| fields.get(name)))
}

/// Parses /proc/vmstat; `page_size` is that of the host.
pub fn vmstat(bytes: &[u8], page_size: u64) -> Result<Vmstat, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    fields.checked(Vmstat::from_lookup(page_size, |name| fields.get(name)))
}

/// Parses /proc/buddyinfo: `Node 0, zone   Normal   4199   3996 ...`.
pub fn buddyinfo(bytes: &[u8]) -> Result<Vec<Buddy>, Malformed> {
    numbered(bytes)?
        .map(|(line, text)| {
            let mut words = words(text);
            let (node, zone) = zone_head(line, &mut words)?;
            let count = |word| number(word).ok_or_else(|| Malformed::no_number(line, "a count of blocks", word));
            Ok(Buddy { node, zone, free_blocks: words.map(count).collect::<Result<_, _>>()? })
        })
        .collect()
}

/// Takes `Node 0, zone NAME` off a line.
pub(super) fn zone_head<'a>(line: usize, words: &mut impl Iterator<Item = &'a [u8]>) -> Result<(u32, Name), Malformed> {
    let head = (words.next(), words.next(), words.next(), words.next());
    let (Some(b"Node"), Some(node), Some(b"zone"), Some(zone)) = head else {
        return Err(Malformed::new(line, "it does not begin with `Node N, zone NAME`"));
    };
    let node = node.strip_suffix(b",").unwrap_or(node);
    let id = number(node).and_then(|n| u32::try_from(n).ok());
    Ok((id.ok_or_else(|| Malformed::no_number(line, "the node", node))?, Name::from_bytes(zone)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn meminfo_is_in_bytes_and_what_a_kernel_lacks_is_none() {
        let new = meminfo(&proc_file(V1_6_18, "meminfo")).unwrap();
        assert_eq!(new.total, Some(24_684_084 * 1024));
        assert_eq!(new.sec_page_tables, Some(0));
        assert_eq!(new.cma_total, None, "this kernel is built without CMA");
        let debian = meminfo(&proc_file(V2_6_1, "meminfo")).unwrap();
        assert!(debian.available.is_some());
    }

    #[test]
    fn every_line_of_every_kernel_is_named_as_the_snapshot_names_it() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            let info = meminfo(&proc_file(host, "meminfo")).unwrap();
            let missing: Vec<_> = info.iter().filter(|(_, v)| v.is_none()).map(|(n, _)| n).collect();
            let may_miss = [
                "CmaTotal",
                "CmaFree",
                "Zswap",
                "Zswapped",
                "SecPageTables",
                "HardwareCorrupted",
                "Unaccepted",
                "Balloon",
            ];
            assert!(missing.iter().all(|n| may_miss.contains(n)), "{host}: {missing:?}");
            let stat = vmstat(&proc_file(host, "vmstat"), 4096).unwrap();
            let missing: Vec<_> = stat.iter().filter(|(_, v)| v.is_none()).map(|(n, _)| n).collect();
            let may_miss = [
                "allocstall_dma",
                "allocstall_device",
                "pgscan_khugepaged",
                "pgsteal_khugepaged",
                "nr_iommu_pages",
                "zone_reclaim_success",
                "zone_reclaim_failed",
            ];
            assert!(
                missing.iter().all(|n| may_miss.contains(n) || n.starts_with("compact") || n.starts_with("zsw")),
                "{host}: {missing:?}"
            );
        }
    }

    #[test]
    fn vmstat_counts_pages_as_bytes() {
        let stat = vmstat(b"oom_kill 3\npgscan_direct 5\n", 4096).unwrap();
        assert_eq!((stat.oom_kill, stat.pgscan_direct_bytes, stat.pswpin_bytes), (Some(3), Some(5 * 4096), None));
    }

    #[test]
    fn buddyinfo_has_a_count_for_each_order() {
        let buddies = buddyinfo(&proc_file(V1_6_18, "buddyinfo")).unwrap();
        assert_eq!(buddies.iter().map(|b| b.zone.as_str()).collect::<Vec<_>>(), ["DMA", "DMA32", "Normal"]);
        assert!(buddies.iter().all(|b| b.node == 0 && b.free_blocks.len() == 11));
    }

    #[test]
    fn broken_files_name_the_line() {
        let broken = meminfo(b"MemTotal: 12 kB\nMemFree: many kB\n").unwrap_err();
        assert_eq!(broken.to_string(), r#"line 2: MemFree is "many kB", not a number"#);
        assert_eq!(vmstat(b"pgfault 1\npgmajfault", 4096).unwrap_err().line, 2);
        assert_eq!(buddyinfo(b"Node 0, zone DMA 1\nNode x, zone DMA 1\n").unwrap_err().line, 2);
        assert_eq!(buddyinfo(b"Node 0, zone\n").unwrap_err().line, 1);
        assert_eq!(buddyinfo(b"Node 0, zone DMA 1 2 x\n").unwrap_err().line, 1);
    }

    proptest! {
        #[test]
        fn a_file_cut_anywhere_is_an_error_or_a_part(cut in 0usize..1500) {
            let whole = proc_file(V1_6_18, "meminfo");
            let part = whole.get(..cut.min(whole.len())).unwrap();
            let at_line_end = part.is_empty() || part.ends_with(b"\n");
            prop_assert_eq!(meminfo(part).is_ok(), at_line_end && !part.is_empty());
        }

        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (meminfo(&bytes), vmstat(&bytes, 4096), buddyinfo(&bytes));
        }
    }
}
