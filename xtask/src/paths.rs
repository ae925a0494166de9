//! Where things are. Everything that is made lies under the project's own `target/`.

use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The project's root folder.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder for what this tool makes: tools, the eBPF object, VM images, logs. `CARGO_TARGET_DIR` does not move it,
/// because the build script of observer looks for the object here.
pub(crate) fn work() -> PathBuf {
    root().join("target")
}

/// Cargo's target folder for programs of the host.
pub(crate) fn cargo_target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(work, |dir| root().join(dir))
}

/// The release binary of observer.
pub(crate) fn observer_binary() -> PathBuf {
    cargo_target().join("release/observer")
}

/// Programs installed for the project's own use.
pub(crate) fn tools() -> PathBuf {
    work().join("tools")
}

/// The finished eBPF object.
pub(crate) fn ebpf_object() -> PathBuf {
    work().join("ebpf/observer-ebpf.o")
}

/// A log file of that name, in a folder that is there.
pub(crate) fn log(name: &str) -> Result<PathBuf> {
    let logs = work().join("xtask-logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    Ok(logs.join(format!("{name}.log")))
}

/// Finds a program the way a shell would, in `PATH` and in the folders of administrators that a user's `PATH` may lack.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let admin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(admin).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
