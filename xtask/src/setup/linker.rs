//! bpf-linker, built from source into `target/tools` against the LLVM that the compiler itself uses: bitcode of another
//! major version would not be understood.

use super::{Compiler, apt};
use crate::{exec, paths};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pinned together with the compiler's LLVM: newer or older ones refuse or miscompile each other's bitcode.
pub(crate) const VERSION: &str = "0.13.0";

/// Finds bpf-linker in the project's tools, or builds it.
pub(crate) fn get(compiler: &Compiler) -> Result<PathBuf> {
    let tools = paths::tools();
    let linker = tools.join("bin/bpf-linker");
    let stamp_path = tools.join("bpf-linker.stamp");
    let library = llvm_library(compiler)?;
    let stamp = format!("bpf-linker {VERSION}, LLVM {} from {}\n", compiler.llvm, library.display());
    if fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) && works(&linker) {
        return Ok(linker);
    }
    link_library(&tools.join("llvm"), &library)?;
    apt_c_compiler()?;
    let build = tools.join("build");
    let mut install = exec::cargo();
    install
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force", "--no-default-features"])
        .arg("--features")
        .arg(format!("llvm-{}", compiler.llvm))
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(&build)
        .env("LLVM_PREFIX", tools.join("llvm"))
        // Relative to the program, so that the folder can be moved.
        .env("RUSTFLAGS", "-C link-arg=-Wl,-rpath,$ORIGIN/../llvm/lib");
    exec::step(&format!("building bpf-linker {VERSION} for LLVM {}", compiler.llvm), &mut install)?;
    exec::capture(Command::new(&linker).arg("--version").env_remove("LD_LIBRARY_PATH"))
        .context("bpf-linker was built but does not start")?;
    fs::write(&stamp_path, stamp).with_context(|| format!("cannot write {}", stamp_path.display()))?;
    // Only what was built matters from here on. Left behind it costs disk space, no more.
    let _ = fs::remove_dir_all(build);
    Ok(linker)
}

fn works(linker: &Path) -> bool {
    let version = exec::capture(Command::new(linker).arg("--version").env_remove("LD_LIBRARY_PATH"));
    version.is_ok_and(|text| text.trim() == format!("bpf-linker {VERSION}"))
}

/// A linker for host programs: Rust needs one, and an image may come without it.
fn apt_c_compiler() -> Result<()> {
    apt::need("building bpf-linker", &[("cc", "gcc")])
}

/// The shared LLVM library that the compiler itself loads, or another of the same major version.
fn llvm_library(compiler: &Compiler) -> Result<PathBuf> {
    if let Some(found) =
        loaded_by(&compiler.bin("rustc")).or_else(|| in_folder(&compiler.sysroot.join("lib"), compiler.llvm))
    {
        return Ok(found);
    }
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{}/lib", compiler.llvm));
    if let Some(found) = in_folder(&prefix, compiler.llvm) {
        return Ok(found);
    }
    let package = format!("llvm-{}-dev", compiler.llvm);
    apt::install("building bpf-linker", &[&package])?;
    in_folder(&prefix, compiler.llvm)
        .with_context(|| format!("{package} is installed but {} has no libLLVM", prefix.display()))
}

/// What the dynamic linker finds for the compiler.
fn loaded_by(rustc: &Path) -> Option<PathBuf> {
    // rustup's rustc is a small program around librustc_driver; `ldd` follows that too.
    llvm_of_ldd(&exec::capture(Command::new("ldd").arg(rustc).env_remove("LD_LIBRARY_PATH")).ok()?)
}

/// The path of libLLVM in the output of `ldd`.
fn llvm_of_ldd(text: &str) -> Option<PathBuf> {
    let line = text.lines().find(|line| line.trim_start().starts_with("libLLVM"))?;
    let path = line.split("=> ").nth(1)?.split(" (").next()?.trim();
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// A `libLLVM` of this major version in a folder.
fn in_folder(folder: &Path, major: u32) -> Option<PathBuf> {
    let wanted = [format!("libLLVM.so.{major}"), format!("libLLVM-{major}.so")];
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| wanted.iter().any(|name| entry.file_name().to_string_lossy().starts_with(name)))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.into_iter().next()
}

/// Makes `prefix/lib` hold the library under the name that a build links against, and under the one it loads at run time.
fn link_library(prefix: &Path, library: &Path) -> Result<()> {
    let lib = prefix.join("lib");
    // From an earlier compiler, perhaps. A folder that is not there is as good.
    let _ = fs::remove_dir_all(prefix);
    fs::create_dir_all(&lib).with_context(|| format!("cannot create {}", lib.display()))?;
    let own_name = library.file_name().context("libLLVM has no file name")?;
    for name in [own_name, "libLLVM.so".as_ref()] {
        symlink(library, lib.join(name))
            .with_context(|| format!("cannot link {} into {}", library.display(), lib.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_that_the_compiler_loads_is_read_from_ldd() {
        let text = "\tlinux-vdso.so.1 (0x00007f)\n\tlibrustc_driver-6108.so => /r/bin/../lib/librustc_driver-6108.so (0x00007f)\n\
                    \tlibLLVM.so.22.1-rust-1.95.0-stable => /r/bin/../lib/../lib/libLLVM.so.22.1-rust-1.95.0-stable (0x00007f)\n";
        assert_eq!(llvm_of_ldd(text), Some("/r/bin/../lib/../lib/libLLVM.so.22.1-rust-1.95.0-stable".into()));
        assert_eq!(llvm_of_ldd("\tlibLLVM.so.22 => not found\n"), None);
        assert_eq!(llvm_of_ldd("\tstatically linked\n"), None);
    }
}
