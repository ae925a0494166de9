//! The command line as users meet it: what they type, what they read, how it ends.

mod doctor;
mod live;
mod record;
mod report_text;
mod run;
mod synthetic;
mod usage;
