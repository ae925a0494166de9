//! Which way packets take, asked in the namespace that they leave by.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{aged::Aged, problems::Problems};
use crate::{
    snapshot::coverage::Source,
    source::{
        netlink::Netlink,
        tunnel::route::{Answer, Question},
    },
};

/// How long a route is kept.
const KEEP: Duration = Duration::from_secs(5);

/// What is to be asked, by the inode of the namespace.
pub(super) type Questions = HashMap<u64, HashSet<Question>>;

/// Routes, and why there is none.
#[derive(Debug)]
pub(super) struct Routes {
    /// By the inode of the namespace.
    known: Aged<(u64, Question), Answer>,
}

impl Default for Routes {
    fn default() -> Self {
        Self { known: Aged::new(KEEP) }
    }
}

impl Routes {
    /// Begins a round.
    pub(super) fn begin(&mut self, now: Instant) {
        self.known.begin(now);
    }

    /// Asks what is not known, in the namespace that the thread is in. Gives the interfaces that the routes lead out by.
    pub(super) fn ask_here<'a>(
        &mut self,
        netlink: &mut Netlink,
        netns: u64,
        questions: impl IntoIterator<Item = &'a Question>,
        problems: &mut Problems,
    ) -> Vec<u32> {
        let now = Instant::now();
        let ask = |question: &Question| {
            let asked = self.known.get_or_ask((netns, question.clone()), now, |(_, question)| question.ask(netlink));
            problems.value(Source::ROUTES, asked)?.as_ref().ok().map(|route| route.ifindex)
        };
        questions.into_iter().filter_map(ask).collect()
    }

    /// The answer; `None` if it is not known.
    pub(super) fn get(&self, netns: u64, question: Question) -> Option<&Answer> {
        self.known.get(&(netns, question))
    }
}
