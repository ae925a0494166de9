//! The command line as users meet it: what they type, what they read, how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod config;
mod doctor;
mod live;
mod oom;
mod oom_bad_input;
mod record;
mod report_text;
mod report_unseen;
mod run;
#[path = "../synthetic/mod.rs"]
mod synthetic;
mod usage;
