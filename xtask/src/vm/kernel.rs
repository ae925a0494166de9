//! Stock Debian kernels: which one, from where, unpacked where.

use crate::exec;
use crate::setup::apt;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A series of kernels that the project is tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Series {
    /// Debian 12's own
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's backport
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    /// As people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// How the names of its packages begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::V6_1 => "linux-image-6.1.0-",
            Self::V6_12 => "linux-image-6.12.",
        }
    }
}

/// An unpacked kernel package.
pub(super) struct Kernel {
    /// As `uname -r` says in the guest.
    pub(super) release: String,
    /// The kernel itself.
    pub(super) image: PathBuf,
    /// Folder with the modules.
    pub(super) modules: PathBuf,
    /// Folder of the package in the cache.
    pub(super) home: PathBuf,
}

/// The newest kernel of a series, from the cache or from apt.
pub(super) fn get(series: Series, cache: &Path) -> Result<Kernel> {
    let cached = cached(cache);
    // Without lists of packages, and without the right to fetch them, the cache is all there is.
    let offered = apt::refresh().and_then(|()| apt::names(series.prefix())).unwrap_or_default();
    let package = newest(series, &offered).or_else(|| newest(series, &cached)).with_context(|| {
        format!("apt offers no kernel {}*-cloud-amd64 (are its lists there? {})", series.prefix(), "apt-get update")
    })?;
    let home = cache.join(&package);
    if !home.exists() {
        download(&package, cache, &home)?;
    }
    open(&package, home)
}

fn cached(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The newest build for clouds among names of packages. Those kernels are the smallest and boot fastest.
fn newest(series: Series, names: &[String]) -> Option<String> {
    let build = |name: &str| -> Option<u32> {
        let rest = name.strip_prefix(series.prefix())?.strip_suffix("-cloud-amd64")?;
        rest.split('+').next()?.parse().ok()
    };
    let newest = names.iter().filter_map(|name| Some((build(name)?, name))).max_by_key(|(build, _)| *build);
    newest.map(|(_, name)| name.clone())
}

/// Downloads and unpacks a package; it appears in the cache whole or not at all.
fn download(package: &str, cache: &Path, home: &Path) -> Result<()> {
    let work = cache.join(format!("download-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let mut command = apt::apt_get();
    if exec::is_root() {
        // apt's own user may not write here.
        command.args(["-o", "APT::Sandbox::User=root"]);
    }
    exec::step(&format!("downloading {package}"), command.arg("download").arg(package).current_dir(&work))?;
    let deb = only_entry(&work)?;
    let unpacked = work.join("unpacked");
    exec::step(&format!("unpacking {package}"), Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(&unpacked))?;
    fs::rename(&unpacked, home)
        .with_context(|| format!("cannot rename {} to {}", unpacked.display(), home.display()))?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

fn open(package: &str, home: PathBuf) -> Result<Kernel> {
    let release = package.trim_start_matches("linux-image-").to_owned();
    let image = home.join("boot").join(format!("vmlinuz-{release}"));
    if !image.exists() {
        bail!("{} is not there; remove {} and try again", image.display(), home.display());
    }
    let places = ["lib/modules", "usr/lib/modules"].map(|place| home.join(place).join(&release));
    let modules =
        places.into_iter().find(|place| place.is_dir()).with_context(|| format!("{package} has no modules"))?;
    Ok(Kernel { release, image, modules, home })
}

fn only_entry(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let first = entries.next().with_context(|| format!("{} is empty", folder.display()))?;
    Ok(first.with_context(|| format!("cannot read {}", folder.display()))?.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_cloud_build_is_taken_by_number() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-57-cloud-amd64-unsigned",
            "linux-image-6.1.0-58-amd64",
            "linux-image-6.1.0-59-rt-amd64",
            "linux-image-6.12.100+deb12-cloud-amd64",
            "linux-image-6.12.99+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64-dbg",
            "initrd",
        ]
        .map(str::to_owned);
        assert_eq!(newest(Series::V6_1, &names).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(Series::V6_12, &names).as_deref(), Some("linux-image-6.12.100+deb12-cloud-amd64"));
        assert_eq!(newest(Series::V6_12, &[]), None);
    }
}
