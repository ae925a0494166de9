//! Stalls as the kernel averages them.

use super::{super::table::Origin, Context, Strip, Tone, tone_of};
use crate::{
    output::tui::strip::About,
    snapshot::{
        coverage::Source,
        pressure::{Resource, Stall},
    },
    units,
};

const MEMORY_FROM: Origin = ("pressure", &[Source::PRESSURE_MEMORY]);
const MEMORY: About = About::new(
    "memory",
    "percent of the last 10, 60 and 300 seconds in which some task waited for memory",
    "/proc/pressure/memory some",
    MEMORY_FROM,
);
const IO: About = About::new(
    "io",
    "percent of the last 10, 60 and 300 seconds in which some task waited for a device",
    "/proc/pressure/io some",
    ("pressure", &[Source::PRESSURE_IO]),
);
const CPU: About = About::new(
    "cpu",
    "percent of the last 10, 60 and 300 seconds in which some task waited for a CPU",
    "/proc/pressure/cpu some",
    ("pressure", &[Source::PRESSURE_CPU]),
);
const BARS: About = About::new(
    "bars",
    "share of the last 10 seconds in which some task waited for memory, a bar a tick, 10 % fills the line",
    "/proc/pressure/memory some avg10",
    MEMORY_FROM,
);

/// `memory 12/8/3 %, io 1/1/1 %, cpu 40/30/20 %`.
pub(super) fn line(ctx: &Context<'_>) -> Strip {
    let sign = Strip::sign("Pressure");
    let Some(pressure) = &ctx.model.pressure else {
        return sign.missing(&MEMORY, ctx);
    };
    let some = |resource: &Option<Resource>| resource.as_ref().and_then(|r| r.some);
    let memory = some(&pressure.memory);
    let worst = tone_of(memory.map(|s| s.avg10), 0.05, 0.2);
    let averages = |sign: Strip, about: &About, stall: Option<Stall>, tone: Tone| match stall {
        Some(stall) => sign.words(about, three(&stall), tone),
        None => sign.words_or_unknown(about, None::<String>),
    };
    let sign = averages(sign.label("memory "), &MEMORY, memory, worst);
    let sign =
        averages(sign.label(", io "), &IO, some(&pressure.io), tone_of(some(&pressure.io).map(|s| s.avg10), 0.05, 0.2));
    // Waiting for a CPU is what a busy host does.
    let sign = averages(sign.label(", cpu "), &CPU, some(&pressure.cpu), Tone::Plain);
    sign.label(" of 10, 60, 300 s").bars(&BARS, ctx.trend(|p| p.psi_memory), 0.1, worst)
}

/// `12/8/3 %`.
fn three(stall: &Stall) -> String {
    let [short, middle, long] = [stall.avg10, stall.avg60, stall.avg300].map(|v| format!("{:.0}", v * 100.0));
    format!("{short}/{middle}/{long} %")
}

const SHARES: [[About; 4]; 2] = [
    [
        About::new(
            "some, 10 s",
            "share of the last 10 seconds in which some task waited for memory",
            "/proc/pressure/memory some avg10",
            MEMORY_FROM,
        ),
        About::new(
            "some, 60 s",
            "share of the last 60 seconds in which some task waited for memory",
            "/proc/pressure/memory some avg60",
            MEMORY_FROM,
        ),
        About::new(
            "some, 300 s",
            "share of the last 300 seconds in which some task waited for memory",
            "/proc/pressure/memory some avg300",
            MEMORY_FROM,
        ),
        About::new(
            "some, in all",
            "time since boot in which some task waited for memory",
            "/proc/pressure/memory some total",
            MEMORY_FROM,
        ),
    ],
    [
        About::new(
            "full, 10 s",
            "share of the last 10 seconds in which all tasks waited for memory at once",
            "/proc/pressure/memory full avg10",
            MEMORY_FROM,
        ),
        About::new(
            "full, 60 s",
            "share of the last 60 seconds in which all tasks waited for memory at once",
            "/proc/pressure/memory full avg60",
            MEMORY_FROM,
        ),
        About::new(
            "full, 300 s",
            "share of the last 300 seconds in which all tasks waited for memory at once",
            "/proc/pressure/memory full avg300",
            MEMORY_FROM,
        ),
        About::new(
            "full, in all",
            "time since boot in which all tasks waited for memory at once",
            "/proc/pressure/memory full total",
            MEMORY_FROM,
        ),
    ],
];

/// Stalls for memory, both kinds with their averages and totals.
pub(super) fn in_full(ctx: &Context<'_>) -> Vec<Strip> {
    let Some(memory) = ctx.model.pressure.as_ref().and_then(|p| p.memory.as_ref()) else { return Vec::new() };
    let kinds = [("some ", memory.some), ("all  ", memory.full)];
    let line = |((who, stall), [short, middle, long, total]): ((&'static str, Option<Stall>), &[About; 4])| {
        Strip::sign("")
            .label(who)
            .number(short, stall.map(|s| s.avg10), units::percent)
            .label(" of 10 s, ")
            .number(middle, stall.map(|s| s.avg60), units::percent)
            .label(" of 60 s, ")
            .number(long, stall.map(|s| s.avg300), units::percent)
            .label(" of 300 s, ")
            .number(total, stall.map(|s| s.total_seconds), units::seconds)
            .label(" since boot")
    };
    kinds.into_iter().zip(&SHARES).map(line).collect()
}
