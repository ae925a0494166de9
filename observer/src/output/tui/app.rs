//! The loop: ticks, keys, signals and snapshots come in, frames go out.

use std::{io, time::Duration};

use anyhow::{Context as _, bail};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::tz::TimeZone;
use nix::sys::signal::Signal;
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    layout::{Position as Place, Rect},
};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    context::Facts,
    draw::{self, View},
    feed::{Feed, Reply},
    header::{Position, Status},
    keymap::{Action, action},
    keys::Events,
    screen::{Effect, Screen, Stop},
    signals,
    tabs::tab_areas,
    term,
    theme::Theme,
    timeline::Timeline,
};
use crate::{diagnose::Thresholds, snapshot::Name};

/// How the screen is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time between two snapshots; between two of a recording while it plays.
    pub interval: Duration,
    /// Pane that is shown first.
    pub pane: usize,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// How things look.
    pub theme: Theme,
    /// Time zone of times of day.
    pub zone: TimeZone,
    /// What findings and verdicts rest on.
    pub thresholds: Thresholds,
}

/// Why the screen has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A key.
    Quit,
    /// A signal.
    Signal(Signal),
    /// The terminal is no more.
    TerminalGone,
}

/// How often the terminal and a slow snapshot are looked after.
const PULSE: Duration = Duration::from_millis(250);

/// Rows that a notch of the wheel moves.
const WHEEL: isize = 3;

/// Shows the screen until something ends it.
pub async fn run(options: Options, feed: Feed) -> anyhow::Result<Ending> {
    let mut ends = signals::listen()?;
    let guard = term::Guard::enter(options.mouse).context("cannot take the terminal over")?;
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout())).context("cannot draw on the terminal")?;
    let mut events = Events::listen()?;
    let mut tick = interval(options.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut app = App::new(options, feed);
    loop {
        if !term::is_taken() {
            bail!("a part of observer has failed, see above");
        }
        if app.stale {
            let drawn = terminal.draw(|frame| {
                let area = frame.area();
                app.draw(area, frame.buffer_mut());
            });
            if drawn.is_err() && !term::is_there() {
                return Ok(Ending::TerminalGone);
            }
            drawn.context("cannot draw on the terminal")?;
        }
        let effect = tokio::select! {
            biased;
            Some(signal) = ends.recv() => return Ok(Ending::Signal(signal)),
            event = events.next() => match event {
                Some(Ok(event)) => app.on_events(&event, &mut events, terminal.size().unwrap_or_default().into()),
                _ if !term::is_there() => return Ok(Ending::TerminalGone),
                Some(Err(e)) => return Err(e).context("cannot read keys from the terminal"),
                None => bail!("cannot read keys from the terminal: it has ended"),
            },
            reply = app.feed.reply() => app.on_reply(reply.context("the thread that reads snapshots has ended")?)?,
            _ = tick.tick() => app.on_tick(),
            _ = pulse.tick() => {
                // A hung-up terminal does not always send a signal, and its keys never end.
                if !term::is_there() {
                    return Ok(Ending::TerminalGone);
                }
                app.on_pulse()
            }
        };
        match effect {
            Some(Effect::Quit) => return Ok(Ending::Quit),
            Some(Effect::Redraw) => terminal.clear().context("cannot clear the terminal")?,
            Some(Effect::Suspend) => {
                guard.suspend().context("cannot take the terminal again")?;
                terminal.clear().context("cannot clear the terminal")?;
            }
            Some(Effect::Draw | Effect::Pause | Effect::Step(_)) | None => {}
        }
    }
}

/// All that changes.
struct App {
    options: Options,
    feed: Feed,
    screen: Screen,
    timeline: Timeline,
    status: Status,
    /// Place of the newest model in the recording.
    newest: Position,
    facts: Facts,
    /// True if what is shown is not what is.
    stale: bool,
}

impl App {
    fn new(options: Options, feed: Feed) -> Self {
        let status = Status {
            asked_seconds: options.interval.as_secs_f64(),
            // A recording waits for the user, this host does not.
            paused: feed.replays(),
            replay: feed.replays().then(Position::default),
            ..Status::default()
        };
        Self {
            screen: Screen::new(options.pane),
            timeline: Timeline::new(options.thresholds.clone()),
            options,
            feed,
            status,
            newest: Position::default(),
            facts: Facts::default(),
            stale: true,
        }
    }

    fn draw(&mut self, area: Rect, buf: &mut ratatui::buffer::Buffer) {
        self.status.newer = self.timeline.newer();
        if let Some(position) = &mut self.status.replay {
            *position = Position { index: self.newest.index.saturating_sub(self.status.newer), ..self.newest };
        }
        let view = View {
            screen: &self.screen,
            timeline: &self.timeline,
            status: &self.status,
            theme: &self.options.theme,
            zone: &self.options.zone,
        };
        self.facts = draw::draw(&view, area, buf);
        self.stale = false;
    }

    fn on_tick(&mut self) -> Option<Effect> {
        match self.status.replay {
            // The first snapshot of a recording is shown without being asked for.
            Some(_) if self.timeline.model().is_none() => self.feed.ask_at(0),
            Some(_) if self.status.paused => {}
            Some(position) if position.count.is_some_and(|count| position.index + 1 >= count) => {
                self.status.paused = true;
                self.stale = true;
            }
            Some(_) => self.step(1),
            None if self.status.paused => {}
            None => self.feed.ask_now(),
        }
        None
    }

    fn on_pulse(&mut self) -> Option<Effect> {
        // A snapshot that takes longer than two ticks is worth a word.
        let remarkable = (2.0 * self.status.asked_seconds).max(1.0);
        let slow = self.feed.awaited_seconds().filter(|s| *s > remarkable);
        if slow.is_some() || self.status.slow_seconds.is_some() {
            self.stale = true;
        }
        self.status.slow_seconds = slow.map(f64::floor);
        None
    }

    fn on_reply(&mut self, reply: anyhow::Result<Reply>) -> anyhow::Result<Option<Effect>> {
        let reply = match reply {
            Ok(reply) => reply,
            // What was shown before stays, with the reason why it does not go on.
            Err(e) if self.timeline.model().is_some() => {
                self.status.trouble = Some(Name::from(format!("{e:#}")).to_string());
                self.status.paused = true;
                self.stale = true;
                return Ok(None);
            }
            Err(e) => return Err(e),
        };
        self.status.trouble = reply.damage.map(|d| Name::from(d).to_string());
        self.newest = reply.position.unwrap_or_default();
        if reply.replace {
            self.timeline.replace(reply.snapshots);
        } else {
            reply.snapshots.into_iter().for_each(|s| self.timeline.push(s));
        }
        self.stale = true;
        Ok(None)
    }

    /// Takes an event and its repetitions that wait behind it: a key that is held down, or a window that is pulled, must not
    /// ask for more frames than the terminal takes. Another event waits for the next frame, whose facts it needs.
    fn on_events(&mut self, first: &Event, events: &mut Events, area: Rect) -> Option<Effect> {
        let mut effect = self.on_event(first, area);
        while matches!(effect, Some(Effect::Draw) | None) && events.next_is_like(first) {
            effect = self.on_event(first, area);
        }
        effect
    }

    fn on_event(&mut self, event: &Event, area: Rect) -> Option<Effect> {
        self.stale = true;
        match event {
            Event::Key(key) if self.screen.writing_filter => self.write_filter(*key),
            Event::Key(key) => action(*key).map(|a| self.act(a)),
            Event::Mouse(mouse) => self.on_mouse(*mouse, area),
            Event::Resize(..) => Some(Effect::Draw),
            Event::FocusGained | Event::FocusLost | Event::Paste(_) => None,
        }
    }

    fn act(&mut self, action: Action) -> Effect {
        let effect = self.screen.apply(action, &self.facts);
        match effect {
            Effect::Pause => self.pause(),
            Effect::Step(steps) => {
                // Who steps wants to look: nothing moves under the eyes.
                self.status.paused = true;
                self.step(steps);
            }
            _ => {}
        }
        effect
    }

    fn pause(&mut self) {
        self.status.paused = !self.status.paused;
        if !self.status.paused && self.status.replay.is_none() {
            self.timeline.step_within(isize::MAX);
            self.feed.ask_now();
        }
    }

    fn step(&mut self, steps: isize) {
        self.stale = true;
        match self.status.replay {
            Some(_) if self.timeline.step(steps) => {}
            Some(_) => {
                let shown = self.newest.index.saturating_sub(self.timeline.newer());
                let last = self.newest.count.map_or(usize::MAX, |c| c.saturating_sub(1));
                let to = shown.saturating_add_signed(steps).min(last);
                if to != shown {
                    self.feed.ask_at(to);
                }
            }
            None => self.timeline.step_within(steps),
        }
    }

    fn write_filter(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Some(Effect::Quit),
            KeyCode::Char('u') if control => self.screen.erase(true),
            KeyCode::Char(c) if !control => self.screen.write(c),
            KeyCode::Backspace => self.screen.erase(false),
            KeyCode::Enter => self.screen.writing_filter = false,
            KeyCode::Esc => {
                self.screen.erase(true);
                self.screen.writing_filter = false;
            }
            _ => {}
        }
        Some(Effect::Draw)
    }

    fn on_mouse(&mut self, mouse: MouseEvent, area: Rect) -> Option<Effect> {
        let at = Place { x: mouse.column, y: mouse.row };
        match mouse.kind {
            MouseEventKind::ScrollUp => Some(self.act(Action::Rows(-WHEEL))),
            MouseEventKind::ScrollDown => Some(self.act(Action::Rows(WHEEL))),
            MouseEventKind::Down(MouseButton::Left) => {
                if let Some(tab) = tab_areas(draw::tabs_line(area)).iter().position(|t| t.contains(at)) {
                    return Some(self.act(Action::Pane(tab)));
                }
                for (stop, lines) in [(Stop::Header, &self.facts.header), (Stop::Signs, &self.facts.signs)] {
                    if let Some(number) = lines.at(at) {
                        self.screen.choose_number(stop, number);
                        return Some(Effect::Draw);
                    }
                }
                let table = self.facts.tables.iter().position(|t| t.area.contains(at))?;
                if let Some(row) = self.facts.tables.get(table).and_then(|t| t.row_at(at.y)) {
                    self.screen.choose(table, row);
                }
                Some(self.act(Action::Table(table)))
            }
            _ => {
                self.stale = false;
                None
            }
        }
    }
}
