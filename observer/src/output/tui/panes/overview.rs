//! Overview: what is wrong, and the vital signs of memory and network. On large screens also the top of each table.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, cgroups, network, processes};
use crate::{
    diagnose::{Finding, RULES, Undecided},
    output::tui::{
        context::{Context, Facts},
        stack,
        strip::{self, About, Strip},
        table::{Cell, Column, Table},
        tabs::severity,
        theme::Tone,
        vitals,
    },
    units,
};

pub(super) const PANE: Pane = Pane {
    name: "overview",
    title: "Overview",
    short: "Over",
    lists_findings: true,
    first_table: 0,
    tables: TABLES,
    draw,
};

const TABLES: &[(&str, &[Column])] = &[
    ("Findings", FINDINGS),
    ("Cgroups", cgroups::CGROUPS),
    ("Processes", processes::PROCESSES),
    ("Connections", network::CONNECTIONS),
];

/// Tables below the vital signs are worth it from this height on.
const TABLES_FROM: usize = 9;
/// From this height on findings leave that much to them.
const LARGE: usize = 36;

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let findings = findings(ctx);
    if ctx.state.zoom && ctx.state.table == 0 {
        return stack::draw_tables(ctx, area, buf, &[findings], 0, 0);
    }
    let height = usize::from(area.height);
    let vitals = vitals::lines(ctx, usize::from(area.width));
    let lines = strip::lay_all(&vitals, usize::from(area.width), ctx.theme);
    let wanted = stack::wanted(ctx, &findings, area, 0, 0);
    // The findings come first; of a small screen they leave at least half to the vital signs.
    let kept = lines.len() + if height >= LARGE { TABLES_FROM } else { 0 };
    let top = wanted.min(height.saturating_sub(kept).max(height / 2));
    let rest = height.saturating_sub(top + lines.len());
    let tables = if rest >= TABLES_FROM || ctx.state.zoom {
        vec![cgroups::cgroups(ctx), processes::processes(ctx), network::connections(ctx)]
    } else {
        Vec::new()
    };
    let focus = ctx.state.table.min(tables.len());
    if ctx.state.zoom {
        let mut facts = stack::draw_tables(ctx, area, buf, &tables, 1, focus);
        facts.tables.insert(0, Default::default());
        return facts;
    }
    let (above, below) = stack::split(area, top);
    let mut facts = stack::draw_tables(ctx, above, buf, &[findings], 0, focus);
    let (middle, bottom) = stack::split(below, lines.len());
    let (signs, help) = stack::draw_signs(ctx, middle, buf, &vitals, &lines);
    let more = stack::draw_tables(ctx, bottom, buf, &tables, 1, focus);
    facts.signs = signs;
    facts.tables.extend(more.tables);
    facts.beside.extend(more.beside);
    facts.help = help.or(facts.help).or(more.help);
    facts
}

const FINDINGS: &[Column] = &[
    Column::word("severity", 11, "how bad it is: info, warning, critical"),
    Column::word("rule", 16, "name of the rule: docs/findings.md").rank(1),
    Column::text("verdict", 20, "what is wrong and who is to blame: the rule, from the evidence below"),
];

/// Findings, worst first, and then the rules that cannot tell.
fn findings<'a>(ctx: &Context<'a>) -> Table<'a> {
    let diagnosis = ctx.diagnosis;
    let fired = diagnosis.findings.iter().map(|f| {
        let (word, tone) = severity(f.severity);
        vec![Cell::text(word).tone(tone), Cell::text(f.rule), Cell::text(f.verdict.as_str())]
    });
    let undecided = diagnosis.undecided.iter().map(|u| {
        let tone = Tone::Dim;
        vec![Cell::text("cannot tell").tone(tone), Cell::text(u.rule).tone(tone), Cell::text(lacks(u)).tone(tone)]
    });
    let window = ctx.timeline.window_seconds().round();
    let mut table = Table::new("Findings", FINDINGS).rows(fired.chain(undecided));
    table.always_details = true;
    let decided = RULES.len().saturating_sub(diagnosis.undecided.len());
    if ctx.model.interval.is_none() {
        return table.empty("the rules wait for a second snapshot");
    }
    let arrow = ctx.theme.glyphs.arrow;
    let words = |decided: usize| Strip::default().words(&DECIDED, format!("{decided} of {}", RULES.len()), Tone::Dim);
    let note = words(decided).label(" rules could tell, over ");
    let well = Strip::sentence().label_toned("nothing wrong: all ", Tone::Good);
    let well = well.words(&DECIDED, RULES.len().to_string(), Tone::Good);
    let well = well.label_toned(" rules looked at the last ", Tone::Good);
    table
        .note(note.number_toned(&WINDOW, Some(window), units::seconds, Tone::Dim))
        .empty(well.number_toned(&WINDOW, Some(window), units::seconds, Tone::Good))
        .details(move |i| match diagnosis.findings.get(i) {
            Some(finding) => finding_details(finding, arrow),
            None => Vec::new(),
        })
}

const DECIDED: About =
    About::new("rules", "number of rules that had the data they need, and of all", "docs/findings.md", ("", &[]));
const WINDOW: About = About::new(
    "over",
    "seconds before this moment that the rules looked at",
    "the snapshots of this screen, CLOCK_MONOTONIC",
    ("", &[]),
);

fn lacks(u: &Undecided) -> String {
    match &u.reason {
        Some(reason) => format!("lacks {}: {reason}", u.lacks),
        None => format!("lacks {}", u.lacks),
    }
}

fn finding_details(f: &Finding, arrow: &'static str) -> Vec<Strip> {
    let sentence = Strip::sentence;
    let verdict = sentence().told("verdict", "what is wrong and who is to blame", VERDICT_FROM, f.verdict.as_str());
    let evidence = f.evidence.iter().map(|e| {
        let words = format!("{}: {} ({})", e.what, e.value, e.source);
        sentence().told(
            "evidence",
            "number of the finding with its unit, its source beside it",
            e.source.clone(),
            words,
        )
    });
    let advice = f.advice.iter().map(|a| {
        sentence().label_toned(arrow, Tone::Plain).label(" ").told(
            "advice",
            "what to do next",
            VERDICT_FROM,
            a.as_str(),
        )
    });
    [verdict].into_iter().chain(evidence).chain(advice).collect()
}

/// Where verdicts and advice come from.
const VERDICT_FROM: &str = "the rule, from the evidence below it; docs/findings.md";
