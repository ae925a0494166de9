//! Debian packages: installed where that is possible, named in one command where it is not.

use crate::{exec, paths};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Where apt keeps the lists of packages it has fetched.
const LISTS: &str = "/var/lib/apt/lists";

/// True where packages can be installed without asking anyone.
pub(crate) fn usable() -> bool {
    exec::is_root() && paths::program("apt-get").is_some()
}

/// Installs packages, or fails with the one command that does.
pub(crate) fn install(why: &str, packages: &[&str]) -> Result<()> {
    if !usable() {
        bail!("{why} needs {}; install it with: {}", packages.join(", "), command_for(packages));
    }
    refresh()?;
    exec::step(
        &format!("installing {}", packages.join(" ")),
        apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages),
    )
    .with_context(|| format!("{why} needs {}", packages.join(", ")))
}

/// Installs the packages of those programs that are not in `PATH`. Each pair is (program, package).
pub(crate) fn need(why: &str, programs: &[(&str, &'static str)]) -> Result<()> {
    if missing(programs).is_empty() {
        return Ok(());
    }
    // Whoever waited here may find that another has installed them.
    let _lock = super::lock("apt")?;
    let missing = missing(programs);
    if missing.is_empty() { Ok(()) } else { install(why, &missing) }
}

fn missing(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        programs.iter().filter(|(program, _)| paths::program(program).is_none()).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// The command that a person has to run where this tool may not.
pub(crate) fn command_for(packages: &[&str]) -> String {
    let sudo = if exec::is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Fetches the lists of packages, once: those of a machine's image are as old as the image, and may name versions that are
/// too old or gone. Where they cannot be fetched, old ones are better than none.
pub(crate) fn refresh() -> Result<()> {
    static FETCHED: Mutex<bool> = Mutex::new(false);
    let mut fetched = FETCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if *fetched {
        return Ok(());
    }
    if let Err(error) = exec::step("fetching package lists", apt_get().arg("update")) {
        if !has_lists(Path::new(LISTS)) {
            return Err(error);
        }
        exec::say(&format!("{error:#}; the lists that are there must do"));
    }
    *fetched = true;
    Ok(())
}

/// The names of all packages whose name begins with `prefix`.
pub(crate) fn names(prefix: &str) -> Result<Vec<String>> {
    let mut command = Command::new("apt-cache");
    command.args(["pkgnames", prefix]);
    Ok(exec::capture(&mut command)?.lines().map(str::to_owned).collect())
}

/// apt-get, told to ask nothing and to wait while another one runs.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
    exec::clean(&mut command);
    command
}

/// A machine fresh from its image has an empty folder here, or only `lock` and `partial`.
fn has_lists(dir: &Path) -> bool {
    fs::read_dir(dir)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_seen_only_when_a_list_of_packages_is_there() {
        let dir = std::env::temp_dir().join(format!("observer-xtask-lists-{}", std::process::id()));
        fs::create_dir_all(dir.join("partial")).unwrap();
        fs::write(dir.join("lock"), "").unwrap();
        assert!(!has_lists(&dir));
        fs::write(dir.join("mirror.example_debian_dists_bookworm_main_binary-amd64_Packages.lz4"), "").unwrap();
        assert!(has_lists(&dir));
        fs::remove_dir_all(&dir).unwrap();
        assert!(!has_lists(&dir));
    }

    #[test]
    fn programs_that_are_there_need_nothing() {
        need("a test", &[("sh", "dash")]).unwrap();
    }
}
