//! Zones of the page allocator with their watermarks. Source: /proc/zoneinfo.

use super::basic::zone_head;
use crate::snapshot::memory::{Memory, PageType, Zone};
use crate::source::Malformed;
use crate::source::lines::{number, numbered, words};

/// Parses /proc/zoneinfo; `page_size` turns its pages into bytes.
pub fn zoneinfo(bytes: &[u8], page_size: u64) -> Result<Vec<Zone>, Malformed> {
    let mut zones: Vec<Zone> = Vec::new();
    for (line, text) in numbered(bytes)? {
        if text.starts_with(b"Node ") {
            let (node, zone) = zone_head(line, &mut words(text))?;
            zones.push(Zone { node, zone, ..Zone::default() });
            continue;
        }
        let Some(zone) = zones.last_mut() else {
            return Err(Malformed::new(line, "it stands before the first `Node N, zone NAME`"));
        };
        read_line(zone, line, text, page_size)?;
    }
    if zones.is_empty() {
        return Err(Malformed::new(1, "the file is empty"));
    }
    Ok(zones)
}

fn read_line(zone: &mut Zone, line: usize, text: &[u8], page_size: u64) -> Result<(), Malformed> {
    let mut words = words(text);
    let Some(first) = words.next() else { return Ok(()) };
    let bytes = |value: &[u8], field: &str| {
        let pages = number(value).ok_or_else(|| Malformed::no_number(line, field, value))?;
        Ok(pages.saturating_mul(page_size))
    };
    if first == b"protection:" {
        let list = words.map(|w| bytes(list_word(w), "protection"));
        zone.lowmem_reserve = list.collect::<Result<_, _>>()?;
        return Ok(());
    }
    if first == b"count:" {
        // One line for each CPU.
        let count = bytes(words.next().unwrap_or_default(), "count")?;
        zone.per_cpu = Some(zone.per_cpu.unwrap_or(0).saturating_add(count));
        return Ok(());
    }
    // The per-CPU lists further down write `high:`, with a colon.
    let (field, slot) = match first {
        b"pages" if words.next() == Some(b"free") => ("pages free", &mut zone.free),
        b"boost" => ("boost", &mut zone.boost),
        b"min" => ("min", &mut zone.min),
        b"low" => ("low", &mut zone.low),
        b"high" => ("high", &mut zone.high),
        b"managed" => ("managed", &mut zone.managed),
        b"spanned" => ("spanned", &mut zone.spanned),
        b"present" => ("present", &mut zone.present),
        b"cma" => ("cma", &mut zone.cma),
        b"nr_free_highatomic" => ("nr_free_highatomic", &mut zone.free_highatomic),
        b"nr_free_cma" => ("nr_free_cma", &mut zone.free_cma),
        _ => return Ok(()),
    };
    *slot = Some(bytes(words.next().unwrap_or_default(), field)?);
    Ok(())
}

/// The number in a word of a list that the kernel writes as `(0, 3019, 6475)`.
fn list_word(word: &[u8]) -> &[u8] {
    let word = word.strip_prefix(b"(").unwrap_or(word);
    word.strip_suffix(b",").or_else(|| word.strip_suffix(b")")).unwrap_or(word)
}

/// Before Linux 6.13 /proc/zoneinfo does not tell what is free for atomic requests of a high order: the lists of that type
/// do.
pub(super) fn fill_highatomic(memory: &mut Memory, page_size: u64) {
    let (Some(zones), Some(types)) = (&mut memory.zones, &memory.page_types) else { return };
    for zone in zones.iter_mut().filter(|z| z.free_highatomic.is_none()) {
        let own =
            |t: &&PageType| (t.node, &t.zone) == (zone.node, &zone.zone) && t.migrate_type.as_str() == "HighAtomic";
        zone.free_highatomic = types.list.iter().find(own).filter(|t| !t.at_least).map(|t| {
            let pages = t.free_blocks.iter().enumerate().map(|(order, n)| n << order).sum::<u64>();
            pages.saturating_mul(page_size)
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file};

    #[test]
    fn zones_have_their_watermarks_in_bytes() {
        let zones = zoneinfo(&proc_file(V1_6_18, "zoneinfo"), 4096).unwrap();
        let names: Vec<_> = zones.iter().map(|z| z.zone.as_str()).collect();
        assert_eq!(names, ["DMA", "DMA32", "Normal", "Movable", "Device"]);
        let dma = &zones[0];
        assert_eq!((dma.min, dma.low, dma.high), (Some(39 * 4096), Some(48 * 4096), Some(57 * 4096)));
        assert_eq!((dma.free, dma.managed, dma.boost), (Some(3840 * 4096), Some(3840 * 4096), Some(0)));
        assert_eq!(dma.lowmem_reserve, [0, 3019, 6475, 6475, 6475].map(|p| p * 4096));
    }

    #[test]
    fn the_kernels_agree_on_the_names() {
        for host in [V1_6_18, V2_6_1, V2_6_12] {
            let zones = zoneinfo(&proc_file(host, "zoneinfo"), 4096).unwrap();
            for zone in zones.iter().filter(|z| z.managed != Some(0)) {
                assert!(zone.min <= zone.low && zone.low <= zone.high, "{host}: {zone:?}");
                assert!(
                    zone.free <= zone.managed && zone.boost.is_some() && zone.free_cma.is_some(),
                    "{host}: {zone:?}"
                );
            }
        }
    }

    #[test]
    fn broken_files_name_the_line() {
        let head = b"Node 0, zone DMA\n".to_vec();
        let with = |tail: &[u8]| zoneinfo(&[head.as_slice(), tail].concat(), 4096).unwrap_err().to_string();
        assert_eq!(with(b"  pages free\n"), r#"line 2: pages free is "", not a number"#);
        assert_eq!(with(b"        min      x\n"), r#"line 2: min is "x", not a number"#);
        assert_eq!(with(b"  protection: (0, a)\n"), r#"line 2: protection is "a", not a number"#);
        assert_eq!(with(b"  pages fr"), "line 2: the file ends within the line");
        assert_eq!(zoneinfo(b"  pages free 1\n", 4096).unwrap_err().line, 1);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = zoneinfo(&bytes, 4096);
            let _ = zoneinfo(&[b"Node 0, zone DMA\n", bytes.as_slice(), b"\n"].concat(), 4096);
        }
    }
}
