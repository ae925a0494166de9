//! A private tmux server with one window in which observer runs.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Nothing that is awaited may take longer, on a machine that has other work too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at what is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until something is true.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        thread::sleep(LOOK);
    }
}

/// A server of our own. It ends with this.
pub(crate) struct Tmux {
    socket: String,
    folder: TempDir,
}

impl Tmux {
    /// Starts observer in a window of that size. `None`, and a word on why, if there is no tmux.
    pub(crate) fn observer(arguments: &str, width: u16, height: u16) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("SKIPPED: there is no tmux to show the screen in (apt install tmux)");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let socket = format!("observer-test-{}-{number}", std::process::id());
        let tmux = Self { socket, folder: tempfile::tempdir().unwrap() };
        // The shell notes how the terminal was, and how it is afterwards, and stays.
        let script = format!(
            "cd {folder}; stty -g >before; sh -c 'echo $$ >pid; exec {observer} {arguments}' 2>stderr; \
             echo $? >code.new; stty -g >after; mv code.new code; exec cat",
            folder = tmux.folder.path().display(),
            observer = env!("CARGO_BIN_EXE_observer"),
        );
        let (width, height) = (width.to_string(), height.to_string());
        let started =
            tmux.run(&["-u", "-f", "/dev/null", "new-session", "-d", "-s", "s", "-x", &width, "-y", &height, &script]);
        assert!(started.status.success(), "tmux: {}", String::from_utf8_lossy(&started.stderr));
        Some(tmux)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env_remove("LC_ALL")
            .env("LANG", "C.UTF-8")
            .output()
            .unwrap()
    }

    /// What the shell has noted: `code`, `stderr`, the settings `before` and `after`.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path().join(name)).ok().map(|t| t.trim().to_owned())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What is shown, as text.
    pub(crate) fn capture(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p", "-t", "s"]).stdout).unwrap()
    }

    /// What is shown, with colours and attributes.
    pub(crate) fn capture_with_escapes(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p", "-e", "-t", "s"]).stdout).unwrap()
    }

    /// Waits until what is shown is as it should be, and gives it.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.capture();
            if is_so(&text) {
                return text;
            }
            if let Some(code) = self.read("code") {
                panic!("observer has ended with {code} before {what}: {:?}", self.read("stderr"));
            }
            assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}, what is shown is:\n{text}");
            thread::sleep(LOOK);
        }
    }

    /// Presses keys, by tmux's names.
    pub(crate) fn keys(&self, keys: &[&str]) {
        let arguments: Vec<&str> = ["send-keys", "-t", "s"].into_iter().chain(keys.iter().copied()).collect();
        assert!(self.run(&arguments).status.success());
    }

    /// Gives the window another size.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        assert!(self.run(&["resize-window", "-t", "s", "-x", &width, "-y", &height]).status.success());
    }

    /// Sends a signal to observer.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid: i32 = self.read("pid").and_then(|p| p.parse().ok()).expect("the pid of observer");
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for the end of observer and gives its exit code.
    pub(crate) fn exit_code(&self) -> i32 {
        until("the end of observer", || self.read("code").is_some());
        assert_eq!(self.read("stderr").as_deref(), Some(""), "nothing is left to say");
        self.read("code").and_then(|c| c.parse().ok()).expect("an exit code")
    }

    /// What tmux knows of the terminal.
    fn flag(&self, name: &str) -> String {
        let format = format!("#{{{name}}}");
        String::from_utf8(self.run(&["display-message", "-p", "-t", "s", &format]).stdout).unwrap().trim().to_owned()
    }

    /// Whether the alternate screen is shown.
    pub(crate) fn is_alternate(&self) -> bool {
        self.flag("alternate_on") == "1"
    }

    /// Settings, screen, cursor and mouse are as they were.
    pub(crate) fn assert_terminal_is_as_before(&self) {
        assert_eq!(self.read("after"), self.read("before"), "settings of the terminal");
        assert!(self.read("before").is_some_and(|s| !s.is_empty()));
        assert!(!self.is_alternate(), "the alternate screen was left");
        assert_eq!(self.flag("cursor_flag"), "1", "the cursor is visible");
        assert_eq!(self.flag("mouse_any_flag"), "0", "the mouse is the terminal's again");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}
