//! `observer top`: the live screen.

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use jiff::tz::TimeZone;

use super::{
    Global, config, duration, live,
    recorded::Recorded,
    watched::{self, Watched},
};
use crate::output::tui::{
    app::{self, Ending},
    feed::Feed,
    panes::{self, PANES},
    theme::Theme,
};

/// Options of `observer top`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Time between two snapshots, such as 500ms or 2s
    #[arg(long, short, default_value = "1s", value_parser = duration::interval)]
    pub interval: Duration,
    /// Show a recording instead of this host: a folder that `observer record` has written
    #[arg(long, value_name = "DIR", conflicts_with_all = ["first_byte", "ipv4_prefix", "ipv6_prefix"])]
    pub replay: Option<PathBuf>,
    /// Pane to show first
    #[arg(long, default_value = "overview", value_parser = PossibleValuesParser::new(PANES.iter().map(|p| p.name)))]
    pub pane: String,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// What to look at.
    #[command(flatten)]
    pub look: live::Args,
    /// Storing of OOM kills.
    #[command(flatten)]
    pub watch: watched::Args,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            replay: None,
            pane: "overview".to_owned(),
            no_mouse: false,
            look: live::Args::default(),
            watch: watched::Args::default(),
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    if !io::stdout().is_terminal() {
        bail!("the screen needs a terminal on stdout; `observer report` prints one interval instead");
    }
    let options = app::Options {
        interval: args.interval,
        pane: panes::by_name(&args.pane).unwrap_or_default(),
        mouse: !args.no_mouse,
        theme: Theme::from_environment(global.no_color, |name| env::var(name).ok()),
        zone: TimeZone::system(),
        thresholds: config::thresholds(global)?,
    };
    let (watch, look) = (args.watch.clone(), args.look.clone());
    let feed = match args.replay.clone() {
        Some(path) => Feed::replay(move || Recorded::open(path))?,
        None => Feed::live(move || Ok(Watched::new(&watch, &look)))?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    let ending = runtime.block_on(app::run(options, feed))?;
    Ok(match ending {
        Ending::Quit => ExitCode::SUCCESS,
        Ending::Signal(signal) => ExitCode::from(128u8.saturating_add(u8::try_from(signal as i32).unwrap_or_default())),
        // As if the hang-up signal had been sent.
        Ending::TerminalGone => ExitCode::from(129),
    })
}
