//! An archive that the kernel unpacks as its first root file system: cpio in the `newc` format, uncompressed, because an
//! emulated processor unpacks slowly, and because such archives can be joined.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// Folders that are links on Debian: `/bin` is `/usr/bin`, and so on.
pub(super) const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Files of a guest by path, without leading slash. Sorted, so that a folder comes before what is in it.
#[derive(Default)]
pub(super) struct Archive {
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    Folder,
    Link(String),
    Bytes {
        mode: u32,
        bytes: Vec<u8>,
    },
    /// Read from here when the archive is written.
    Host {
        mode: u32,
        path: PathBuf,
    },
}

impl Archive {
    /// True when there is something at that path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.entries.contains_key(&inside(path))
    }

    /// Adds an empty folder, and those above it.
    pub(super) fn folder(&mut self, path: &str) {
        let path = inside(path);
        self.parents(&path);
        self.entries.entry(path).or_insert(Entry::Folder);
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, to: &str) {
        self.put(path, Entry::Link(to.to_owned()));
    }

    /// Adds a file with this text.
    pub(super) fn text(&mut self, path: &str, mode: u32, text: &str) {
        self.bytes(path, mode, text.as_bytes().to_vec());
    }

    /// Adds a file with these bytes.
    pub(super) fn bytes(&mut self, path: &str, mode: u32, bytes: Vec<u8>) {
        self.put(path, Entry::Bytes { mode, bytes });
    }

    /// Adds a file of this machine.
    pub(super) fn file(&mut self, path: &str, mode: u32, from: PathBuf) {
        self.put(path, Entry::Host { mode, path: from });
    }

    fn put(&mut self, path: &str, entry: Entry) {
        // The links of merged folders are themselves entries of the root.
        let path = if MERGED.contains(&path) { path.to_owned() } else { inside(path) };
        self.parents(&path);
        self.entries.insert(path, entry);
    }

    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            if let Some(parent) = path.get(..end) {
                self.entries.entry(parent.to_owned()).or_insert(Entry::Folder);
            }
        }
    }

    /// Writes the archive.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<()> {
        for (number, (path, entry)) in self.entries.iter().enumerate() {
            let (mode, bytes) = match entry {
                Entry::Folder => (0o040_755, Vec::new()),
                Entry::Link(to) => (0o120_777, to.clone().into_bytes()),
                Entry::Bytes { mode, bytes } => (0o100_000 | mode, bytes.clone()),
                Entry::Host { mode, path } => {
                    (0o100_000 | mode, fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
                }
            };
            member(out, number + 1, path, mode, &bytes)?;
        }
        member(out, 0, "TRAILER!!!", 0, &[])?;
        Ok(())
    }
}

/// One member: a header of 13 numbers in hexadecimal, the name, the bytes; name and bytes padded to 4.
fn member(out: &mut dyn Write, inode: usize, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let size = bytes.len();
    let name_size = name.len() + 1;
    // inode, mode, uid, gid, links, mtime, size, device (major, minor), special device (major, minor), name, checksum
    let numbers = [inode, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    out.write_all(b"070701")?;
    for number in numbers {
        write!(out, "{number:08x}")?;
    }
    out.write_all(name.as_bytes())?;
    const HEADER: usize = 6 + 13 * 8;
    out.write_all(padding(HEADER + name_size, 1))?;
    out.write_all(bytes)?;
    out.write_all(padding(size, 0))
}

/// Zeros that bring `length` to a multiple of 4, after `least` zeros that are there in any case.
fn padding(length: usize, least: usize) -> &'static [u8] {
    const ZEROS: [u8; 4] = [0; 4];
    let count = least + length.wrapping_neg() % 4;
    ZEROS.get(..count).unwrap_or(&ZEROS)
}

/// A path of the guest as it is in an archive: without leading slash, and below `usr` where `/bin` and the like are links.
fn inside(path: &str) -> String {
    let path = path.trim_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if MERGED.contains(&first) { format!("usr/{path}") } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn paths_of_merged_folders_are_below_usr() {
        assert_eq!(inside("/bin/sh"), "usr/bin/sh");
        assert_eq!(inside("/lib64/ld-linux-x86-64.so.2"), "usr/lib64/ld-linux-x86-64.so.2");
        assert_eq!(inside("/library/x"), "library/x");
        assert_eq!(inside("/usr/bin/x"), "usr/bin/x");
    }

    #[test]
    fn members_have_parents_before_them_and_are_aligned() {
        let mut archive = Archive::default();
        archive.link("bin", "usr/bin");
        archive.text("/bin/a", 0o755, "12345");
        archive.folder("proc");
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let mut names = Vec::new();
        let mut at = 0;
        while bytes[at..].starts_with(b"070701") {
            let number = |n: usize| {
                let start = at + 6 + n * 8;
                usize::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
            };
            let (size, name_size) = (number(6), number(11));
            let name = &bytes[at + 110..at + 110 + name_size - 1];
            names.push(String::from_utf8(name.to_vec()).unwrap());
            at += (110 + name_size).next_multiple_of(4) + size.next_multiple_of(4);
            if at >= bytes.len() {
                break;
            }
        }
        assert_eq!(at, bytes.len());
        assert_eq!(names, ["bin", "proc", "usr", "usr/bin", "usr/bin/a", "TRAILER!!!"]);
    }

    #[test]
    fn cpio_reads_it_back() {
        if crate::paths::program("cpio").is_none() {
            return;
        }
        let mut archive = Archive::default();
        archive.text("a/b", 0o600, "text");
        archive.link("a/c", "b");
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        let mut cpio = Command::new("cpio")
            .args(["-itv", "--quiet", "--numeric-uid-gid"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cpio.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = cpio.wait_with_output().unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(
            listing.contains("-rw-------   1 0        0               4") && listing.contains("a/c -> b"),
            "{listing}"
        );
    }
}
