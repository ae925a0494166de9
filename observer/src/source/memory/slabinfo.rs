//! Slab by cache. Source: /proc/slabinfo.

use crate::{
    snapshot::{
        Name,
        memory::{SlabCache, Slabs},
    },
    source::{
        Malformed,
        lines::{number, numbered, words},
    },
};

/// Parses /proc/slabinfo 2.x: `NAME active_objs num_objs objsize objperslab pagesperslab : tunables ... : slabdata
/// active_slabs num_slabs sharedavail`. Caches without slabs are left out.
pub fn slabinfo(bytes: &[u8], page_size: u64) -> Result<Slabs, Malformed> {
    let mut list = Vec::new();
    for (line, text) in numbered(bytes)? {
        if text.starts_with(b"slabinfo - version:") || text.starts_with(b"#") {
            continue;
        }
        let mut words = words(text);
        let name = words.next().ok_or_else(|| Malformed::new(line, "there is no name"))?;
        let mut field = |what: &str| {
            let word = words.next().unwrap_or_default();
            number(word).ok_or_else(|| Malformed::no_number(line, what, word))
        };
        let (active_objects, objects) = (field("active_objs")?, field("num_objs")?);
        let object_bytes = field("objsize")?;
        let (_, pages) = (field("objperslab")?, field("pagesperslab")?);
        let mut data = words.skip_while(|w| *w != b"slabdata").skip(2);
        let word = data.next().unwrap_or_default();
        let slabs = number(word).ok_or_else(|| Malformed::no_number(line, "num_slabs", word))?;
        if slabs > 0 {
            let bytes = slabs.saturating_mul(pages).saturating_mul(page_size);
            list.push(SlabCache { name: Name::from_bytes(name), bytes, object_bytes, active_objects, objects });
        }
    }
    list.sort_by_key(|c: &SlabCache| std::cmp::Reverse(c.bytes));
    Ok(Slabs { list, ..Slabs::default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::{
        fixtures::{V1_6_18, V2_6_1, V2_6_12, proc_file},
        memory::meminfo,
    };

    #[test]
    fn caches_add_up_to_what_meminfo_says() {
        for host in [V2_6_1, V2_6_12] {
            let slabs = slabinfo(&proc_file(host, "slabinfo"), 4096).unwrap().list;
            assert!(slabs.iter().any(|c| c.name.as_str() == "dentry" && c.object_bytes > 100), "{host}");
            assert!(slabs.is_sorted_by_key(|c| std::cmp::Reverse(c.bytes)));
            let sum: u64 = slabs.iter().map(|c| c.bytes).sum();
            // The fixtures are of different moments of one machine just booted.
            let total = meminfo(&proc_file(host, "meminfo")).unwrap().slab.unwrap();
            assert!(sum > total / 2 && sum < total * 2, "{host}: {sum} of {total}");
        }
        assert!(slabinfo(&proc_file(V1_6_18, "slabinfo"), 4096).unwrap().list.len() > 50);
    }

    #[test]
    fn broken_lines_are_named() {
        let error = |text: &[u8]| slabinfo(text, 4096).unwrap_err().to_string();
        assert_eq!(error(b"slabinfo - version: 2.1\ndentry 1 x\n"), r#"line 2: num_objs is "x", not a number"#);
        assert_eq!(error(b"dentry 1 2 192 21 1 : tunables\n"), r#"line 1: num_slabs is "", not a number"#);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = slabinfo(&bytes, 4096);
        }
    }
}
