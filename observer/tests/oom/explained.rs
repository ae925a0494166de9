//! What is said of real reports, word for word, and the causes that they must name.

use observer::{
    diagnose::oom::{Cause, Explanation, Memory, ZoneVerdict, explain},
    output::{oom, text::Style},
    snapshot::oom_report::OomReport,
    source::oom_log::reports,
};

use super::{log, logs};

fn of(name: &str) -> Vec<(OomReport, Explanation)> {
    let all = reports(name.into(), &log(name));
    all.into_iter()
        .map(|report| {
            let explanation = explain(&report);
            (report, explanation)
        })
        .collect()
}

#[test]
fn every_report_is_explained_on_one_screen() {
    let style = Style { width: Some(80), color: false };
    for name in logs() {
        let texts: Vec<_> =
            of(&name).iter().map(|(report, explanation)| oom::text(explanation, report, style)).collect();
        for text in &texts {
            // A row of a table is as long as the name at its end.
            let fits = |l: &str| l.chars().count() <= 80 || !l.trim().contains(' ') || name.starts_with("name-");
            assert!(text.lines().all(fits), "{text}");
            let before_details = text.split("\nREQUEST\n").next().unwrap().lines().count();
            assert!(before_details <= 24, "{before_details} lines\n{text}");
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        }
        insta::assert_snapshot!(name, texts.join("\n"));
    }
}

#[test]
fn causes_are_those_that_were_made() {
    // Those of scenes have their own test.
    for name in logs().into_iter().filter(|name| name.ends_with(".dmesg")) {
        for (_, explanation) in of(&name) {
            let first = explanation.reasons.first().map(|r| r.cause);
            assert_eq!(first, Some(Cause::NoSwap), "{name}: {:?}", explanation.reasons);
            let victim = explanation.victim.as_ref().unwrap();
            assert_eq!((victim.rank, victim.is_trigger), (Some(1), Some(true)), "{name}");
            match &explanation.limit.memory {
                Memory::Cgroup { levels_above, .. } => {
                    assert_eq!(*levels_above, Some(0), "{name}");
                    assert!(
                        explanation.zones.is_empty() && explanation.limit.usage == explanation.limit.limit,
                        "{name}"
                    );
                }
                Memory::Host => {
                    assert!(
                        explanation.zones.iter().all(|z| z.verdict == ZoneVerdict::BelowMin),
                        "{name}: {:?}",
                        explanation.zones
                    );
                    let rest = explanation.usage.unaccounted.unwrap();
                    let total = explanation.usage.total.unwrap().cast_signed();
                    assert!(rest.abs() * 20 < total, "{name}: {rest} of {total} in no counter");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_ticket_has_no_marks_of_names() {
    let text = String::from_utf8(log("memcg-oom-6.12.117+deb12-cloud-amd64.dmesg")).unwrap();
    let text = text.replace("hog", "[x](y)|<b>");
    let report = &reports("log".into(), text.as_bytes())[0];
    let page = oom::markdown(&explain(report), report);
    assert!(page.contains(r"\[x\](y)\|\<b\>") && !page.contains("[x](y)") && !page.contains("<b>"), "{page}");
}

#[test]
fn a_part_of_a_report_is_explained_as_far_as_it_goes() {
    for name in logs() {
        let text = log(&name);
        let lines: Vec<_> = text.split_inclusive(|b| *b == b'\n').collect();
        for end in 1..lines.len() {
            for report in reports("log".into(), &lines[..end].concat()) {
                let explanation = explain(&report);
                assert!(report.cut.is_none() || !explanation.unknown.is_empty(), "{name} {end}");
                assert!(!oom::text(&explanation, &report, Style::default()).is_empty());
            }
        }
    }
}

#[test]
fn hostile_names_reach_no_terminal() {
    let text = String::from_utf8(log("global-oom-6.1.0-56-cloud-amd64.dmesg")).unwrap();
    for name in ["\u{1b}[2Jx", "] name", "a\tb", "x) total-vm:1", "a,pid=1", "\u{202e}gpj"] {
        let text = text.replace("hog", name);
        let all = reports("log".into(), text.as_bytes());
        assert_eq!(all.len(), 1, "{name:?}");
        let (report, explanation) = (&all[0], explain(&all[0]));
        assert!(report.unread.is_empty() && report.tasks.len() == 2, "{name:?}: {report:#?}");
        assert_eq!(report.kills[0].pid, 121, "{name:?}");
        for shown in [
            oom::text(&explanation, report, Style { width: Some(80), color: false }),
            oom::markdown(&explanation, report),
            oom::list(&explanation, report),
        ] {
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()) && !shown.contains('\u{202e}'), "{shown:?}");
        }
    }
}
