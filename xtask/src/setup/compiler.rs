//! The compiler of the eBPF side: any recent one whose sysroot has the sources of `core`, which no prebuilt standard
//! library replaces for this target.

use super::apt;
use crate::{exec, paths};
use anyhow::{Context, Result, bail};
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a sysroot has the sources of `core`.
const CORE: &str = "lib/rustlib/src/rust/library/core";
/// Debian's packages that bring a compiler, its cargo and the matching sources.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// The oldest Rust that builds the project (`rust-version` in Cargo.toml), as (major, minor).
const OLDEST: (u32, u32) = (1, 95);
/// Versions of LLVM that the pinned bpf-linker can be built against.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// A Rust compiler with the sources of `core`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// Folder with `bin/rustc`, `bin/cargo` and `lib/rustlib`.
    pub(crate) sysroot: PathBuf,
    /// As `rustc -vV` says, such as `1.96.0`.
    pub(crate) release: String,
    /// Major version of the LLVM that writes the bitcode.
    pub(crate) llvm: u32,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} (LLVM {}) in {}", self.release, self.llvm, self.sysroot.display())
    }
}

impl Compiler {
    /// A program of this toolchain.
    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.sysroot.join("bin").join(name)
    }

    /// Makes a cargo of this toolchain use this compiler and nothing of the one that runs now, and allows it to build
    /// `core` from source, which a stable compiler otherwise refuses.
    pub(crate) fn configure(&self, cargo: &mut Command) {
        exec::clean(cargo);
        for inherited in
            ["CARGO", "RUSTUP_TOOLCHAIN", "CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"]
        {
            cargo.env_remove(inherited);
        }
        cargo.env("RUSTC", self.bin("rustc")).env("RUSTC_BOOTSTRAP", "1").current_dir(paths::root());
    }
}

/// Finds a compiler, or installs one, or says how.
pub(crate) fn get() -> Result<Compiler> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if apt::usable() && apt_has_packages()? {
        apt::install("building the eBPF side", &PACKAGES)?;
    } else if let Some(rustup) = paths::program("rustup") {
        let mut command = Command::new(rustup);
        command.args(["component", "add", "rust-src"]).current_dir(paths::root());
        exec::step("adding rust-src by rustup", &mut command).with_context(|| {
            format!("no Rust compiler here has the sources of `core`, and rustup cannot add them; {}", advice())
        })?;
    } else {
        bail!("no Rust compiler here has the sources of `core`; {}", advice());
    }
    find().with_context(|| {
        format!("still no Rust compiler from {}.{} on has the sources of `core`; {}", OLDEST.0, OLDEST.1, advice())
    })
}

/// The one command to run where this tool may not install anything.
fn advice() -> String {
    if paths::program("apt-get").is_some() {
        format!("install them with: {}", apt::command_for(&PACKAGES))
    } else {
        "install them with: rustup component add rust-src".to_owned()
    }
}

fn apt_has_packages() -> Result<bool> {
    apt::refresh()?;
    let names = apt::names("rust-web-src")?;
    Ok(names.iter().any(|name| name == "rust-web-src"))
}

/// The first compiler that will do.
fn find() -> Option<Compiler> {
    first(&sysroots(), |sysroot| {
        let rustc = sysroot.join("bin/rustc");
        exec::capture(Command::new(rustc).arg("-vV").env_remove("LD_LIBRARY_PATH")).ok()
    })
}

/// Picks from `sysroots`, in their order, the first that has the sources and is neither too old nor of an LLVM that
/// bpf-linker does not know. `version` runs `rustc -vV` in one.
fn first(sysroots: &[PathBuf], version: impl Fn(&Path) -> Option<String>) -> Option<Compiler> {
    sysroots.iter().filter(|sysroot| sysroot.join(CORE).is_dir() && sysroot.join("bin/cargo").exists()).find_map(
        |sysroot| {
            let (release, llvm) = parse_version(&version(sysroot)?)?;
            let fits = minor(&release)? >= OLDEST && LLVM.contains(&llvm);
            fits.then(|| Compiler { sysroot: sysroot.clone(), release, llvm })
        },
    )
}

/// The active compiler's sysroot, then every toolchain of rustup (stable ones first), then the system's.
fn sysroots() -> Vec<PathBuf> {
    let mut all = Vec::new();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if let Ok(active) = exec::capture(Command::new(rustc).args(["--print", "sysroot"]).current_dir(paths::root())) {
        all.push(PathBuf::from(active.trim()));
    }
    let home = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".rustup")));
    if let Some(Ok(entries)) = home.map(|home| fs::read_dir(home.join("toolchains"))) {
        let mut toolchains: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        toolchains.sort_by_key(|path| (path.to_string_lossy().contains("nightly"), path.clone()));
        all.extend(toolchains);
    }
    all.push("/usr".into());
    all.dedup();
    all
}

/// The release and the major version of LLVM, from the output of `rustc -vV`.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let llvm = value("LLVM version:")?.split('.').next()?.parse().ok()?;
    Some((value("release:")?.to_owned(), llvm))
}

/// Major and minor number of a release such as `1.96.0` or `1.97.0-nightly`.
fn minor(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbose(release: &str, llvm: &str) -> String {
        format!(
            "rustc {release} (0123456 2026-01-01)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: {release}\nLLVM version: {llvm}\n"
        )
    }

    /// Sysroots in a folder of their own, each with or without sources, and the version each reports.
    fn choose(name: &str, toolchains: &[(&str, bool, &str, &str)]) -> Option<(String, u32)> {
        let dir = env::temp_dir().join(format!("observer-xtask-{name}-{}", std::process::id()));
        let mut roots = Vec::new();
        for (toolchain, sources, _, _) in toolchains {
            let root = dir.join(toolchain);
            fs::create_dir_all(root.join("bin")).unwrap();
            fs::write(root.join("bin/cargo"), "").unwrap();
            if *sources {
                fs::create_dir_all(root.join(CORE)).unwrap();
            }
            roots.push(root);
        }
        let found = first(&roots, |root| {
            let (.., release, llvm) = toolchains.iter().find(|(toolchain, ..)| root.ends_with(toolchain))?;
            Some(verbose(release, llvm))
        });
        fs::remove_dir_all(&dir).unwrap();
        found.map(|compiler| (compiler.release, compiler.llvm))
    }

    #[test]
    fn the_first_with_sources_is_taken() {
        let found = choose(
            "first",
            &[
                ("stable", false, "1.95.0", "22.1.2"),
                ("beta", true, "1.96.0", "22.1.8"),
                ("usr", true, "1.96.1", "22.1.8"),
            ],
        );
        assert_eq!(found, Some(("1.96.0".to_owned(), 22)));
    }

    #[test]
    fn old_compilers_and_unknown_llvm_are_passed_over() {
        let found = choose(
            "old",
            &[
                ("a", true, "1.85.0", "21.1.0"),
                ("b", true, "1.99.0", "24.0.0"),
                ("c", true, "1.97.0-nightly", "22.1.5"),
            ],
        );
        assert_eq!(found, Some(("1.97.0-nightly".to_owned(), 22)));
    }

    #[test]
    fn none_is_found_where_none_has_sources() {
        assert_eq!(choose("none", &[("stable", false, "1.95.0", "22.1.2")]), None);
    }

    #[test]
    fn broken_output_is_no_version() {
        assert_eq!(parse_version("rustc 1.95.0\n"), None);
        assert_eq!(minor("nightly"), None);
    }
}
