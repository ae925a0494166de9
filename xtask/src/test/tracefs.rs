//! The kernel's own traces, which tests compare with: a machine may come without them mounted.

use crate::exec;
use std::path::Path;
use std::process::Command;

/// Where they are mounted; on older systems below debugfs instead.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// What was mounted here, until it is dropped.
pub(super) struct Tracefs(Option<&'static str>);

impl Tracefs {
    /// Mounts them, if they are not. Where that fails, so do the tests that need them.
    pub(super) fn mounted() -> Self {
        let place = PLACES[0];
        if PLACES.iter().any(|place| Path::new(place).join("events").is_dir()) {
            return Self(None);
        }
        match exec::capture(Command::new("mount").args(["-t", "tracefs", "tracefs", place])) {
            Ok(_) => Self(Some(place)),
            Err(error) => {
                exec::say(&format!("{error:#}"));
                Self(None)
            }
        }
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if let Some(place) = self.0
            && let Err(error) = exec::capture(Command::new("umount").arg(place))
        {
            exec::say(&format!("{error:#}"));
        }
    }
}
