//! The terminal: taken over on entry, given back on every way out.

use std::{
    io::{self, Write},
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableMouseCapture, EnableMouseCapture},
    execute, queue,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use nix::sys::{
    signal::{Signal, raise},
    termios::tcgetattr,
};

use super::log;

/// True while the terminal is ours. Static, because a panic hook has nothing else to look at.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// True while the terminal reports the mouse to us.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// The terminal is ours for as long as this lives.
#[derive(Debug)]
pub struct Guard {
    mouse: bool,
}

impl Guard {
    /// Takes the terminal over: raw mode, alternate screen, no cursor, and the mouse if it is wanted. From here on a panic
    /// of any thread gives it back before it says why.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        restore_on_panic();
        let guard = Self { mouse };
        guard.take()?;
        Ok(guard)
    }

    fn take(&self) -> io::Result<()> {
        enable_raw_mode()?;
        // From here on there is something to give back, also if the rest fails.
        TAKEN.store(true, Ordering::SeqCst);
        MOUSE.store(self.mouse, Ordering::SeqCst);
        let mut out = io::stdout();
        execute!(out, EnterAlternateScreen, Hide)?;
        if self.mouse { execute!(out, EnableMouseCapture) } else { Ok(()) }
    }

    /// Gives the terminal back, stops this process as Ctrl-Z does, and takes the terminal again when it goes on.
    pub fn suspend(&self) -> io::Result<()> {
        give_back();
        raise(Signal::SIGTSTP)?;
        self.take()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
        log::release();
    }
}

/// Whether the terminal is ours: it is not after a panic of any thread.
pub fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Whether there still is a terminal at the other end of stdout. A hung-up one answers nothing, not even its settings.
pub fn is_there() -> bool {
    tcgetattr(io::stdout()).is_ok()
}

/// Gives the terminal back as it was, once. Errors are not told: there is nobody left to read them.
pub fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // The settings first: they are taken back even if the terminal reads no more.
    let _ = disable_raw_mode();
    let _ = write_back(&mut io::stdout(), MOUSE.swap(false, Ordering::SeqCst));
}

fn write_back(out: &mut impl Write, mouse: bool) -> io::Result<()> {
    if mouse {
        queue!(out, DisableMouseCapture)?;
    }
    queue!(out, LeaveAlternateScreen, Show)?;
    out.flush()
}

fn restore_on_panic() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Ordering::SeqCst) {
        return;
    }
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        give_back();
        before(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{pty::openpty, sys::termios::LocalFlags};
    use std::{fs::File, io::Read, process::Command};

    #[test]
    fn what_was_switched_on_is_switched_off() {
        let mut out = Vec::new();
        write_back(&mut out, true).unwrap();
        let text = String::from_utf8(out).unwrap();
        for off in ["\x1b[?1000l", "\x1b[?1049l", "\x1b[?25h"] {
            assert!(text.contains(off), "{text:?} lacks {off:?}");
        }
    }

    /// Not a test by itself: what the next test runs in a terminal of its own.
    #[test]
    #[ignore = "panics on purpose, run by the test below"]
    fn panics_while_the_terminal_is_taken() {
        let _guard = Guard::enter(true).unwrap();
        std::thread::spawn(|| panic!("on purpose")).join().unwrap_err();
        assert!(!is_taken(), "a panic of another thread gives the terminal back too");
        panic!("and again");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_then_says_why() {
        let pty = openpty(None, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "output::tui::term::tests::panics_while_the_terminal_is_taken",
            ])
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        // The terminal's buffer is larger than what is written: nothing blocks.
        assert!(!child.wait().unwrap().success(), "it has panicked");
        let after = tcgetattr(&pty.slave).unwrap();
        assert_eq!(after.local_flags, before.local_flags);
        assert!(after.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO));
        drop(pty.slave);
        let mut seen = Vec::new();
        // Reading the master ends with EIO once no slave is open.
        let _ = File::from(pty.master).read_to_end(&mut seen);
        let seen = String::from_utf8_lossy(&seen);
        let at = |what: &str| seen.find(what).unwrap_or_else(|| panic!("{what:?} is not in {seen:?}"));
        assert!(at("\x1b[?1049h") < at("\x1b[?1049l"));
        assert!(at("\x1b[?1049l") < at("on purpose"), "the reason stands on the usual screen");
        assert!(at("\x1b[?25h") < at("on purpose"));
        assert_eq!(seen.matches("\x1b[?1049l").count(), 1, "it is given back once");
    }
}
