//! `observer --version`: which observer this is, and with --verbose what the embedded eBPF object holds.

use std::process::ExitCode;

use anyhow::Context;

use super::{Global, print};
use crate::{elf, object::OBJECT, units};

/// Prints the version.
pub(super) fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let mut text = format!("observer {}\n", env!("CARGO_PKG_VERSION"));
    if global.verbose {
        let object = elf::summarize(OBJECT).context("the embedded eBPF object")?;
        describe(&mut text, &object);
    }
    print::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(out: &mut String, object: &elf::ObjectSummary) {
    let size = units::bytes(object.size as f64);
    let btf = units::or_unknown(object.btf_bytes.map(|b| b as f64), units::bytes);
    let license = object.license.as_deref().unwrap_or(units::UNKNOWN);
    out.push_str(&format!("eBPF object: {size}, license {license}, type information (BTF) {btf}\n"));
    out.push_str(&format!("programs ({}):\n", object.programs.len()));
    let widest = object.programs.iter().map(|p| p.name.len()).max().unwrap_or(0);
    for program in &object.programs {
        out.push_str(&format!("  {:<widest$}  {}\n", program.name, program.section));
    }
    out.push_str(&format!("maps ({}):\n", object.maps.len()));
    object.maps.iter().for_each(|map| out.push_str(&format!("  {map}\n")));
}
