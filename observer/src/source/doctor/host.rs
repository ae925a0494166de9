//! Settings of the kernel, the memory controller, limits of this process.

use std::{fs, path::PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use serde::Serialize;

use super::Found;
use crate::{
    snapshot::{Name, cgroup::Hierarchy},
    source::{Root, SourceError, cgroup::find, file::Buffer},
};

/// Settings that decide what BPF may do here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// `kernel.unprivileged_bpf_disabled`: 0 everyone may load some programs, 1 and 2 only who has `CAP_BPF`.
    pub unprivileged_bpf_disabled: Found<i64>,
    /// `kernel.perf_event_paranoid`: what those without `CAP_PERFMON` may trace, -1 everything.
    pub perf_event_paranoid: Found<i64>,
    /// `kernel.bpf_stats_enabled`: 1 if the kernel counts runs of programs and their time.
    pub bpf_stats_enabled: Found<i64>,
    /// `net.core.bpf_jit_enable`: 0 if programs are interpreted, which is slow.
    pub bpf_jit_enable: Found<i64>,
    /// Lockdown of the kernel: `none`, `integrity` or `confidentiality`. Source: /sys/kernel/security/lockdown.
    pub lockdown: Found<Name>,
    /// Folder of tracefs, with `events` in it that can be read.
    pub tracefs: Found<PathBuf>,
}

impl Settings {
    pub(super) fn read(root: &Root) -> Self {
        let number = |name: &str| -> Found<i64> {
            let path = root.path(format!("/proc/sys/{name}"));
            let text = fs::read_to_string(&path).map_err(|e| SourceError::io("read", name.as_bytes(), e));
            let parsed = text.map(|t| t.trim().parse::<i64>().map_err(|_| format!("{name} is no number")));
            match parsed {
                Ok(value) => value.into(),
                Err(e) => Found::Missing(e.reason()),
            }
        };
        Self {
            unprivileged_bpf_disabled: number("kernel/unprivileged_bpf_disabled"),
            perf_event_paranoid: number("kernel/perf_event_paranoid"),
            bpf_stats_enabled: number("kernel/bpf_stats_enabled"),
            bpf_jit_enable: number("net/core/bpf_jit_enable"),
            lockdown: lockdown(root),
            tracefs: tracefs(root),
        }
    }
}

/// The word in brackets of `[none] integrity confidentiality`.
fn lockdown(root: &Root) -> Found<Name> {
    const PATH: &str = "/sys/kernel/security/lockdown";
    let text = match fs::read_to_string(root.path(PATH)) {
        Ok(text) => text,
        Err(e) => return Found::Missing(SourceError::io("read", PATH, e).reason()),
    };
    let word = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| Name::from(word));
    word.ok_or_else(|| format!("{PATH} marks no state")).into()
}

fn tracefs(root: &Root) -> Found<PathBuf> {
    let folders = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let mut reason = None;
    for folder in folders {
        let events = root.path(folder).join("events");
        match fs::read_dir(&events) {
            Ok(_) => return Found::Value(PathBuf::from(folder)),
            Err(e) => reason = reason.or(Some(SourceError::io("open", events.as_os_str().as_encoded_bytes(), e))),
        }
    }
    Found::Missing(reason.map_or_else(|| Name::from("no folder to look in"), |e| e.reason()))
}

/// Where the memory controller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CgroupMount {
    /// Which hierarchy carries it.
    pub hierarchy: Hierarchy,
    /// Where that is mounted.
    pub mounted_at: PathBuf,
}

pub(super) fn memory_cgroup(root: &Root, buffer: &mut Buffer) -> Result<CgroupMount, SourceError> {
    let mount = find::memory_mount(root, buffer)?;
    Ok(CgroupMount { hierarchy: mount.hierarchy, mounted_at: mount.folder() })
}

/// Limit of locked memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memlock {
    /// Bytes; `None` if there is no limit.
    pub bytes: Option<u64>,
}

pub(super) fn memlock() -> Result<Memlock, nix::Error> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    Ok(Memlock { bytes: (soft != RLIM_INFINITY).then_some(soft) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_settings_gives_reasons() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        let settings = Settings::read(&root);
        assert!(settings.bpf_jit_enable.missing().is_some() && settings.tracefs.missing().is_some());

        let write = |path: &str, text: &str| {
            let path = root.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("/proc/sys/net/core/bpf_jit_enable", "1\n");
        write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        fs::create_dir_all(root.path("/sys/kernel/debug/tracing/events")).unwrap();
        let settings = Settings::read(&root);
        assert_eq!(settings.bpf_jit_enable, Found::Value(1));
        assert_eq!(settings.lockdown, Found::Value(Name::from("integrity")));
        assert_eq!(settings.tracefs, Found::Value(PathBuf::from("/sys/kernel/debug/tracing")));
    }
}
