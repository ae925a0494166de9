//! What shows a model: text, JSON, screens, metrics. An output never reaches a source, and showing changes nothing.

pub mod doctor;
pub mod flight;
pub mod http;
pub mod json;
pub mod metrics;
pub mod oom;
pub mod profile;
pub mod record;
pub mod report;
pub mod text;
pub mod tui;
