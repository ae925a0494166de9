//! What all connections carried, by process, cgroup, remote network, service and device.

use super::{Page, name, plural};
use crate::{
    model::traffic::{Carried, Device, InCgroup, Ranking, Traffic},
    output::text::{Column, Cut, Table},
    snapshot::tcp::{Owner, Service},
    units,
};

/// A kind, and the columns of its table.
type Kind = (&'static str, &'static [Column]);

const PROCESS: Kind = ("process", &columns("process"));
const CGROUP: Kind = ("cgroup", &columns("cgroup"));
const NETWORK: Kind = ("remote network", &columns("remote network"));
const SERVICE: Kind = ("service", &columns("service"));
const DEVICE: Kind = ("device", &columns("device"));

const fn columns(what: &'static str) -> [Column; 6] {
    [
        Column::cut(what, Cut::Start),
        Column::right("sent"),
        Column::right("received"),
        Column::right("again"),
        Column::right("began"),
        Column::right("ended"),
    ]
}

/// One table for each kind; in the overview the processes alone.
pub(super) fn write(out: &mut String, page: &Page<'_>, traffic: &Traffic) {
    let total = &traffic.total;
    let rate = |r| units::or_unknown(r, units::bits_per_second);
    let mut text = format!(
        "{} sent, {} received, {} began, {} ended",
        rate(total.tx),
        rate(total.rx),
        plural(total.in_interval.began, "connection"),
        total.in_interval.ended
    );
    if traffic.not_followed > 0 {
        text.push_str(&format!("; {} more open than are followed", traffic.not_followed));
    }
    if traffic.untold > 0 {
        text.push_str(&format!("; {} ended untold, which are in no row", traffic.untold));
    }
    out.push('\n');
    page.fact(out, "traffic", &text);
    if total.in_interval.is_zero() {
        return;
    }
    table(out, page, PROCESS, &traffic.processes, |owner| process(owner.as_ref()));
    if page.detailed {
        table(out, page, CGROUP, &traffic.cgroups, cgroup);
        table(out, page, NETWORK, &traffic.networks, ToString::to_string);
        table(out, page, SERVICE, &traffic.services, service);
        table(out, page, DEVICE, &traffic.devices, |of| device(of, page));
    }
}

fn process(owner: Option<&Owner>) -> String {
    owner.map_or("not known".to_owned(), |o| format!("{} (pid {})", o.comm, o.pid))
}

/// The path, and the container that it belongs to.
pub(super) fn cgroup(of: &InCgroup) -> String {
    let container = of.container.as_ref();
    let words: Vec<_> = container.iter().flat_map(|c| c.pod.iter().chain(&c.name)).map(ToString::to_string).collect();
    match (&of.path, of.id) {
        (Some(path), _) if words.is_empty() => path.to_string(),
        (Some(path), _) => format!("{path} ({})", words.join(", ")),
        (None, Some(id)) => format!("id {}", id.0),
        (None, None) => name(None),
    }
}

fn service(of: &Service) -> String {
    format!("{} {}", of.port, if of.outgoing { "there" } else { "here" })
}

fn device(of: &Device, page: &Page<'_>) -> String {
    let netns = page.netns(Some(of.netns));
    match (&of.name, of.index) {
        (Some(name), _) => format!("{name} in netns {netns}"),
        (None, Some(index)) => format!("interface {index} in netns {netns}"),
        (None, None) => format!("not known, in netns {netns}"),
    }
}

fn table<K>(
    out: &mut String,
    page: &Page<'_>,
    (what, columns): Kind,
    ranking: &Ranking<K>,
    show: impl Fn(&K) -> String,
) {
    out.push('\n');
    page.subtitle(out, &format!("Traffic by {what}"));
    let mut table = Table::new(columns);
    let mut row = |what: String, carried: &Carried| {
        let count = |n: u64| units::count(n as f64);
        let totals = &carried.in_interval;
        table.row([
            what,
            units::or_unknown(carried.tx, units::bits_per_second),
            units::or_unknown(carried.rx, units::bits_per_second),
            count(totals.retrans_segs),
            count(totals.began),
            count(totals.ended),
        ]);
    };
    let (shown, rest) = ranking.rows.split_at(page.rows().min(ranking.rows.len()));
    shown.iter().for_each(|r| row(show(&r.of), &r.carried));
    let other = rest.iter().fold(ranking.other, |sum, r| sum.and(&r.carried));
    if !other.in_interval.is_zero() {
        row("other".to_owned(), &other);
    }
    table.render(out, page.style, 2);
}
