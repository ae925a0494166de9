//! A flame graph as an SVG image: one box a function, as wide as the memory that it and what it calls asked for.
//!
//! The image holds no script and loads nothing: what a box says in full is its `<title>`, which browsers show under the
//! pointer. Names are written by strangers, so every one is escaped for XML.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    output::text::{Cut, cut, width},
    profile::{Profile, labels},
    units,
};

const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const ROW: f64 = 17.0;
const TOP: f64 = 48.0;
/// Width of a character of the font, roughly.
const CHARACTER: f64 = 6.6;
/// Boxes that are narrower are left out, with all above them.
const NARROWEST: f64 = 0.2;

#[derive(Debug, Default)]
struct Node {
    bytes: f64,
    samples: u64,
    children: BTreeMap<String, Node>,
}

/// The image.
pub fn svg(profile: &Profile) -> String {
    let labels = labels(profile);
    let mut root = Node::default();
    for stack in &profile.stacks {
        let bytes = profile.bytes(stack);
        let mut node = &mut root;
        node.add(bytes, stack.samples);
        for part in super::path(profile, &labels, stack) {
            node = node.children.entry(part.into_owned()).or_default();
            node.add(bytes, stack.samples);
        }
    }
    let scale = if root.bytes > 0.0 { (WIDTH - 2.0 * MARGIN) / root.bytes } else { 0.0 };
    let depth = root.depth(scale);
    let height = TOP + ROW * (depth as f64 + 1.0) + MARGIN;
    let mut out = String::new();
    let title = format!(
        "Page allocations: about {} in {}, 1 request in {} sampled",
        units::bytes(root.bytes),
        units::seconds(profile.seconds),
        profile.every
    );
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n\
         <svg version=\"1.1\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f8f8f4\"/>\n\
         <text x=\"{MARGIN}\" y=\"22\" font-size=\"15\">{}</text>\n\
         <text x=\"{MARGIN}\" y=\"38\" fill=\"#555\">Width is memory asked for. From below: task, its functions, \
         the kernel's. The pointer shows names in full.</text>\n",
        escape(&title)
    );
    let page = Page { scale, base: height - MARGIN - ROW, total: root.bytes };
    page.draw(&mut out, "all", &root, 0, MARGIN);
    out.push_str("</svg>\n");
    out
}

impl Node {
    fn add(&mut self, bytes: f64, samples: u64) {
        self.bytes += bytes;
        self.samples += samples;
    }

    /// Levels above this one that are wide enough to be drawn.
    fn depth(&self, scale: f64) -> usize {
        let drawn = self.children.values().filter(|n| n.bytes * scale >= NARROWEST);
        drawn.map(|n| 1 + n.depth(scale)).max().unwrap_or(0)
    }
}

struct Page {
    scale: f64,
    base: f64,
    total: f64,
}

impl Page {
    fn draw(&self, out: &mut String, name: &str, node: &Node, level: usize, x: f64) {
        let wide = node.bytes * self.scale;
        if wide < NARROWEST {
            return;
        }
        let y = self.base - ROW * level as f64;
        let shown = name.strip_suffix("_[k]").unwrap_or(name);
        let share = if self.total > 0.0 { node.bytes / self.total } else { 0.0 };
        let full =
            format!("{shown}: {}, about {}, {} samples", units::percent(share), units::bytes(node.bytes), node.samples);
        let _ = write!(
            out,
            "<g><title>{}</title><rect x=\"{x:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{:.1}\" rx=\"1\" fill=\"{}\"/>",
            escape(&full),
            (wide - 0.3).max(0.1),
            ROW - 1.0,
            color(name),
        );
        let room = ((wide - 6.0) / CHARACTER).max(0.0) as usize;
        if room >= 3 {
            let text = if width(shown) <= room { shown.to_owned() } else { cut(shown, room, Cut::End) };
            let _ = write!(out, "<text x=\"{:.2}\" y=\"{:.1}\">{}</text>", x + 3.0, y + 12.0, escape(&text));
        }
        out.push_str("</g>\n");
        let mut x = x;
        for (name, child) in &node.children {
            self.draw(out, name, child, level + 1, x);
            x += child.bytes * self.scale;
        }
    }
}

/// Kernel functions are warm, user functions cold, what is in brackets grey. One name has one color.
fn color(name: &str) -> String {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let (a, b) = (hash % 50, (hash >> 8) % 40);
    if name.starts_with('[') {
        let grey = 190 + hash % 30;
        return format!("rgb({grey},{grey},{grey})");
    }
    if name.ends_with("_[k]") {
        format!("rgb({},{},{})", 225 + a / 2, 140 + b, 70 + a)
    } else {
        format!("rgb({},{},{})", 100 + a, 170 + b, 190 + a)
    }
}

/// Text for XML: markup is escaped, and characters that XML does not allow are left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
