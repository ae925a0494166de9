//! A profile as text, folded stacks, a flame graph and JSON. Pure: a [`Profile`] in, a text out.

mod flame;
mod folded;
mod json;
mod text;

pub use flame::svg;
pub use folded::folded;
pub use json::document;
pub use text::text;

use crate::profile::{Profile, Stack, Trace, base_name};

/// The form of a profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a person
    #[default]
    Text,
    /// One line a stack, as flame-graph tools read them: frames joined by `;`, a space, bytes
    Folded,
    /// A flame graph as an SVG image
    Svg,
}

/// A row as a path of names from the outermost to the innermost: process, user side, kernel side, and `[failed]` where the
/// kernel refused.
fn path<'a>(profile: &Profile, labels: &'a [String], stack: &'a Stack) -> Vec<std::borrow::Cow<'a, str>> {
    let side = |trace: &'a Trace, suffix: &str| -> Vec<std::borrow::Cow<'a, str>> {
        let mut parts = Vec::new();
        if let Some(why) = trace.absent {
            parts.push(format!("[{why}]{suffix}").into());
        }
        if trace.cut {
            parts.push(format!("[callers beyond the kernel's depth]{suffix}").into());
        }
        let frames = trace.frames.iter().rev().filter_map(|i| labels.get(*i));
        parts.extend(frames.map(|label| format!("{label}{suffix}").into()));
        parts
    };
    let mut path = vec![format!("{}-{}", stack.comm, stack.pid).into()];
    path.extend(side(&stack.user, ""));
    // The suffix by which flame-graph tools know frames of the kernel.
    path.extend(side(&stack.kernel, "_[k]"));
    if stack.order > 0 {
        let size = crate::units::bytes(profile.page_size as f64 * 2_f64.powi(i32::try_from(stack.order).unwrap_or(0)));
        path.push(format!("[order {}, {size}]", stack.order).into());
    }
    if stack.failed {
        path.push("[failed]".into());
    }
    path
}

/// Function, with its module where it is not the kernel's.
fn place(profile: &Profile, index: usize) -> String {
    let Some(frame) = profile.frames.get(index) else { return String::new() };
    match (&frame.function, &frame.module) {
        (Some(function), Some(module)) => format!("{function} ({})", base_name(module)),
        _ => frame.label(),
    }
}

#[cfg(test)]
mod tests;
