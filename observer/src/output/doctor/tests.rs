//! What facts mean, on hosts with everything, with less, and with nothing.

use std::path::{Path, PathBuf};

use super::*;
use crate::{
    output::text::width,
    snapshot::{
        Coverage, Host, Name,
        cgroup::Hierarchy,
        coverage::{Loss, Source},
    },
    source::{
        capabilities::{Capability, USED, grant_command},
        doctor::{BtfFile, CgroupMount, Found, Memlock, ProgramType, Refused, Settings},
    },
};

fn facts() -> Facts {
    let probe = |name: &str| Probe {
        name: name.to_owned(),
        attach: format!("tp_btf/{name}"),
        feeds: name.to_owned(),
        state: ProbeState::Attached,
        fields_missing: Vec::new(),
        runs: None,
        recursion_misses: None,
    };
    Facts {
        host: Host { kernel_release: Name::from("6.12.1"), machine: Name::from("x86_64"), ..Host::default() },
        btf: Found::Value(BtfFile { path: PathBuf::from("/sys/kernel/btf/vmlinux"), bytes: 5 << 20 }),
        program_types: vec![ProgramType { name: "tp_btf", used_for: "probes", needed: true, refused: None }],
        settings: Settings {
            unprivileged_bpf_disabled: Found::Value(2),
            perf_event_paranoid: Found::Value(2),
            bpf_stats_enabled: Found::Value(0),
            bpf_jit_enable: Found::Value(1),
            lockdown: Found::Value(Name::from("none")),
            tracefs: Found::Value(PathBuf::from("/sys/kernel/tracing")),
        },
        capabilities: Found::Value(capabilities(true)),
        euid: 0,
        cgroup: Found::Value(CgroupMount { hierarchy: Hierarchy::V2, mounted_at: PathBuf::from("/sys/fs/cgroup") }),
        memlock: Found::Value(Memlock { bytes: None }),
        coverage: Coverage {
            probes: vec![probe("page_alloc"), probe("oom")],
            sources: vec![Source { name: Source::MEMINFO.to_owned(), missing: None }],
            losses: vec![Loss { what: "oom events".to_owned(), count: 0 }],
            ..Coverage::default()
        },
        executable: PathBuf::from("/usr/bin/observer"),
    }
}

fn capabilities(held: bool) -> Vec<Capability> {
    USED.iter().map(|(_, name, used_to)| Capability { name, used_to, held }).collect()
}

fn refuse(facts: &mut Facts) {
    let reason = Name::from("Operation not permitted (os error 1)");
    let remedy = Some(grant_command(Path::new("/usr/bin/observer")));
    for probe in &mut facts.coverage.probes {
        probe.state = ProbeState::Absent { reason: reason.clone(), replaced_by: None, remedy: remedy.clone() };
    }
    for tried in &mut facts.program_types {
        tried.refused = Some(Refused { step: "load", reason: reason.clone() });
    }
    facts.capabilities = Found::Value(capabilities(false));
    facts.euid = 1000;
}

fn by_name<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no check {name}"))
}

#[test]
fn a_host_with_everything_is_full_and_has_nothing_to_mend() {
    let facts = facts();
    assert_eq!(Status::of(&facts), Status::Full);
    assert!(checks(&facts).iter().all(|c| c.verdict != Verdict::Missing), "{:?}", checks(&facts));
    let text = text(&facts, Style::default());
    assert!(!text.contains("TO MEND IT") && text.ends_with("Full: observer sees everything it looks for.\n"), "{text}");
}

#[test]
fn without_rights_one_command_mends_all() {
    let mut facts = facts();
    refuse(&mut facts);
    assert_eq!((Status::of(&facts), Status::of(&facts).exit_code()), (Status::Degraded, 1));
    let text = text(&facts, Style { width: Some(80), color: false });
    let command = grant_command(Path::new("/usr/bin/observer"));
    assert_eq!(text.matches(&command).count(), 1, "{text}");
    let too_wide: Vec<&str> = text.lines().filter(|l| width(l) > 80 && !l.contains(&command)).collect();
    assert!(too_wide.is_empty(), "{too_wide:?}");
}

#[test]
fn cap_sys_admin_stands_in_for_bpf_and_perfmon() {
    let mut facts = facts();
    let mut held = capabilities(false);
    held.iter_mut().filter(|c| c.name == "cap_sys_admin").for_each(|c| c.held = true);
    facts.capabilities = Found::Value(held);
    let checks = checks(&facts);
    assert_eq!(by_name(&checks, "cap_bpf").verdict, Verdict::Ok);
    assert_eq!(by_name(&checks, "cap_sys_ptrace").verdict, Verdict::Missing);
}

#[test]
fn nothing_works_only_if_no_file_was_read_either() {
    let mut facts = facts();
    refuse(&mut facts);
    facts.coverage.sources[0].missing = Some(Name::from("cannot read /proc/meminfo"));
    assert_eq!((Status::of(&facts), Status::of(&facts).exit_code()), (Status::Nothing, 2));
    facts.coverage = Coverage::default();
    assert_eq!(Status::of(&facts), Status::Nothing, "what was not even tried does not work");
}

#[test]
fn a_second_form_and_an_unread_file_are_no_full_view() {
    let mut fallback = facts();
    fallback.coverage.probes[0].state =
        ProbeState::Fallback { with: "tp_btf/x (pid)".to_owned(), reason: Name::from("it passes a pid") };
    let mut unread = facts();
    unread.coverage.sources[0].missing = Some(Name::from("gone"));
    for facts in [fallback, unread] {
        assert_eq!(Status::of(&facts), Status::Degraded);
        assert!(checks(&facts).iter().any(|c| c.verdict == Verdict::Missing));
    }
}

#[test]
fn settings_that_cost_or_forbid_name_their_remedy() {
    let mut facts = facts();
    facts.settings.lockdown = Found::Value(Name::from("confidentiality"));
    facts.settings.bpf_jit_enable = Found::Value(0);
    facts.settings.tracefs = Found::Missing(Name::from("not mounted"));
    facts.btf = Found::Missing(Name::from("no such file"));
    let checks = checks(&facts);
    let state = |name| (by_name(&checks, name).verdict, by_name(&checks, name).mend.as_deref());
    assert_eq!(state("lockdown"), (Verdict::Missing, Some("boot with lockdown=integrity")));
    assert_eq!(state("net.core.bpf_jit_enable"), (Verdict::Optional, Some("sudo sysctl -w net.core.bpf_jit_enable=1")));
    assert_eq!(state("tracefs"), (Verdict::Optional, Some("sudo mount -t tracefs tracefs /sys/kernel/tracing")));
    assert_eq!(state("BTF").0, Verdict::Missing);
}

#[test]
fn the_document_has_status_checks_and_facts() {
    let document: serde_json::Value = serde_json::from_str(&json(&facts(), false).unwrap()).unwrap();
    assert_eq!((&document["status"], &document["exit_code"]), (&"full".into(), &0.into()));
    assert_eq!(document["facts"]["settings"]["bpf_jit_enable"]["value"], 1);
    assert_eq!(document["checks"].as_array().unwrap().len(), checks(&facts()).len());
}
