//! Free blocks by migrate type. Source: /proc/pagetypeinfo.

use super::basic::zone_head;
use crate::{
    snapshot::{
        Name,
        memory::{PageType, PageTypes},
    },
    source::{
        Malformed,
        lines::{number, numbered, words},
    },
};

/// Parses /proc/pagetypeinfo; `page_size` turns its pages into bytes.
pub fn pagetypeinfo(bytes: &[u8], page_size: u64) -> Result<PageTypes, Malformed> {
    let mut out = PageTypes::default();
    let mut block_types: Vec<Name> = Vec::new();
    for (line, text) in numbered(bytes)? {
        if let Some(pages) = text.strip_prefix(b"Pages per block:") {
            let pages = pages.trim_ascii();
            let count = number(pages).ok_or_else(|| Malformed::no_number(line, "Pages per block", pages))?;
            out.block_bytes = Some(count.saturating_mul(page_size));
            // Each node has both lists, the free blocks first.
            block_types.clear();
        } else if let Some(types) = text.strip_prefix(b"Number of blocks type") {
            block_types = words(types).map(Name::from_bytes).collect();
        } else if text.starts_with(b"Node") {
            let mut words = words(text);
            let (node, zone) = zone_head(line, &mut words)?;
            let zone = Name::from(zone.as_str().trim_end_matches(','));
            if block_types.is_empty() {
                out.list.push(free_blocks(line, node, zone, words)?);
            } else {
                put_blocks(line, &mut out.list, (node, &zone), &block_types, words)?;
            }
        }
    }
    Ok(out)
}

/// `type Unmovable 1 0 >100000 ...`
fn free_blocks<'a>(
    line: usize,
    node: u32,
    zone: Name,
    mut words: impl Iterator<Item = &'a [u8]>,
) -> Result<PageType, Malformed> {
    let (Some(b"type"), Some(name)) = (words.next(), words.next()) else {
        return Err(Malformed::new(line, "there is no `type NAME` after the zone"));
    };
    let mut out = PageType { node, zone, migrate_type: Name::from_bytes(name), ..PageType::default() };
    for word in words {
        // Under a lock the kernel counts to 100,000 and no further.
        let digits = word.strip_prefix(b">").unwrap_or(word);
        out.at_least |= digits.len() < word.len();
        out.free_blocks.push(number(digits).ok_or_else(|| Malformed::no_number(line, "a count of blocks", word))?);
    }
    Ok(out)
}

/// The numbers of page blocks, one for each type of the heading.
fn put_blocks<'a>(
    line: usize,
    list: &mut [PageType],
    place: (u32, &Name),
    types: &[Name],
    words: impl Iterator<Item = &'a [u8]>,
) -> Result<(), Malformed> {
    for (kind, word) in types.iter().zip(words) {
        let count = number(word).ok_or_else(|| Malformed::no_number(line, "a number of blocks", word))?;
        let row = list.iter_mut().find(|t| (t.node, &t.zone) == place && t.migrate_type == *kind);
        if let Some(row) = row {
            row.blocks = Some(count);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn every_zone_has_its_types() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            let types = pagetypeinfo(&proc_file(host, "pagetypeinfo"), 4096).unwrap();
            assert_eq!(types.block_bytes, Some(2 << 20), "{host}");
            let dma: Vec<_> = types.list.iter().filter(|t| t.zone.as_str() == "DMA").collect();
            assert!(dma.iter().any(|t| t.migrate_type.as_str() == "HighAtomic"), "{host}");
            assert!(dma.iter().all(|t| t.free_blocks.len() == 11 && t.blocks.is_some()), "{host}: {dma:?}");
        }
    }

    #[test]
    fn each_node_has_both_lists() {
        let node = |node: u32| {
            format!(
                "Page block order: 9\nPages per block:  512\n\nFree pages count per migrate type at order 0 1\n\
                 Node    {node}, zone      DMA, type    Unmovable      {node} 2\n\nNumber of blocks type     Unmovable\n\
                 Node {node}, zone      DMA            {}\n",
                node + 7
            )
        };
        let types = pagetypeinfo((node(0) + &node(1)).as_bytes(), 4096).unwrap();
        let rows: Vec<_> = types.list.iter().map(|t| (t.node, t.free_blocks.clone(), t.blocks)).collect();
        assert_eq!(rows, [(0, vec![0, 2], Some(7)), (1, vec![1, 2], Some(8))]);
    }

    #[test]
    fn a_count_that_was_given_up_is_said_to_be_too_low() {
        let text = b"Node    0, zone   Normal, type      Movable >100000 2\n";
        let types = pagetypeinfo(text, 4096).unwrap();
        assert_eq!((types.list[0].free_blocks.as_slice(), types.list[0].at_least), (&[100_000, 2][..], true));
        assert!(pagetypeinfo(b"Node 0, zone DMA, type X a\n", 4096).is_err());
        assert!(pagetypeinfo(b"Node 0, zone DMA\n", 4096).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = pagetypeinfo(&bytes, 4096);
            let _ = pagetypeinfo(&[b"Node 0, zone DMA, type X ", bytes.as_slice(), b"\n"].concat(), 4096);
        }
    }
}
