//! System V shared memory. Source: /proc/sysvipc/shm.

use crate::{
    snapshot::memory::SysvShm,
    source::{
        Malformed,
        lines::{number, numbered, words},
    },
};

/// Columns of the file, counted from 0.
const NATTCH: usize = 6;
const RSS: usize = 14;
const SWAP: usize = 15;

/// Parses /proc/sysvipc/shm, a line a segment under one heading.
pub fn sysv(bytes: &[u8]) -> Result<SysvShm, Malformed> {
    let mut out = SysvShm::default();
    for (line, text) in numbered(bytes)?.skip(1) {
        let words: Vec<_> = words(text).collect();
        let column = |index: usize, what: &str| {
            let word = words.get(index).copied().unwrap_or_default();
            number(word).ok_or_else(|| Malformed::no_number(line, what, word))
        };
        let rss = column(RSS, "rss")?;
        out.segments += 1;
        out.rss += rss;
        out.swap += column(SWAP, "swap")?;
        if column(NATTCH, "nattch")? == 0 {
            out.unattached_rss += rss;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_12, proc_file};

    #[test]
    fn segments_are_summed() {
        let head = "key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap\n";
        let text = format!("{head}0 1 600 9 1 1 2 0 0 0 0 0 0 0 4096 0\n0 2 600 9 1 1 0 0 0 0 0 0 0 0 8192 16\n");
        let expected = SysvShm { segments: 2, rss: 12288, swap: 16, unattached_rss: 8192 };
        assert_eq!(sysv(text.as_bytes()), Ok(expected));
        assert_eq!(sysv(format!("{head}0 1 600\n").as_bytes()).unwrap_err().line, 2);
        for host in [V1_6_18, V2_6_12] {
            assert_eq!(sysv(&proc_file(host, "sysvipc/shm")), Ok(SysvShm::default()), "{host}");
        }
    }
}
