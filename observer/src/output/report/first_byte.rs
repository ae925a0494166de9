//! How long connections take to open and to bring the first byte, and where that time goes.

use super::{Page, Section};
use crate::{
    model::first_byte::{FirstBytes, Row},
    output::text::{Column, Cut, Table},
    snapshot::tcp::Who,
    units,
};

const COLUMNS: &[Column] = &[
    Column::cut("who", Cut::End),
    Column::right("port"),
    Column::right("count"),
    Column::right("whole"),
    Column::right("connect"),
    Column::right("request"),
    Column::right("path"),
    Column::right("server"),
    Column::right("read"),
];

/// Appends the section.
pub(super) fn write(out: &mut String, page: &Page<'_>) {
    let Some(first_bytes) = &page.model.tcp.first_bytes else {
        return page.not_seen(out, "handshakes", "tcp.namespaces");
    };
    if !first_bytes.stages && page.model.coverage.is_wanted("tcp.first_bytes") {
        page.not_seen(out, "first bytes", "tcp.first_bytes");
    } else if !first_bytes.stages {
        page.fact(out, "first bytes", "not asked for: `--first-byte` shows them by stage (it costs at each segment)");
    }
    table(out, page, first_bytes, true, "Time to the first byte of connections begun here, means by stage");
    table(out, page, first_bytes, false, "Time from an accepted connection to the answer, means by stage");
    for row in &first_bytes.rows {
        if let Some(text) = beside(row) {
            page.style.paragraph(out, "  ", 4, &text);
        }
    }
    if !first_bytes.rows.is_empty() {
        around(out, page);
    }
}

fn table(out: &mut String, page: &Page<'_>, first_bytes: &FirstBytes, outgoing: bool, title: &str) {
    let rows: Vec<&Row> = first_bytes.rows.iter().filter(|r| r.group.outgoing == outgoing).collect();
    if rows.is_empty() {
        return;
    }
    page.subject(out, title);
    let mut table = Table::new(COLUMNS);
    for row in rows.iter().take(page.rows()) {
        let stage = |seconds: Option<f64>| units::or_unknown(seconds, units::seconds);
        let stages = row.stages;
        let totals = &row.group.totals;
        table.row([
            who(&row.group.who),
            if row.group.port == 0 { "-".to_owned() } else { row.group.port.to_string() },
            units::count(totals.first_bytes.max(totals.connects) as f64),
            stage(row.first_byte_seconds),
            if outgoing { stage(row.connect_seconds) } else { "-".to_owned() },
            stage(stages.map(|s| s.request)),
            if outgoing { stage(stages.map(|s| s.wire)) } else { "-".to_owned() },
            stage(stages.map(|s| s.server)),
            stage(stages.map(|s| s.read)),
        ]);
    }
    table.render(out, page.style, 2);
    for row in rows.iter().take(page.rows()).filter(|r| r.group.totals.failed > 0) {
        let failed = units::count(row.group.totals.failed as f64);
        page.style.paragraph(
            out,
            "  ",
            4,
            &format!("{}:{} handshakes failed: {failed}", who(&row.group.who), row.group.port),
        );
    }
    page.left_out(out, rows.len(), Section::Tcp);
}

/// Whose connections they are.
pub(super) fn who(who: &Who) -> String {
    match who {
        Who::Process { comm, .. } => comm.to_string(),
        Who::Network { address, bits } => format!("{address}/{bits}"),
        Who::OtherProcesses => "other processes".to_owned(),
        Who::OtherNetworks => "other networks".to_owned(),
    }
}

/// What makes a network slower than the fastest one.
fn beside(row: &Row) -> Option<String> {
    let (beside, total) = (row.beside.as_ref()?, row.first_byte_seconds?);
    (total > beside.first_byte_seconds && beside.difference_seconds > 0.0).then(|| {
        format!(
            "first byte from {}:{} takes {}, from {} {}: {} +{}",
            who(&row.group.who),
            row.group.port,
            units::seconds(total),
            who(&beside.who),
            units::seconds(beside.first_byte_seconds),
            beside.stage.words(),
            units::seconds(beside.difference_seconds),
        )
    })
}

/// What slows every stage of this host: the hypervisor, interrupts, the queue for a CPU.
fn around(out: &mut String, page: &Page<'_>) {
    let Some(cpus) = &page.model.cpus else { return };
    let share = |ratio| units::or_unknown(ratio, units::percent);
    let softest = cpus.list.iter().filter_map(|c| Some((c.now.cpu, c.usage.softirq_ratio?)));
    let softest = softest.max_by(|a, b| a.1.total_cmp(&b.1));
    let softest = softest.map_or(String::new(), |(cpu, ratio)| format!(" (CPU {cpu}: {})", units::percent(ratio)));
    let delays = page.model.tcp.first_bytes.iter().flat_map(|f| &f.rows).filter_map(|r| r.run_delay_seconds);
    let delay = delays.reduce(f64::max);
    let text = format!(
        "steal {}, soft interrupts {}{softest}, busy {}; longest mean wait of a reader for a CPU {}",
        share(cpus.all.steal_ratio),
        share(cpus.all.softirq_ratio),
        share(cpus.all.busy_ratio),
        units::or_unknown(delay, units::seconds),
    );
    page.fact(out, "this host", &text);
}
