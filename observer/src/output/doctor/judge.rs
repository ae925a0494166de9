//! From facts to checks.

use super::{Check, Group, Verdict, probe_found};
use crate::{
    snapshot::{Name, cgroup::Hierarchy, coverage::ProbeState},
    source::{
        capabilities,
        doctor::{Facts, Found, ProgramType},
    },
    units,
};

/// Locked memory below which maps may not fit, before Linux 5.11 stopped to count them, in bytes.
const MEMLOCK_ENOUGH: u64 = 64 << 20;

/// Every fact with what it means, in the order in which it is shown.
pub fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![kernel(facts), btf(facts)];
    checks.extend(settings(facts));
    checks.push(cgroup(facts));
    checks.extend(rights(facts));
    checks.extend(facts.program_types.iter().map(|t| program_type(t, facts)));
    checks.extend(facts.coverage.probes.iter().map(|probe| {
        let (verdict, mend) = match &probe.state {
            ProbeState::Attached => (Verdict::Ok, None),
            ProbeState::Fallback { .. } => (Verdict::Missing, None),
            ProbeState::Absent { remedy, .. } => (Verdict::Missing, remedy.clone()),
        };
        let mut check = check(Group::Probes, &probe.name, verdict, probe_found(probe));
        check.mend = mend;
        check
    }));
    checks.extend(facts.coverage.sources.iter().map(|source| match &source.missing {
        None => check(Group::Sources, &source.name, Verdict::Ok, "read"),
        Some(reason) => {
            let mend = source.name.starts_with("/proc/pressure").then(|| "boot with psi=1".to_owned());
            Check { mend, ..check(Group::Sources, &source.name, Verdict::Missing, reason.as_str()) }
        }
    }));
    checks
}

fn check(group: Group, name: &str, verdict: Verdict, found: impl Into<String>) -> Check {
    Check { group, name: name.to_owned(), verdict, found: found.into(), mend: None }
}

fn kernel(facts: &Facts) -> Check {
    let host = &facts.host;
    let cpus = host.cpus.map_or(String::new(), |n| format!(", {n} CPUs"));
    check(Group::Host, "kernel", Verdict::Ok, format!("Linux {} {}{cpus}", host.kernel_release, host.machine))
}

fn btf(facts: &Facts) -> Check {
    match &facts.btf {
        Found::Value(btf) => {
            let text = format!("{}, {}", btf.path.display(), units::bytes(btf.bytes as f64));
            check(Group::Host, "BTF", Verdict::Ok, text)
        }
        Found::Missing(reason) => Check {
            mend: Some("run a kernel that is built with CONFIG_DEBUG_INFO_BTF=y".to_owned()),
            ..check(Group::Host, "BTF", Verdict::Missing, format!("{reason}; without it no probe can be loaded"))
        },
    }
}

fn settings(facts: &Facts) -> Vec<Check> {
    let s = &facts.settings;
    let number = |name: &str, value: &Found<i64>, judge: &dyn Fn(i64) -> (Verdict, &'static str)| {
        let (verdict, text) = match value {
            Found::Value(n) => {
                let (verdict, means) = judge(*n);
                (verdict, format!("{n}, {means}"))
            }
            Found::Missing(reason) => (Verdict::Optional, format!("not known: {reason}")),
        };
        check(Group::Host, name, verdict, text)
    };
    let jit = number("net.core.bpf_jit_enable", &s.bpf_jit_enable, &|n| match n {
        0 => (Verdict::Optional, "programs are interpreted, which costs several times as much"),
        _ => (Verdict::Ok, "programs run as machine code"),
    });
    let jit = Check { mend: (jit.verdict != Verdict::Ok).then(|| sysctl("net.core.bpf_jit_enable=1")), ..jit };
    let stats = number("kernel.bpf_stats_enabled", &s.bpf_stats_enabled, &|n| match n {
        0 => (Verdict::Optional, "runs of probes are not counted"),
        _ => (Verdict::Ok, "runs of probes are counted"),
    });
    let stats = Check { mend: (stats.verdict != Verdict::Ok).then(|| sysctl("kernel.bpf_stats_enabled=1")), ..stats };
    vec![
        jit,
        stats,
        number("kernel.unprivileged_bpf_disabled", &s.unprivileged_bpf_disabled, &|n| match n {
            0 => (Verdict::Ok, "no matter to observer, which needs cap_bpf either way"),
            _ => (Verdict::Ok, "BPF is for those with cap_bpf"),
        }),
        number("kernel.perf_event_paranoid", &s.perf_event_paranoid, &|_| {
            (Verdict::Ok, "no matter to those with cap_perfmon")
        }),
        lockdown(&s.lockdown),
        match &s.tracefs {
            Found::Value(path) => check(Group::Host, "tracefs", Verdict::Ok, path.display().to_string()),
            Found::Missing(reason) => {
                let denied = reason.as_str().contains("Permission denied");
                let mount = || "sudo mount -t tracefs tracefs /sys/kernel/tracing".to_owned();
                let mend = Some(if denied { grant(facts) } else { mount() });
                Check { mend, ..check(Group::Host, "tracefs", Verdict::Optional, reason.as_str()) }
            }
        },
    ]
}

fn sysctl(setting: &str) -> String {
    format!("sudo sysctl -w {setting}")
}

fn lockdown(found: &Found<Name>) -> Check {
    match found {
        Found::Value(state) if state.as_str() == "confidentiality" => Check {
            mend: Some("boot with lockdown=integrity".to_owned()),
            ..check(Group::Host, "lockdown", Verdict::Missing, "confidentiality: BPF may not read kernel memory")
        },
        Found::Value(state) => check(Group::Host, "lockdown", Verdict::Ok, state.as_str()),
        Found::Missing(reason) => {
            check(Group::Host, "lockdown", Verdict::Ok, format!("none that the kernel tells of ({reason})"))
        }
    }
}

fn cgroup(facts: &Facts) -> Check {
    match &facts.cgroup {
        Found::Value(mount) => {
            let version = match mount.hierarchy {
                Hierarchy::V1 => "version 1",
                Hierarchy::V2 => "version 2",
                Hierarchy::Hybrid => "version 1, beside a version 2 without it",
            };
            let text = format!("{version}, at {}", Name::from(mount.mounted_at.display().to_string()));
            check(Group::Host, "memory cgroups", Verdict::Ok, text)
        }
        Found::Missing(reason) => check(Group::Host, "memory cgroups", Verdict::Missing, reason.as_str()),
    }
}

fn rights(facts: &Facts) -> Vec<Check> {
    let user = match facts.euid {
        0 => "root".to_owned(),
        uid => format!("uid {uid}"),
    };
    let mut checks = vec![check(Group::Rights, "user", Verdict::Ok, user)];
    match &facts.capabilities {
        Found::Missing(reason) => checks.push(check(Group::Rights, "capabilities", Verdict::Optional, reason.as_str())),
        Found::Value(capabilities) => {
            let admin = capabilities.iter().any(|c| c.name == "cap_sys_admin" && c.held);
            for c in capabilities {
                let stood_in = admin && matches!(c.name, "cap_bpf" | "cap_perfmon");
                let (verdict, found) = match (c.held, stood_in) {
                    (true, _) => (Verdict::Ok, format!("held: {}", c.used_to)),
                    (false, true) => (Verdict::Ok, "cap_sys_admin stands in for it".to_owned()),
                    (false, false) => (Verdict::Missing, format!("not held: {}", c.used_to)),
                };
                let mend = (verdict == Verdict::Missing).then(|| grant(facts));
                checks.push(Check { mend, ..check(Group::Rights, c.name, verdict, found) });
            }
        }
    }
    let memlock = match facts.memlock {
        Found::Value(limit) => match limit.bytes {
            None => check(Group::Rights, "locked memory", Verdict::Ok, "no limit"),
            Some(bytes) => {
                let text = format!("{}; counts for maps only before Linux 5.11", units::bytes(bytes as f64));
                let verdict = if bytes >= MEMLOCK_ENOUGH { Verdict::Ok } else { Verdict::Optional };
                check(Group::Rights, "locked memory", verdict, text)
            }
        },
        Found::Missing(ref reason) => check(Group::Rights, "locked memory", Verdict::Optional, reason.as_str()),
    };
    checks.push(memlock);
    checks
}

/// The command that lets this binary do all it can without being root.
fn grant(facts: &Facts) -> String {
    capabilities::grant_command(&facts.executable)
}

fn program_type(tried: &ProgramType, facts: &Facts) -> Check {
    let Some(refused) = &tried.refused else {
        return check(Group::ProgramTypes, tried.name, Verdict::Ok, tried.used_for);
    };
    let verdict = if tried.needed { Verdict::Missing } else { Verdict::Optional };
    let found = format!("{}; {} failed: {}", tried.used_for, refused.step, refused.reason);
    let held = |name| facts.capabilities.value().is_none_or(|list| list.iter().any(|c| c.name == name && c.held));
    let may = held("cap_sys_admin") || (held("cap_bpf") && held("cap_perfmon"));
    let mend = (!may && refused.step != "prepare").then(|| grant(facts));
    Check { mend, ..check(Group::ProgramTypes, tried.name, verdict, found) }
}
