//! What was missing, in one namespace or another.

use crate::{
    snapshot::coverage::Source,
    source::{SourceError, netlink::NetlinkError},
};

/// The first problem of each source: of a thousand namespaces that lack the same, one says it.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Source>);

impl Problems {
    /// Notes a problem of a source, unless it has one already.
    pub(super) fn note(&mut self, source: &'static str, problem: &SourceError) {
        if self.0.iter().all(|known| known.name != source) {
            self.0.push(Source::missing(source, problem.reason()));
        }
    }

    /// Gives the value, or notes why there is none.
    pub(super) fn value<T>(&mut self, source: &'static str, read: Result<T, impl Into<SourceError>>) -> Option<T> {
        read.map_err(|e| self.note(source, &e.into())).ok()
    }

    /// Gives what came of asking about something that may have ended meanwhile, which is no problem.
    pub(super) fn unless_gone<T>(&mut self, source: &'static str, read: Result<T, NetlinkError>) -> Option<T> {
        match read {
            Err(e) if matches!(e.refused(), Some(libc::ENODEV | libc::ENOENT | libc::ESRCH)) => None,
            read => self.value(source, read),
        }
    }

    /// Adds those of another.
    pub(super) fn add(&mut self, other: Self) {
        for source in other.0 {
            if self.0.iter().all(|known| known.name != source.name) {
                self.0.push(source);
            }
        }
    }

    /// All of them, as the coverage lists them.
    pub(super) fn into_sources(self) -> Vec<Source> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_first_problem() {
        let mut problems = Problems::default();
        let gone = |path: &str| Err::<(), _>(SourceError::io("read", path, nix::errno::Errno::ENOENT));
        assert_eq!(problems.value("a", gone("first")), None);
        assert_eq!((problems.value("a", gone("second")), problems.value("b", gone("third"))), (None, None));
        let told: Vec<_> = problems.into_sources().into_iter().filter_map(|s| s.missing).collect();
        assert!(told[0].as_str().contains("first") && told[1].as_str().contains("third") && told.len() == 2);
    }
}
