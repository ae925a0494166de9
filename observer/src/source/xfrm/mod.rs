//! IPsec of one network namespace: security associations and policies over XFRM netlink (linux/xfrm.h), and the kernel's
//! counters of what went wrong.

mod policy;
mod state;
mod tunnels;

use std::ops::ControlFlow;

pub use tunnels::add_to;

use super::netlink::{Netlink, NetlinkError, Request};
use crate::snapshot::{
    Name,
    tunnel::{Policy, State},
};

/// Security associations, and policies, that are listed at most.
const MAX: usize = 4096;

/// Every security association. Their keys are in the answer, and are overwritten as soon as the rest has been read.
pub fn states(netlink: &mut Netlink) -> Result<Vec<State>, NetlinkError> {
    // Without a header the kernel does not look for filters.
    let mut request = Request::new("XFRM_MSG_GETSA", state::XFRM_MSG_GETSA, &[]).secret();
    netlink.list(&mut request, Vec::new, |list, message| {
        if message.kind == state::XFRM_MSG_NEWSA {
            list.push(state::read(message.payload)?);
        }
        Ok(go_on(list.len()))
    })
}

/// Every policy of the main kind.
pub fn policies(netlink: &mut Netlink) -> Result<Vec<Policy>, NetlinkError> {
    let mut request = Request::new("XFRM_MSG_GETPOLICY", policy::XFRM_MSG_GETPOLICY, &[]);
    netlink.list(&mut request, Vec::new, |list, message| {
        if message.kind == policy::XFRM_MSG_NEWPOLICY {
            list.push(policy::read(message.payload)?);
        }
        Ok(go_on(list.len()))
    })
}

fn go_on(listed: usize) -> ControlFlow<()> {
    if listed < MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Lines of /proc/net/xfrm_stat, such as `XfrmInStateSeqError           3`.
pub fn counters(text: &[u8]) -> Vec<(Name, u64)> {
    let lines = text.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        Some((Name::from_bytes(fields.next()?), super::lines::number(fields.next()?)?))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counters_are_lines_of_a_name_and_a_number() {
        let text = b"XfrmInError             \t0\nXfrmInStateSeqError           3\n\nbroken\n";
        let expected = [(Name::from("XfrmInError"), 0), (Name::from("XfrmInStateSeqError"), 3)];
        assert_eq!(counters(text), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = (state::read(&bytes), policy::read(&bytes), counters(&bytes));
        }
    }
}
