//! A profile as one JSON document. The keys are the names of the fields of [`crate::profile`], in base units.

use serde::Serialize;

use crate::profile::Profile;

/// Version of the document: it grows when a key changes its meaning or goes away, not when one is added.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    observer_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    profile: &'a Profile,
    /// Requests that one sample stands for, by the exact count of all.
    requests_by_sample: Option<f64>,
}

/// The document, on one line, or indented for a person.
pub fn document(profile: &Profile, indented: bool) -> serde_json::Result<String> {
    let document = Document {
        version: VERSION,
        observer_version: env!("CARGO_PKG_VERSION"),
        kind: "page_alloc_stacks",
        profile,
        requests_by_sample: profile.weight(),
    };
    if indented { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }
}
