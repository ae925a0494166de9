//! IPsec of the namespace that a thread is in.

use std::time::{Duration, Instant};

use super::problems::Problems;
use crate::{
    snapshot::{coverage::Source, tunnel::Xfrm},
    source::{
        Root,
        file::Buffer,
        lines::{number, words},
        netlink::{Family, Netlink},
        xfrm,
    },
};

/// Sockets of the kernel and of processes, by family of netlink.
const FAMILIES: &str = "/proc/thread-self/net/netlink";
/// What went wrong, of the namespace of the thread.
const COUNTERS: &str = "/proc/thread-self/net/xfrm_stat";
/// Between two looks whether the kernel has come to speak XFRM netlink.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Reader of IPsec.
#[derive(Debug, Default)]
pub(super) struct Reader {
    spoken: Option<(Instant, bool)>,
}

impl Reader {
    /// Begins a round. To open a socket of a family that the kernel does not speak would make it load a module, and whoever
    /// configures IPsec has loaded it already.
    pub(super) fn begin(&mut self, buffer: &mut Buffer) {
        if self.spoken.is_none_or(|(at, _)| at.elapsed() > LOOK_AGAIN) {
            let spoken = buffer.parse(&Root::default(), FAMILIES, |text| Ok(is_spoken(text))).unwrap_or_default();
            self.spoken = Some((Instant::now(), spoken));
        }
    }

    /// Reads what is configured; nothing is where the kernel does not speak of it.
    pub(super) fn read(&self, buffer: &mut Buffer, problems: &mut Problems) -> Option<Xfrm> {
        if self.spoken.is_none_or(|(_, spoken)| !spoken) {
            return Some(Xfrm::default());
        }
        let read = Netlink::open(Family::Xfrm)
            .and_then(|mut netlink| Ok((xfrm::states(&mut netlink)?, xfrm::policies(&mut netlink)?)));
        let (states, policies) = problems.value(Source::XFRM, read)?;
        let mut found = Xfrm { states, policies, counters: Vec::new() };
        if !found.states.is_empty() || !found.policies.is_empty() {
            // A kernel may have been built without them.
            let counters = buffer.parse(&Root::default(), COUNTERS, |text| Ok(xfrm::counters(text)));
            found.counters = counters.unwrap_or_default();
        }
        Some(found)
    }
}

/// True if a socket of the kernel is of the family. Source: /proc/net/netlink, the second word of a line.
fn is_spoken(text: &[u8]) -> bool {
    let family = u64::try_from(libc::NETLINK_XFRM).ok();
    text.split(|b| *b == b'\n').any(|line| words(line).nth(1).and_then(number) == family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_the_second_word_of_a_line() {
        let head = "sk               Eth Pid        Groups   Rmem     Wmem\n";
        let socket = |family: u8| format!("00000000e61ac2f4 {family}   0          00000000 0        0\n");
        assert!(is_spoken(format!("{head}{}{}", socket(0), socket(6)).as_bytes()));
        assert!(!is_spoken(format!("{head}{}{}", socket(0), socket(16)).as_bytes()));
    }
}
