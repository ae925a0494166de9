//! The report as text and as JSON, on hosts with everything and with nothing.

use observer::{
    diagnose::{Diagnosis, Evidence, Finding, Severity, Thresholds, Undecided, diagnose},
    model::Model,
    output::{
        json,
        report::{self, Report, Section},
        text::{self, Style},
    },
    snapshot::{Name, Snapshot},
};

use crate::synthetic::{busy, hostile, unreadable};

fn diagnosis() -> Diagnosis {
    Diagnosis {
        findings: vec![Finding {
            rule: "reclaim_stalls",
            severity: Severity::Critical,
            verdict: "postgres (pid 4711) stands still for 40 % of the time at the limit of its memory cgroup".to_owned(),
            evidence: vec![
                Evidence::new("stalled", "0.4 s/s", "vmscan:mm_vmscan_memcg_reclaim_{begin,end}"),
                Evidence::new("limit hits", "100/s", "memory.events max"),
            ],
            advice: vec![
                "Raise the limit of /kubepods.slice/kubepods-burstable.slice/pod1234/postgres, or lower shared_buffers so \
                 that the working set fits."
                    .to_owned(),
            ],
        }],
        undecided: vec![Undecided {
            rule: "kswapd_hot",
            lacks: "time that kswapd is awake".to_owned(),
            reason: Some(Name::from("Operation not permitted (os error 1)")),
        }],
        ..limits()
    }
}

/// What limits the connections of the busy host, and nothing else.
fn limits() -> Diagnosis {
    Diagnosis {
        flows: diagnose(std::slice::from_ref(&everything()), &Thresholds::default()).flows,
        ..Diagnosis::default()
    }
}

/// The last second of a host.
pub(crate) fn last(snapshots: &[Snapshot]) -> Model {
    let [.., before, now] = snapshots else { panic!("two snapshots") };
    Model::new(now, Some(before))
}

fn everything() -> Model {
    last(&busy(12))
}

fn nothing() -> Model {
    Model::new(&unreadable(1)[0], None)
}

pub(crate) fn print(model: &Model, diagnosis: &Diagnosis, section: Option<Section>, width: Option<usize>) -> String {
    let text = report::text(&Report { model, diagnosis, section }, Style { width, color: false });
    let raw: Vec<char> = text.chars().filter(|c| c.is_control() && *c != '\n').collect();
    assert!(raw.is_empty(), "{raw:?}");
    text
}

const SECTIONS: [Option<Section>; 5] =
    [None, Some(Section::Memory), Some(Section::Oom), Some(Section::Tcp), Some(Section::Tunnels)];

#[test]
fn a_host_with_everything() {
    insta::assert_snapshot!("everything", print(&everything(), &diagnosis(), None, Some(80)));
    let memory = print(&everything(), &Diagnosis::default(), Some(Section::Memory), Some(80));
    insta::assert_snapshot!("everything_memory", memory);
    insta::assert_snapshot!("everything_tcp", print(&everything(), &limits(), Some(Section::Tcp), None));
    let tunnels = print(&everything(), &Diagnosis::default(), Some(Section::Tunnels), Some(80));
    insta::assert_snapshot!("everything_tunnels", tunnels);
}

#[test]
fn a_host_with_nothing() {
    insta::assert_snapshot!("nothing", print(&nothing(), &Diagnosis::default(), None, Some(80)));
    insta::assert_snapshot!(
        "nothing_memory",
        print(&nothing(), &Diagnosis::default(), Some(Section::Memory), Some(80))
    );
}

#[test]
fn lines_fit_the_terminal() {
    let hosts = [(everything(), diagnosis()), (nothing(), Diagnosis::default()), (last(&hostile(3)), diagnosis())];
    for (model, diagnosis) in hosts {
        for section in SECTIONS {
            for line in print(&model, &diagnosis, section, Some(80)).lines() {
                // A word that is longer than a line stands on one by itself, so that it can be copied.
                let fits = text::width(line) <= 80 || !line.trim().contains(' ');
                assert!(fits, "{section:?}: {} columns: {line}", text::width(line));
            }
        }
    }
}

#[test]
fn only_a_terminal_with_colors_gets_escape_codes() {
    let (model, diagnosis) = (everything(), diagnosis());
    let report = Report { model: &model, diagnosis: &diagnosis, section: None };
    let painted = report::text(&report, Style { width: Some(80), color: true });
    let mut plain = painted.clone();
    for code in ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1;31m", "\u{1b}[0m"] {
        plain = plain.replace(code, "");
    }
    assert_ne!(painted, plain);
    assert_eq!(plain, report::text(&report, Style { width: Some(80), color: false }), "colors change nothing else");
}

fn document(model: &Model, diagnosis: &Diagnosis, section: Option<Section>) -> serde_json::Value {
    let report = Report { model, diagnosis, section };
    let line = json::document(&report, false).unwrap();
    assert!(!line.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value, serde_json::from_str::<serde_json::Value>(&json::document(&report, true).unwrap()).unwrap());
    value
}

/// The document as a person sees it on a terminal, without what changes with each release.
fn indented(model: &Model, diagnosis: &Diagnosis) -> String {
    let report = Report { model, diagnosis, section: None };
    json::document(&report, true).unwrap().replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
}

#[test]
fn the_document_of_a_host_with_everything() {
    insta::assert_snapshot!("everything_json", indented(&everything(), &diagnosis()));
}

#[test]
fn the_document_of_a_host_with_nothing_has_nulls_and_reasons() {
    insta::assert_snapshot!("nothing_json", indented(&nothing(), &Diagnosis::default()));
}

#[test]
fn a_section_is_a_part_of_the_document() {
    let whole = document(&everything(), &diagnosis(), None);
    let part = document(&everything(), &diagnosis(), Some(Section::Tcp));
    assert!(part.get("page_alloc").is_none() && part["tcp"] == whole["tcp"] && part["coverage"] == whole["coverage"]);
    let missing = document(&nothing(), &Diagnosis::default(), Some(Section::Oom));
    assert!(missing["oom"].is_null() && missing.get("oom").is_some(), "asked for and not seen is null");
}

#[test]
fn a_kill_tells_whose_limit_it_was_where_the_kernels_report_came() {
    let of = |n: u64, section| print(&last(&busy(n)), &Diagnosis::default(), section, None);
    let level = "one level above the cgroup of the victim";
    // In the fifth snapshot comes the report of a kill, in the seventh that of one which the probe did not see.
    for (n, only_log) in [(5, false), (7, true)] {
        let (whole, part) = (of(n, None), of(n, Some(Section::Oom)));
        assert!(whole.contains(level) && part.contains(level), "{whole}");
        assert_eq!(part.contains("A kill that only the kernel's log tells"), only_log, "{part}");
    }
    insta::assert_snapshot!(
        "oom_with_report",
        print(&last(&busy(5)), &Diagnosis::default(), Some(Section::Oom), Some(80))
    );
    let known = document(&last(&busy(5)), &Diagnosis::default(), Some(Section::Oom));
    let kill = &known["oom_kills"][0];
    assert_eq!(
        (&kill["told_by"], &kill["explanation"]["limit"]["memory"]["cgroup"]["levels_above"]),
        (&"both".into(), &1.into())
    );
}

#[test]
fn every_part_of_the_document_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, table) = page.split_once("## The JSON document").unwrap();
    let document = document(&everything(), &diagnosis(), None);
    let memory = document["memory"].as_object().unwrap();
    for key in document.as_object().unwrap().keys().chain(memory.keys()) {
        let named =
            [format!("`{key}`"), format!("`{key}["), format!("`{key}.")].iter().any(|name| table.contains(name));
        assert!(named, "{key}");
    }
}
