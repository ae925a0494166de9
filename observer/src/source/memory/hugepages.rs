//! Pools of huge pages. Source: /sys/kernel/mm/hugepages.

use super::entries;
use crate::{
    snapshot::{coverage::Source, memory::HugePages},
    source::{
        SourceError,
        file::{Buffer, Root},
        lines::single_number,
    },
};

/// Reads every size's pool.
pub(super) fn read(root: &Root, buffer: &mut Buffer) -> Result<Vec<HugePages>, SourceError> {
    let mut pools = Vec::new();
    for size in entries(root, Source::HUGEPAGES, "hugepages-")? {
        let Some(kib) = size.strip_suffix("kB").and_then(|kib| kib.parse::<u64>().ok()) else { continue };
        let mut count = |file: &str| {
            let path = format!("{}/hugepages-{size}/{file}", Source::HUGEPAGES);
            buffer.parse(root, &path, |b| single_number(b, "the count")).ok()
        };
        pools.push(HugePages {
            page_bytes: kib.saturating_mul(1024),
            total: count("nr_hugepages"),
            free: count("free_hugepages"),
            reserved: count("resv_hugepages"),
            surplus: count("surplus_hugepages"),
        });
    }
    Ok(pools)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fixtures::{V2_6_12, host};

    #[test]
    fn each_size_is_a_pool() {
        let pools = read(&Root::at(host(V2_6_12)), &mut Buffer::default()).unwrap();
        let pool =
            HugePages { page_bytes: 2 << 20, total: Some(0), free: Some(0), reserved: Some(0), surplus: Some(0) };
        assert_eq!(pools, [pool]);
    }
}
