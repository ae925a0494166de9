//! Without root: it serves what it can see and says what it cannot.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use crate::{
    exposition::Exposition,
    http,
    target::{Target, is_root, run_to_end},
};

/// uid and gid of `nobody`.
const NOBODY: u32 = 65_534;

/// The binary where nobody may execute it.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_observer"), folder.path().join("observer")).unwrap();
        Self(folder)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.0.path().join("observer"));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir("/");
        command
    }
}

#[test]
fn nobody_gets_what_the_system_shows_and_the_reasons() {
    let copy = Copy::new();
    let target = Target::run(&mut copy.command(), &[]);
    let metrics = Exposition::parse(&http::get(target.address, "/metrics").text());
    // What the kernel side would know is absent, and not a zero.
    let of_probes =
        ["observer_page_alloc", "observer_oom_kills_total", "observer_oom_cgroup", "observer_oom_last_kill"];
    for (name, _) in metrics.samples.keys() {
        let read_from_files = name == "observer_oom_cgroups_not_read";
        assert!(read_from_files || !of_probes.iter().any(|start| name.starts_with(start)), "{name}");
    }
    // Kills are counted by what anybody may read.
    let sources: Vec<_> = metrics.of("observer_oom_source_kills_total").map(|(l, _)| l["source"].clone()).collect();
    assert!(sources.iter().any(|s| s == "vmstat") && !sources.iter().any(|s| s == "probe"), "{sources:?}");
    let probes: Vec<_> = metrics.of("observer_probe_attached").collect();
    assert!(!probes.is_empty() && probes.iter().all(|(_, attached)| *attached == 0.0), "{probes:?}");
    assert!(metrics.of("observer_source_readable").any(|(l, v)| l["source"] == "/proc/meminfo" && v == 1.0));
    let page = http::get(target.address, "/").text();
    assert!(page.contains("<span class=bad>absent</span>: "), "{page}");
}

#[test]
fn a_privileged_port_is_refused_by_name() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
    if first.is_none_or(|n| n.trim().parse::<u16>().is_ok_and(|n| n <= 7)) {
        println!("SKIPPED a_privileged_port_is_refused_by_name: ip_unprivileged_port_start lets everyone take port 7");
        return;
    }
    let copy = Copy::new();
    let (code, _, stderr) = run_to_end(copy.command().args(["serve", "--listen", "127.0.0.1:7"]));
    assert_eq!(code, Some(1));
    let expected =
        "observer: cannot listen on 127.0.0.1:7: no permission; a port below 1024 needs CAP_NET_BIND_SERVICE\n";
    assert_eq!(stderr, expected);
}
