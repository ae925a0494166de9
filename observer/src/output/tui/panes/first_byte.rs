//! How long connections take to open and to bring the first byte, and in which stage that time goes.

use crate::{
    model::first_byte::{Beside, Row},
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        theme::Tone,
    },
    snapshot::tcp::Who,
    units,
};

const FROM: Origin = ("tcp.first_bytes", &[]);

pub(super) const FIRST_BYTES: &[Column] = &[
    Column::text("who", 18, "process that begins or reads it, or network of the other end: sock:inet_sock_set_state"),
    Column::word("way", 3, "who opened it: sock:inet_sock_set_state"),
    Column::number("port", 6, "port of the service: sock:inet_sock_set_state"),
    Column::number("count", 6, "first bytes in the interval, else handshakes: tcp:tcp_rcv_space_adjust"),
    Column::number("whole", 8, "time, mean to the first byte: tcp:tcp_probe, tcp:tcp_rcv_space_adjust"),
    Column::number("connect", 8, "time, mean of a handshake: sock:inet_sock_set_state"),
    Column::number("request", 8, "time, mean until the request was sent, or came: tcp:tcp_probe").rank(2),
    Column::number("path", 8, "time, mean of a round trip of the path: tcp_sock rtt_min").rank(1),
    Column::number("server", 8, "time, mean from the request to the answer: tcp:tcp_probe"),
    Column::number("softirq", 8, "time, mean from the interrupt to the socket: irq:softirq_raise, softirq_entry")
        .rank(4),
    Column::number("read", 8, "time, mean from the socket to the process: tcp:tcp_rcv_space_adjust").rank(1),
    Column::number("wait cpu", 8, "time, mean that the reader waited for a CPU: sched_info run_delay").rank(3),
    Column::number("failed", 7, "connections in the interval that never came to be: sock:inet_sock_set_state"),
    Column::number("syn retr", 8, "number of SYNs sent again in the interval: tcp:tcp_retransmit_skb").rank(3),
];

pub(super) fn first_bytes<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("First bytes", FIRST_BYTES).from(FROM.0, FROM.1);
    let Some(all) = &ctx.model.tcp.first_bytes else {
        return table.empty(Strip::reason(ctx.no_data(FROM.0, &["tcp", "first_bytes"])));
    };
    let row = |r: &Row| {
        let (totals, stages) = (&r.group.totals, r.stages);
        let outgoing = r.group.outgoing;
        let of_outgoing = |seconds: Option<f64>| if outgoing { cells::seconds(seconds) } else { none() };
        vec![
            Cell::text(who(&r.group.who)),
            Cell::text(if outgoing { "out" } else { "in" }),
            if r.group.port == 0 { none() } else { cells::id(r.group.port.into()) },
            cells::count(Some(totals.first_bytes.max(totals.connects))),
            cells::seconds(r.first_byte_seconds),
            of_outgoing(r.connect_seconds),
            cells::seconds(stages.map(|s| s.request)),
            of_outgoing(stages.map(|s| s.wire)),
            cells::seconds(stages.map(|s| s.server)),
            cells::seconds(stages.filter(|_| all.softirq).map(|s| s.softirq)),
            cells::seconds(stages.map(|s| s.read)),
            cells::seconds(r.run_delay_seconds),
            cells::trouble(Some(totals.failed as f64)),
            cells::trouble(Some(totals.syn_retrans as f64)),
        ]
    };
    let note = if all.stages { "means of the interval" } else { "handshakes alone: first bytes are not seen" };
    table
        .rows(all.rows.iter().map(row))
        .note(note)
        .empty("no connection was opened in the interval")
        .details(|i| all.rows.get(i).and_then(|r| beside(r, r.beside.as_ref()?)).into_iter().collect())
}

/// A cell of a number that there is not, as of a stage that this kind of connection has not.
fn none() -> Cell {
    Cell::text("-").tone(Tone::Dim)
}

/// Whose connections they are.
fn who(who: &Who) -> String {
    match who {
        Who::Process { comm, .. } => comm.to_string(),
        Who::Network { address, bits } => format!("{address}/{bits}"),
        Who::OtherProcesses => "other processes".to_owned(),
        Who::OtherNetworks => "other networks".to_owned(),
    }
}

const BESIDE: About = About::new(
    "beside the fastest",
    "time, by how much the stage that differs most is longer than that of the fastest network",
    "tcp:tcp_probe, tcp:tcp_rcv_space_adjust",
    FROM,
);

/// What makes a network slower than the fastest one of the service.
fn beside(row: &Row, beside: &Beside) -> Option<Strip> {
    let slower = row.first_byte_seconds? > beside.first_byte_seconds && beside.difference_seconds > 0.0;
    let words = format!(
        "{} {}: {} +{}",
        who(&beside.who),
        units::seconds(beside.first_byte_seconds),
        beside.stage.words(),
        units::seconds(beside.difference_seconds)
    );
    slower.then(|| Strip::default().label("beside ").words(&BESIDE, words, Tone::Warn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_owner_has_words() {
        assert_eq!(who(&Who::Network { address: [192, 0, 2, 0].into(), bits: 24 }), "192.0.2.0/24");
        assert_eq!(who(&Who::Process { comm: "curl".into(), cgroup: None }), "curl");
        assert_ne!(who(&Who::OtherProcesses), who(&Who::OtherNetworks));
    }
}
