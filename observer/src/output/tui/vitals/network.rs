//! TCP of observer's own network namespace, and links.

use super::{super::table::Origin, Context, Strip, Tone, tone_of};
use crate::{
    output::tui::{strip::About, trend::Point},
    snapshot::coverage::Source,
    units,
};

const SNMP: Origin = ("tcp", &[Source::SNMP]);
const NETSTAT: Origin = ("tcp", &[Source::NETSTAT]);

const ESTABLISHED: About =
    About::new("established", "number of connections established now", "/proc/net/snmp CurrEstab", SNMP);
const SEGMENTS: About = About::new("segments", "segments a second sent", "/proc/net/snmp OutSegs", SNMP);
const RETRANS_SHARE: About = About::new(
    "retransmits",
    "share of the segments that were sent again",
    "/proc/net/snmp RetransSegs / OutSegs",
    SNMP,
);
const RETRANS: About = About::new("retransmits", "segments a second sent again", "/proc/net/snmp RetransSegs", SNMP);
const OPENS: About =
    About::new("opens", "connections a second opened, both ways", "/proc/net/snmp ActiveOpens + PassiveOpens", SNMP);
const CONNECTS: About =
    About::new("connects", "connections a second opened from here", "/proc/net/snmp ActiveOpens", SNMP);
const ACCEPTS: About = About::new("accepts", "connections a second accepted", "/proc/net/snmp PassiveOpens", SNMP);
const RESETS: About = About::new("resets sent", "resets a second sent", "/proc/net/snmp OutRsts", SNMP);
const TIMEOUTS: About =
    About::new("timeouts", "retransmit time-outs a second", "/proc/net/netstat TCPTimeouts", NETSTAT);
const LISTEN_DROPS: About = About::new(
    "listen drops",
    "connections a second that a full queue of a listener turned away",
    "/proc/net/netstat ListenDrops",
    NETSTAT,
);
const RETRANS_BARS: About = About::new(
    "bars",
    "share of the segments that were sent again, a bar a tick, 1 % or the most of what is shown fills the line",
    "/proc/net/snmp RetransSegs / OutSegs",
    SNMP,
);

/// TCP in one line.
pub(super) fn tcp(ctx: &Context<'_>) -> Strip {
    let sign = Strip::sign("TCP");
    let own = &ctx.model.tcp.own;
    if own.established.is_none() && own.out_segs.is_none() {
        return sign.missing(&ESTABLISHED, ctx);
    }
    let tone = tone_of(own.retrans_ratio, 0.01, 0.05);
    let sign = sign.count(&ESTABLISHED, own.established).label(" established, segments ").number(
        &SEGMENTS,
        own.out_segs,
        units::per_second,
    );
    // Where nothing was sent there is no share of it.
    let sign = match (own.retrans_ratio, own.out_segs_in_interval) {
        (None, Some(0)) => sign.label(", retransmits none"),
        (ratio, _) => sign.label(", retransmits ").number_toned(&RETRANS_SHARE, ratio, units::percent, tone),
    };
    let opens = own.active_opens.zip(own.passive_opens).map(|(a, p)| a + p);
    let mut sign = sign.label(", opens ").number(&OPENS, opens, units::per_second);
    if own.listen_drops.is_some_and(|d| d > 0.0) {
        sign =
            sign.label(", listen drops ").number_toned(&LISTEN_DROPS, own.listen_drops, units::per_second, Tone::Bad);
    }
    sign.bars(&RETRANS_BARS, ctx.trend(|p| p.retrans), 0.01, tone)
}

/// Counters of observer's own network namespace in full, for the pane of the network.
pub(in crate::output::tui) fn own_namespace(ctx: &Context<'_>) -> Vec<Strip> {
    let own = &ctx.model.tcp.own;
    let bad = |sign: Strip, about: &About, value: Option<f64>| {
        let tone = if value.is_some_and(|v| v > 0.0) { Tone::Warn } else { Tone::Plain };
        sign.number_toned(about, value, units::per_second, tone)
    };
    let first = Strip::sign("TCP here")
        .label("established ")
        .count(&ESTABLISHED, own.established)
        .label("  connects ")
        .number(&CONNECTS, own.active_opens, units::per_second)
        .label("  accepts ")
        .number(&ACCEPTS, own.passive_opens, units::per_second)
        .label("  segments ")
        .number(&SEGMENTS, own.out_segs, units::per_second);
    let tone = tone_of(own.retrans_ratio, 0.01, 0.05);
    let mut second = bad(Strip::sign("").label("retransmits "), &RETRANS, own.retrans_segs);
    // Where nothing was sent there is no share of it.
    if own.retrans_ratio.is_some() {
        second = second.label(" = ").number_toned(&RETRANS_SHARE, own.retrans_ratio, units::percent, tone);
    }
    let second = bad(second.label("  timeouts "), &TIMEOUTS, own.timeouts);
    let second = bad(second.label("  listen drops "), &LISTEN_DROPS, own.listen_drops);
    let second = second.label("  resets ").number(&RESETS, own.resets_sent, units::per_second);
    let second = second.bars(&RETRANS_BARS, ctx.trend(|p| p.retrans), 0.01, tone);
    let mut lines = vec![first, second];
    if own.established.is_none() {
        lines.push(Strip::sign("").missing(&ESTABLISHED, ctx));
    }
    lines
}

const LINKS: Origin = ("links", &[Source::LINKS]);
const LINK: About = About::new("link", "name of the interface", "rtnetlink IFLA_IFNAME", LINKS);
const RX: About = About::new("rx", "bits a second received by the interface", "rtnetlink IFLA_STATS64 rx_bytes", LINKS);
const TX: About = About::new("tx", "bits a second sent by the interface", "rtnetlink IFLA_STATS64 tx_bytes", LINKS);
const MORE_LINKS: About = About::new("more", "number of interfaces that are not shown here", "rtnetlink", LINKS);
const LINK_BARS: About = About::new(
    "bars",
    "bytes a second received and sent by all interfaces but lo, a bar a tick, the most of what is shown fills the line",
    "rtnetlink IFLA_STATS64",
    LINKS,
);

/// Links, the busiest first.
pub(super) fn links(ctx: &Context<'_>, room: usize) -> Strip {
    /// Columns of the terminal for how many more there are.
    const FOR_MORE: usize = 12;
    let mut sign = Strip::sign("Links");
    let Some(list) = &ctx.model.links else { return sign.missing(&LINK, ctx) };
    let mut shown = 0;
    for l in list {
        let tone = if l.trouble.is_some_and(|t| t > 0.0) { Tone::Warn } else { Tone::Plain };
        let longer = sign
            .clone()
            .label(if shown == 0 { "" } else { ", " })
            .words(&LINK, l.now.name.as_str(), tone)
            .label(" rx ")
            .number_toned(&RX, l.rx, units::bits_per_second, tone)
            .label(" tx ")
            .number_toned(&TX, l.tx, units::bits_per_second, tone);
        if shown > 0 && longer.width() + FOR_MORE > room {
            break;
        }
        sign = longer;
        shown += 1;
    }
    if let Some(left) = list.len().checked_sub(shown).filter(|n| *n > 0) {
        sign = sign.label(", ").count(&MORE_LINKS, Some(left as u64)).label(" more");
    }
    let both = |p: &Point| p.rx.zip(p.tx).map(|(rx, tx)| rx + tx);
    sign.bars(&LINK_BARS, ctx.trend(both), 1.0, Tone::Good)
}
