//! The page for people who open the address in a browser: what is wrong, what is seen, and what is not and why.

use std::fmt::{self, Write};

use crate::{
    diagnose::{RULES, Severity},
    output::metrics::Page,
    snapshot::coverage::{Coverage, ProbeState},
};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>observer</title>
<style>
:root { color-scheme: light dark; --line: #8884; --ok: #2a8a4a; --warn: #b26a00; --bad: #c22; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2rem; } .dim { opacity: .7; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
code { font: 13px ui-monospace, monospace; }
.ok { color: var(--ok); } .warn { color: var(--warn); } .bad { color: var(--bad); }
</style>
</head>
<body>
<h1>observer</h1>
"#;

const LINKS: &str = r#"<p><a href="metrics">Metrics</a> · <a href="-/healthy">healthy</a> · <a href="-/ready">ready</a></p>
"#;

/// Text in HTML: what could be markup is escaped.
struct Html<T>(T);

impl<T: fmt::Display> fmt::Display for Html<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The whole page; before the first snapshot it says so.
pub(super) fn page(page: Option<&Page>) -> String {
    let mut out = String::from(HEAD);
    // Writing to a String does not fail.
    let _ = body(&mut out, page);
    out.push_str("</body>\n</html>\n");
    out
}

fn body(out: &mut String, page: Option<&Page>) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    let Some(page) = page else {
        writeln!(out, "<p class=dim>version {version}</p>\n{LINKS}<p>The first snapshot has not been taken yet.</p>")?;
        return Ok(());
    };
    let host = &page.snapshot.host;
    writeln!(
        out,
        "<p class=dim>version {version} on {}, kernel {}, {}; snapshot of {:.1} s ago</p>\n{LINKS}",
        Html(&host.hostname),
        Html(&host.kernel_release),
        Html(&host.machine),
        page.taken.elapsed().as_secs_f64(),
    )?;
    findings(out, page)?;
    coverage(out, &page.snapshot.coverage)
}

fn findings(out: &mut String, page: &Page) -> fmt::Result {
    writeln!(out, "<h2>Findings</h2>\n<table>\n<tr><th>Rule</th><th>Says</th></tr>")?;
    for rule in RULES {
        write!(out, "<tr><td><code>{}</code></td><td>", Html(rule.name))?;
        let fires = page.diagnosis.findings.iter().find(|f| f.rule == rule.name);
        let undecided = page.diagnosis.undecided.iter().find(|u| u.rule == rule.name);
        if let Some(finding) = fires {
            let class = if finding.severity == Severity::Critical { "bad" } else { "warn" };
            write!(out, "<b class={class}>{}</b><ul>", Html(&finding.verdict))?;
            for e in &finding.evidence {
                write!(
                    out,
                    "<li>{}: {} <span class=dim>({})</span></li>",
                    Html(&e.what),
                    Html(&e.value),
                    Html(&e.source)
                )?;
            }
            for advice in &finding.advice {
                write!(out, "<li>{}</li>", Html(advice))?;
            }
            write!(out, "</ul>")?;
        } else if let Some(undecided) = undecided {
            write!(out, "<span class=warn>cannot tell: it lacks {}", Html(&undecided.lacks))?;
            if let Some(reason) = &undecided.reason {
                write!(out, " ({})", Html(reason))?;
            }
            write!(out, "</span>")?;
        } else {
            write!(out, "<span class=ok>quiet</span> <span class=dim>{}</span>", Html(rule.about))?;
        }
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</table>")
}

fn coverage(out: &mut String, coverage: &Coverage) -> fmt::Result {
    writeln!(out, "<h2>Coverage</h2>\n<table>\n<tr><th>Probe</th><th>Attached at</th><th>State</th></tr>")?;
    for p in &coverage.probes {
        write!(out, "<tr><td>{}</td><td><code>{}</code></td><td>", Html(&p.name), Html(&p.attach))?;
        match &p.state {
            ProbeState::Attached => write!(out, "<span class=ok>attached</span>")?,
            ProbeState::Fallback { with, reason } => {
                write!(out, "<span class=warn>as <code>{}</code></span>: {}", Html(with), Html(reason))?;
            }
            ProbeState::Absent { reason, replaced_by, remedy } => {
                write!(out, "<span class=bad>absent</span>: {}", Html(reason))?;
                if let Some(by) = replaced_by {
                    write!(out, "<br>part of the same: <code>{}</code>", Html(by))?;
                }
                if let Some(remedy) = remedy {
                    write!(out, "<br>to mend it: <code>{}</code>", Html(remedy))?;
                }
            }
        }
        if !p.fields_missing.is_empty() {
            write!(out, "<br>this kernel lacks <code>{}</code>", Html(p.fields_missing.join(", ")))?;
        }
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</table>\n<table>\n<tr><th>Source</th><th>State</th></tr>")?;
    for s in &coverage.sources {
        write!(out, "<tr><td><code>{}</code></td><td>", Html(&s.name))?;
        match &s.missing {
            None => write!(out, "<span class=ok>read</span>")?,
            Some(reason) => write!(out, "<span class=bad>not read</span>: {}", Html(reason))?,
        }
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</table>\n<table>\n<tr><th>Lost</th><th>Count</th></tr>")?;
    for l in &coverage.losses {
        let class = if l.count == 0 { "ok" } else { "warn" };
        writeln!(out, "<tr><td>{}</td><td class={class}>{}</td></tr>", Html(&l.what), l.count)?;
    }
    writeln!(out, "</table>")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        output::metrics::Exporter,
        snapshot::{Name, Snapshot, coverage::Source},
    };

    #[test]
    fn nothing_that_is_shown_is_markup() {
        let hostile = "</td><script>alert(\"&'1\")</script>";
        let mut snapshot = Snapshot::default();
        snapshot.host.hostname = Name::from(hostile);
        snapshot.coverage.sources.push(Source { name: hostile.into(), missing: Some(Name::from(hostile)) });
        let made = Exporter::new(4).page(snapshot, Duration::ZERO);
        let html = page(Some(&made));
        assert!(!html.contains("<script>"));
        assert_eq!(html.matches("&lt;/td&gt;&lt;script&gt;alert(&quot;&amp;&#39;1&quot;)&lt;/script&gt;").count(), 3);
    }

    #[test]
    fn before_the_first_snapshot_the_page_says_so() {
        assert!(page(None).contains("has not been taken yet"));
    }
}
