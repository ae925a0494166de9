//! `observer top`: the live screen.

use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use jiff::{SignedDuration, tz::TimeZone};

use super::{Global, live};
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
    #[arg(long, short, default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Pane to show first
    #[arg(long, default_value = "overview", value_parser = PossibleValuesParser::new(PANES.iter().map(|p| p.name)))]
    pub pane: String,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), pane: "overview".to_owned(), no_mouse: false }
    }
}

/// Shorter intervals would mostly measure observer itself.
const SHORTEST: Duration = Duration::from_millis(100);

/// Longer ones are a recording's work.
const LONGEST: Duration = Duration::from_secs(3600);

fn interval(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "not a time such as 500ms, 1s or 1m".to_owned())?;
    let interval = Duration::try_from(parsed).map_err(|_| "a time below zero".to_owned())?;
    if interval < SHORTEST || interval > LONGEST {
        return Err("an interval is between 100ms and 1h".to_owned());
    }
    Ok(interval)
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
    };
    let feed = Feed::live(|| {
        let mut collector = live::collector();
        Ok(move || collector.snapshot())
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    let ending = runtime.block_on(app::run(options, feed))?;
    Ok(match ending {
        Ending::Quit => ExitCode::SUCCESS,
        Ending::Signal(signal) => ExitCode::from(128u8.saturating_add(u8::try_from(signal as i32).unwrap_or_default())),
        // As if the hang-up signal had been sent.
        Ending::TerminalGone => ExitCode::from(129),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_times_within_reason() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1m"), Ok(Duration::from_secs(60)));
        for wrong in ["", "1", "0s", "-1s", "1ms", "2h", "soon"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
