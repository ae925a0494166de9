//! Runs commands: with their output shown, captured, or put into a log behind a spinner.

use crate::paths;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// How many lines of a failed command's output an error shows.
const TAIL: usize = 40;

/// True when this process may install packages and load eBPF programs.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says what happens next, on stderr: stdout belongs to what is run.
pub(crate) fn say(text: &str) {
    eprintln!("==> {text}");
}

/// The command as a person would type it, with the variables that were set for it; without PATH, which is long and tells
/// little.
pub(crate) fn line(command: &Command) -> String {
    let set = command.get_envs().filter(|(key, _)| *key != "PATH");
    let set = set.filter_map(|(key, value)| value.map(|v| format!("{}={}", quote(key), quote(v))));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quote);
    set.chain(words).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Cargo, as it runs this program, with what `cargo run` adds to the environment taken away again: package variables
/// would make build scripts run twice, and a library path would reach programs of another toolchain.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    clean(&mut command);
    command.current_dir(paths::root());
    command
}

/// Takes away what `cargo run` put into the environment.
pub(crate) fn clean(command: &mut Command) {
    command.env_remove("LD_LIBRARY_PATH");
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("CARGO_PKG_")
            || key == "CARGO_MANIFEST_DIR"
            || key == "CARGO_MANIFEST_PATH"
        {
            command.env_remove(key);
        }
    }
}

/// Which lines are shown, asked once for each, in their order.
type Filter = Box<dyn FnMut(&str) -> bool>;

/// Shows what is written to it, line by line, and keeps all of it.
#[derive(Default)]
pub(crate) struct Tee {
    bytes: Vec<u8>,
    /// Put before each line, so that those of several commands can be told apart.
    prefix: Option<String>,
    /// None: every line is shown.
    filter: Option<Filter>,
    /// How much of `bytes` has been shown.
    shown: usize,
}

impl Tee {
    /// For a command that runs beside others.
    pub(crate) fn prefixed(prefix: &str) -> Self {
        Self { prefix: Some(prefix.to_owned()), ..Self::default() }
    }

    /// Shows only the lines that `filter` wants.
    pub(crate) fn only(self, filter: impl FnMut(&str) -> bool + 'static) -> Self {
        Self { filter: Some(Box::new(filter)), ..self }
    }

    /// Everything that was written.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn show(&mut self) -> io::Result<()> {
        let fresh = self.bytes.get(self.shown..).unwrap_or_default();
        let mut out = io::stdout().lock();
        for line in fresh.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            self.shown += line.len();
            if self.filter.as_mut().is_some_and(|wants| !wants(String::from_utf8_lossy(line).trim_end())) {
                continue;
            }
            if let Some(prefix) = &self.prefix {
                write!(out, "[{prefix}] ")?;
            }
            out.write_all(line)?;
        }
        Ok(())
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        self.show()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Runs a command with its output shown as it comes, stdout and stderr in the order they were written, and copies it to
/// `out`.
pub(crate) fn tee(command: &mut Command, out: &mut Tee) -> Result<ExitStatus> {
    let (mut child, mut reader) = spawn_merged(command)?;
    io::copy(&mut reader, out).with_context(|| format!("cannot read from: {}", line(command)))?;
    child.wait().with_context(|| format!("cannot wait for: {}", line(command)))
}

/// Starts a command with stdout and stderr in one pipe.
fn spawn_merged(command: &mut Command) -> Result<(Child, io::PipeReader)> {
    let (reader, writer) = io::pipe().context("cannot create a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().context("cannot share a pipe")?).stderr(writer);
    let child = command.spawn().with_context(|| format!("cannot start: {}", line(command)))?;
    // The command still holds the writing ends: without this, reading would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((child, reader))
}

/// Runs a command and returns what it wrote to stdout.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("failed ({}): {}\n{}", output.status, line(command), tail(&said));
    }
    String::from_utf8(output.stdout).with_context(|| format!("output is not UTF-8: {}", line(command)))
}

/// Runs a command and returns everything about it, whether it failed or not.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot start: {}", line(command)))
}

/// Runs a long command behind a spinner (plain lines where stderr is no terminal). Its whole output goes to a log under
/// `target/`; an error shows the end of it.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<()> {
    let begun = Instant::now();
    let log_path = paths::log(what)?;
    let mut log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;

    let spinner = spinner(what);
    let (mut child, reader) = spawn_merged(command)?;
    let mut said = String::new();
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).with_context(|| format!("cannot read from: {}", line(command)))? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        log.write_all(&bytes).with_context(|| format!("cannot write {}", log_path.display()))?;
        spinner.set_message(text.trim().chars().filter(|c| !c.is_control()).take(80).collect::<String>());
        said.push_str(&text);
        bytes.clear();
    }
    let status = child.wait().with_context(|| format!("cannot wait for: {}", line(command)))?;
    spinner.finish_and_clear();
    if !status.success() {
        bail!("{what}: failed ({status}): {}\n{}\n(whole output: {})", line(command), tail(&said), log_path.display());
    }
    say(&format!("{what}: done in {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

fn spinner(what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        say(what);
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg:.dim}") {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["build", "--cfg", "it's"]).env("RUSTFLAGS", "-C a b");
        assert_eq!(line(&command), r"RUSTFLAGS='-C a b' /usr/bin/cargo build --cfg 'it'\''s'");
    }

    #[test]
    fn a_failed_step_names_the_command_and_shows_the_end_of_its_output() {
        let error =
            step("unit test", Command::new("sh").args(["-c", "for i in $(seq 100); do echo n$i; done; exit 3"]))
                .unwrap_err()
                .to_string();
        assert!(error.contains("exit status: 3") && error.contains("n100\n") && error.contains("seq 100"), "{error}");
        assert!(!error.contains("n60\n") && error.contains("n61\n"), "{error}");
    }

    #[test]
    fn lines_beside_others_are_shown_when_they_are_whole() {
        let mut tee = Tee::prefixed("unit test");
        tee.write_all(b"one\ntw").unwrap();
        assert_eq!((tee.shown, tee.text().as_str()), (4, "one\ntw"));
        tee.write_all(b"o\n").unwrap();
        assert_eq!((tee.shown, tee.text().as_str()), (8, "one\ntwo\n"));
    }

    #[test]
    fn lines_that_nobody_wants_are_kept_and_not_shown() {
        let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let asked = std::rc::Rc::clone(&seen);
        let mut tee = Tee::default().only(move |line| {
            asked.borrow_mut().push(line.to_owned());
            false
        });
        tee.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(
            (seen.borrow().as_slice(), tee.text().as_str()),
            (&["one".into(), "two".into()][..], "one\ntwo\nthr")
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = capture(&mut Command::new("/no/such/program")).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot start: /no/such/program"), "{error:#}");
    }
}
