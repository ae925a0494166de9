//! Swap devices, zram and zswap. Source: /proc/swaps, /sys/block/zramN, /sys/module/zswap.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::entries;
use crate::{
    snapshot::{
        Name,
        memory::{Swap, SwapDevice, Zram},
    },
    source::{
        Malformed, SourceError,
        file::{Buffer, Root},
        lines::{number, numbered, single_number, unescape, words},
    },
};

/// Reads all of it. Only /proc/swaps must be there.
pub(super) fn read(root: &Root, buffer: &mut Buffer) -> Result<Swap, SourceError> {
    let devices = buffer.parse(root, "/proc/swaps", devices)?;
    let mut zram = Vec::new();
    for number in entries(root, "/sys/block", "zram").unwrap_or_default() {
        let device = format!("/sys/block/zram{number}");
        // A device that was not set up has no numbers.
        if let Ok(Some(mut found)) = buffer.parse(root, &format!("{device}/mm_stat"), mm_stat) {
            found.device = Name::from(format!("zram{number}"));
            let size = buffer.parse(root, &format!("{device}/disksize"), |b| single_number(b, "disksize"));
            found.disk_size = size.ok().filter(|size| *size > 0);
            if found.disk_size.is_some() {
                zram.push(found);
            }
        }
    }
    let enabled = |bytes: &[u8]| Ok(matches!(bytes.first(), Some(b'Y' | b'1')));
    let zswap_enabled = buffer.parse(root, "/sys/module/zswap/parameters/enabled", enabled).ok();
    Ok(Swap { devices, zram, zswap_enabled })
}

/// Parses /proc/swaps: `/dev/sda2   partition   4194300   0   -2`, sizes in KiB.
fn devices(bytes: &[u8]) -> Result<Vec<SwapDevice>, Malformed> {
    let mut out = Vec::new();
    for (line, text) in numbered(bytes)?.skip(1) {
        let mut words = words(text);
        let (Some(path), Some(kind)) = (words.next(), words.next()) else {
            return Err(Malformed::new(line, "there is no path and type"));
        };
        let mut kib = |what: &str| {
            let word = words.next().unwrap_or_default();
            number(word).and_then(|n| n.checked_mul(1024)).ok_or_else(|| Malformed::no_number(line, what, word))
        };
        let (size, used) = (kib("size")?, kib("used")?);
        let word = words.next().unwrap_or_default();
        let priority = OsStr::from_bytes(word).to_str().and_then(|w| w.parse().ok());
        out.push(SwapDevice {
            path: Name::from_bytes(&unescape(path)),
            kind: Name::from_bytes(kind),
            size,
            used,
            priority: priority.ok_or_else(|| Malformed::no_number(line, "priority", word))?,
        });
    }
    Ok(out)
}

/// Parses mm_stat: `orig_data_size compr_data_size mem_used_total mem_limit mem_used_max ...`.
fn mm_stat(bytes: &[u8]) -> Result<Option<Zram>, Malformed> {
    let mut words = words(bytes.trim_ascii());
    let mut field = |what: &str| {
        let word = words.next().unwrap_or_default();
        number(word).ok_or_else(|| Malformed::no_number(1, what, word))
    };
    Ok(Some(Zram {
        original: field("orig_data_size")?,
        compressed: field("compr_data_size")?,
        memory_used: field("mem_used_total")?,
        memory_limit: field("mem_limit")?,
        ..Zram::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fixtures::{V2_6_12, host};

    #[test]
    fn a_host_without_swap_has_none() {
        let swap = read(&Root::at(host(V2_6_12)), &mut Buffer::default()).unwrap();
        assert_eq!(swap, Swap::default());
    }

    #[test]
    fn devices_files_and_zram() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "proc/swaps",
            "Filename Type Size Used Priority\n/a\\040b file 1024 12 -2\n/dev/zram0 partition 8 0 100\n",
        );
        write("sys/block/zram0/mm_stat", "  40960   1200   8192 0 8192 3 0 0 0\n");
        write("sys/block/zram0/disksize", "67108864\n");
        write("sys/block/zram1/mm_stat", "0 0 0 0 0 0 0 0 0\n");
        write("sys/block/zram1/disksize", "0\n");
        write("sys/module/zswap/parameters/enabled", "Y\n");
        let swap = read(&Root::at(folder.path()), &mut Buffer::default()).unwrap();
        let first = &swap.devices[0];
        assert_eq!((first.path.as_str(), first.size, first.used, first.priority), ("/a b", 1 << 20, 12 << 10, -2));
        assert_eq!(swap.zram.len(), 1, "one was not set up");
        assert_eq!((swap.zram[0].original, swap.zram[0].memory_used), (40960, 8192));
        assert_eq!(swap.zswap_enabled, Some(true));
        assert_eq!(devices(b"Filename\n/x file 1 2\n").unwrap_err().line, 2);
    }
}
