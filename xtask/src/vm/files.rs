//! Puts files of this machine into a guest: a program comes with the shared libraries it loads.

use super::archive::Archive;
use crate::exec;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Adds a file, or a folder with all that is in it, at `dest`.
pub(super) fn add(archive: &mut Archive, from: &Path, dest: &str) -> Result<()> {
    let meta = fs::metadata(from).with_context(|| format!("cannot add {}", from.display()))?;
    if meta.is_dir() {
        archive.folder(dest);
        for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
            let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
            add(archive, &entry.path(), &format!("{dest}/{}", entry.file_name().to_string_lossy()))?;
        }
        return Ok(());
    }
    archive.file(dest, meta.permissions().mode() & 0o7777, from.to_owned());
    for library in libraries(from) {
        let dest = library.to_string_lossy().into_owned();
        if !archive.has(&dest) {
            archive.file(&dest, 0o755, library);
        }
    }
    Ok(())
}

/// Shared libraries that a program loads, and its dynamic linker. A script, data and a static program have none.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let is_elf = fs::File::open(program).is_ok_and(|mut file| {
        let mut magic = [0; 4];
        std::io::Read::read_exact(&mut file, &mut magic).is_ok() && &magic == b"\x7fELF"
    });
    if !is_elf {
        return Vec::new();
    }
    exec::capture(Command::new("ldd").arg(program).env_remove("LD_LIBRARY_PATH"))
        .map(|text| parse_ldd(&text))
        .unwrap_or_default()
}

/// Paths in the output of `ldd`: `name => /path (address)`, or `/path (address)`.
fn parse_ldd(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let path = line.split_once("=> ").map_or(line, |(_, path)| path).split(" (").next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_dynamic_linker_are_found() {
        let text = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlibgone.so => not found\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(parse_ldd(text), expected);
        assert_eq!(parse_ldd("\tstatically linked\n"), Vec::<PathBuf>::new());
    }
}
