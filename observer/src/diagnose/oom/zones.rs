//! Why each zone could not serve the request: the kernel's own check of watermarks, with its numbers.
//!
//! Source: `__zone_watermark_ok` of mm/page_alloc.c.

use serde::Serialize;

use crate::{
    snapshot::{
        Name,
        oom_report::{OomReport, Zone},
    },
    units,
};

/// A zone, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneCheck {
    /// NUMA node.
    pub node: u32,
    /// Name.
    pub zone: Name,
    /// Free bytes.
    pub free: u64,
    /// Of them only for movable memory (CMA), and the request is not movable.
    pub cma: u64,
    /// Of them kept for requests that may not wait (highatomic).
    pub highatomic: u64,
    /// Watermark that must stay: `min`, its boost included.
    pub min: u64,
    /// What requests for higher zones leave alone here.
    pub reserve: u64,
    /// Free bytes in blocks that are large enough, of a type that the request may use.
    pub fitting: Option<u64>,
    /// What came of it.
    pub verdict: ZoneVerdict,
    /// The arithmetic, to be read.
    pub arithmetic: String,
}

/// Why a zone was no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneVerdict {
    /// Free memory is below what must stay.
    BelowMin,
    /// Free memory is enough, but in no block that is large enough.
    NoBlock,
    /// It could have served the request when the report was made: memory came free meanwhile, or the limit was another one.
    WouldDo,
    /// A number is missing.
    Unknown,
}

/// How a request is checked.
struct Ask {
    order: u32,
    movable: bool,
    /// Zones that it may use, by name; `None`: all.
    highest: Option<&'static str>,
    page: u64,
}

fn ask(report: &OomReport) -> Ask {
    let request = report.request.as_ref();
    let gfp = request.and_then(|r| r.gfp.as_ref());
    let has = |flag: &str| gfp.and_then(|g| g.has(flag)).unwrap_or(false);
    let movable = has("GFP_HIGHUSER_MOVABLE") || has("__GFP_MOVABLE");
    let highest = if has("__GFP_DMA") || has("GFP_DMA") {
        Some("DMA")
    } else if has("__GFP_DMA32") || has("GFP_DMA32") {
        Some("DMA32")
    } else if movable {
        None
    } else {
        Some("Normal")
    };
    Ask {
        order: request.and_then(|r| r.order).and_then(|o| u32::try_from(o).ok()).unwrap_or(0),
        movable,
        highest,
        page: report.page_size.bytes,
    }
}

/// Zones from low to high.
const ORDER: [&str; 6] = ["DMA", "DMA32", "Normal", "HighMem", "Movable", "Device"];

fn rank(zone: &str) -> usize {
    ORDER.iter().position(|z| *z == zone).unwrap_or(ORDER.len())
}

pub(super) fn checks(report: &OomReport) -> Vec<ZoneCheck> {
    let ask = ask(report);
    let may = |zone: &&Zone| match ask.highest {
        Some("Normal") => rank(zone.name.as_str()) <= rank("Normal"),
        Some(highest) => rank(zone.name.as_str()) <= rank(highest),
        None => true,
    };
    report.zones.iter().filter(may).filter(|z| z.value("managed") != Some(0)).map(|zone| check(zone, &ask)).collect()
}

/// The reserve of a zone against requests that were made for the highest zone that they may use. The list grows from zone to
/// zone, and has a place for zones that this host does not have.
fn reserve(zone: &Zone, ask: &Ask) -> u64 {
    let own = rank(zone.name.as_str());
    let list = &zone.lowmem_reserve;
    match ask.highest {
        Some(highest) if rank(highest) <= own => 0,
        // x86-64 has DMA, DMA32, Normal, Movable and Device; 32 bits have HighMem in the place of DMA32.
        Some("DMA32") => list.get(1).copied().unwrap_or(0),
        Some(_) => list.get(2).or(list.last()).copied().unwrap_or(0),
        None => list.iter().copied().max().unwrap_or(0),
    }
}

fn check(zone: &Zone, ask: &Ask) -> ZoneCheck {
    let (free, min) = (zone.value("free"), zone.value("min"));
    let cma = if ask.movable { 0 } else { zone.value("free_cma").unwrap_or(0) };
    let highatomic = zone.value("reserved_highatomic").unwrap_or(0);
    let reserve = reserve(zone, ask);
    let size = super::block(ask.page, ask.order);
    let fitting = fitting(zone, size, ask.movable);
    let (free, min_value) = (free.unwrap_or(0), min.unwrap_or(0));
    let usable = free.saturating_sub(cma).saturating_sub(highatomic);
    let needed = min_value.saturating_add(reserve);
    let verdict = match min {
        None => ZoneVerdict::Unknown,
        Some(_) if usable <= needed => ZoneVerdict::BelowMin,
        Some(_) if ask.order > 0 && fitting == Some(0) => ZoneVerdict::NoBlock,
        Some(_) => ZoneVerdict::WouldDo,
    };
    let kb = |bytes: u64| units::bytes(bytes as f64);
    let mut arithmetic = format!("{} free", kb(free));
    for (bytes, what) in
        [(cma, "in CMA, which only movable memory may use"), (highatomic, "kept for requests that may not wait")]
    {
        if bytes > 0 {
            arithmetic += &format!(" - {} {what}", kb(bytes));
        }
    }
    arithmetic += &match verdict {
        ZoneVerdict::Unknown => "; its watermarks are not in the report".to_owned(),
        _ => {
            let sign = if usable <= needed { "<=" } else { ">" };
            let kept = if reserve > 0 {
                format!(" + {} kept from requests of higher zones", kb(reserve))
            } else {
                String::new()
            };
            format!(" {sign} min {}{kept}", kb(min_value))
        }
    };
    if ask.order > 0
        && let Some(fitting) = fitting
    {
        arithmetic += &format!("; {} in blocks of {} or more that it may use", kb(fitting), kb(size));
    }
    ZoneCheck {
        node: zone.node,
        zone: zone.name.clone(),
        free,
        cma,
        highatomic,
        min: min_value,
        reserve,
        fitting,
        verdict,
        arithmetic,
    }
}

/// Free bytes in blocks of at least `size`. Blocks that are of CMA or highatomic alone do not count, unless the request is
/// movable. `None` without a free list.
fn fitting(zone: &Zone, size: u64, movable: bool) -> Option<u64> {
    if zone.free_blocks.is_empty() {
        return None;
    }
    let may = |types: &str| types.is_empty() || types.chars().any(|t| !matches!(t, 'H' | 'I') && (movable || t != 'C'));
    let blocks = zone.free_blocks.iter().filter(|b| b.bytes >= size && may(b.types.as_str()));
    Some(blocks.map(|b| b.bytes.saturating_mul(b.count)).fold(0, u64::saturating_add))
}
