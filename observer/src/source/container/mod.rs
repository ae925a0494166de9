//! Which container, pod or service a cgroup belongs to: `path` tells it from the cgroup's path, `files` asks the files
//! of the runtime for names. No runtime is talked to.

mod files;
mod path;

use std::collections::HashMap;

use super::file::Root;
use crate::snapshot::{
    cgroup::{Cgroup, CgroupId},
    container::Container,
};

/// Readings after which a container whose name was not found is asked for again: its files may be written after its cgroup.
const RETRY_AFTER: u32 = 30;

/// What is known of containers, by cgroup.
#[derive(Debug, Default)]
pub struct Containers {
    known: HashMap<CgroupId, Known>,
}

#[derive(Debug)]
struct Known {
    /// `None`: no container.
    container: Option<Container>,
    /// Readings until its files are asked again; `None`: it has its name.
    retry_in: Option<u32>,
    /// True if the last reading listed the cgroup.
    listed: bool,
}

impl Containers {
    /// Fills in the containers of all cgroups of a reading, and forgets those of cgroups that are not listed any more.
    pub fn fill(&mut self, root: &Root, list: &mut [Cgroup]) {
        self.known.values_mut().for_each(|known| known.listed = false);
        for cgroup in list {
            let known = self.known.entry(cgroup.id).or_insert_with(|| Known::new(root, cgroup.path.as_str()));
            known.listed = true;
            known.ask_again(root);
            cgroup.container.clone_from(&known.container);
        }
        self.known.retain(|_, known| known.listed);
    }
}

impl Known {
    fn new(root: &Root, cgroup: &str) -> Self {
        let mut container = path::container(cgroup);
        let named = container.as_mut().is_none_or(|c| files::name(root, c));
        Self { container, retry_in: (!named).then_some(RETRY_AFTER), listed: true }
    }

    fn ask_again(&mut self, root: &Root) {
        let Some((left, container)) = self.retry_in.as_mut().zip(self.container.as_mut()) else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.retry_in = (!files::name(root, container)).then_some(RETRY_AFTER);
        }
    }
}

#[cfg(test)]
mod tests;
