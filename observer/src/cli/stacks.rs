//! `observer report memory --stacks`: where page allocations come from, sampled for a while.

use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::{
    Global,
    interrupt::{Interrupt, Wait},
    print, report,
};
use crate::{
    object::OBJECT,
    output::{
        profile::{self, Format},
        text::Style,
    },
    profile::Profile,
    source::profile::{Profiler, Request},
};

/// Options of `--stacks`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Stacks of allocations")]
pub struct StackArgs {
    /// Sample kernel and user stacks of page allocations instead: who asks for memory, and from which code
    #[arg(long, conflicts_with = "replay")]
    pub stacks: bool,
    /// Only this process; may be given several times
    #[arg(long = "pid", value_name = "PID", requires = "stacks", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Only this memory cgroup and those below it: its path from the root of the hierarchy, or its folder
    #[arg(long, value_name = "PATH", requires = "stacks")]
    pub cgroup: Option<PathBuf>,
    /// Only requests of 2^N pages, with `+` of so many and more: 0, 9, 3+
    #[arg(long, value_name = "N[+]", requires = "stacks", value_parser = orders)]
    pub order: Option<Orders>,
    /// Sample one request in so many; without it as many as give about 2,000 samples a second, measured first
    #[arg(long, value_name = "N", requires = "stacks")]
    pub every: Option<NonZeroU32>,
    /// How to write it
    #[arg(long, value_enum, default_value_t, requires = "stacks", conflicts_with = "json")]
    pub format: Format,
    /// Write it to this file, whole or not at all, in place of what was there
    #[arg(long, value_name = "FILE", requires = "stacks")]
    pub out: Option<PathBuf>,
}

/// Lowest and highest order.
pub type Orders = (u32, Option<u32>);

/// The largest order that is taken; the kernel's is 10 on most machines.
const MAX_ORDER: u32 = 30;

fn orders(text: &str) -> Result<Orders, String> {
    let (number, more) = text.strip_suffix('+').map_or((text, false), |n| (n, true));
    let order = number.parse().ok().filter(|n| *n <= MAX_ORDER);
    let order = order.ok_or_else(|| format!("an order is a number from 0 to {MAX_ORDER}, with + for all above it"))?;
    Ok((order, (!more).then_some(order)))
}

/// Between two looks at what was sampled: a process that ends meanwhile takes the names of its code with it.
const LOOK: Duration = Duration::from_millis(100);

/// Samples a second that the automatic rate aims at: some milliseconds of CPU time a second.
const AIM: f64 = 2000.0;

/// Runs the command.
pub(super) fn run(args: &report::Args, global: &Global) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.stacks.out {
        check_out(path)?;
    }
    let Some(profile) = take(args)? else { return Ok(ExitCode::SUCCESS) };
    let options = &args.stacks;
    let indented = options.out.is_none() && io::stdout().is_terminal();
    let style = if options.out.is_some() { Style::default() } else { print::style(global) };
    let text = match options.format {
        _ if args.json => profile::document(&profile, indented)? + "\n",
        Format::Text => profile::text(&profile, style),
        Format::Folded => profile::folded(&profile),
        Format::Svg => profile::svg(&profile),
    };
    match &options.out {
        Some(path) => {
            replace(path, &text)?;
            let samples = profile.matched.samples;
            writeln!(
                io::stderr(),
                "{samples} samples written to {}",
                crate::snapshot::Name::from(path.display().to_string())
            )?;
        }
        None => print::print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Samples until the time has come or somebody asks us to stop. `None` if that was before the sampling began.
fn take(args: &report::Args) -> anyhow::Result<Option<Profile>> {
    let mut interrupt = Interrupt::new()?;
    let options = &args.stacks;
    let mut request = Request {
        pids: options.pids.clone(),
        cgroup: options.cgroup.clone(),
        orders: options.order.unwrap_or((0, None)),
        every: options.every.map_or(u32::MAX, NonZeroU32::get),
    };
    if options.every.is_none() {
        let counter = Profiler::start(OBJECT, &request)?;
        let time = (args.time / 10).clamp(Duration::from_millis(50), Duration::from_millis(500));
        if let Wait::Interrupted(_) = interrupt.wait_until(Instant::now() + time) {
            return Ok(None);
        }
        request.every = counter.every_for(AIM)?;
    }
    let mut profiler = Profiler::start(OBJECT, &request)?;
    let end = Instant::now() + args.time;
    loop {
        match interrupt.wait_until(end.min(Instant::now() + LOOK)) {
            Wait::Interrupted(signal) => return Ok(Some(profiler.finish(Some(signal))?)),
            _ if Instant::now() >= end => return Ok(Some(profiler.finish(None)?)),
            _ => profiler.look()?,
        }
    }
}

/// Says before the sampling that its result could not be written.
fn check_out(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(m) if !m.is_file() => bail!("{} is no plain file: choose another --out", path.display()),
        _ => {}
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a new file beside it and moves that in its place.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(format!(".{}.new", std::process::id()));
    let new = folder_of(path).join(new);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    let result = write();
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    result.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_one_or_all_above() {
        assert_eq!(orders("9"), Ok((9, Some(9))));
        assert_eq!(orders("3+"), Ok((3, None)));
        for wrong in ["", "+", "-1", "31", "two", "3-4"] {
            assert!(orders(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.svg");
        fs::write(&path, "old").unwrap();
        check_out(&path).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(check_out(folder.path()).is_err());
        assert!(check_out(&folder.path().join("none/x")).is_err());
        assert!(replace(&folder.path().join("none/x"), "new").is_err());
    }
}
