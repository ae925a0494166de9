//! NUMA nodes. Source: /sys/devices/system/node.

use super::entries;
use crate::{
    snapshot::{
        coverage::Source,
        memory::{Node, NodeMeminfo, NumaStat},
    },
    source::{
        Malformed, SourceError,
        file::{Buffer, Root},
        lines::{Fields, Unit, numbered},
    },
};

/// Reads every node, in order.
pub(super) fn read(root: &Root, buffer: &mut Buffer) -> Result<Vec<Node>, SourceError> {
    let mut nodes = Vec::new();
    for number in entries(root, Source::NODES, "node")? {
        let Ok(node) = number.parse::<u32>() else { continue };
        let folder = format!("{}/node{node}", Source::NODES);
        nodes.push(Node {
            node,
            meminfo: Some(buffer.parse(root, &format!("{folder}/meminfo"), meminfo)?),
            numastat: Some(buffer.parse(root, &format!("{folder}/numastat"), numastat)?),
        });
    }
    Ok(nodes)
}

/// Lines as those of /proc/meminfo, each with `Node N ` before it.
fn meminfo(bytes: &[u8]) -> Result<NodeMeminfo, Malformed> {
    let mut plain = Vec::with_capacity(bytes.len());
    for (line, text) in numbered(bytes)? {
        let rest =
            text.strip_prefix(b"Node ").and_then(|t| t.iter().position(|b| *b == b' ').and_then(|at| t.get(at + 1..)));
        plain.extend_from_slice(rest.ok_or_else(|| Malformed::new(line, "it does not begin with `Node N`"))?);
        plain.push(b'\n');
    }
    let fields = Fields::from_lines(&plain, Unit::Kib)?;
    fields.checked(NodeMeminfo::from_lookup(1, |name| fields.get(name)))
}

fn numastat(bytes: &[u8]) -> Result<NumaStat, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::None)?;
    fields.checked(NumaStat::from_lookup(1, |name| fields.get(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_1, V2_6_12, host};

    #[test]
    fn every_line_of_every_kernel_is_named_as_the_snapshot_names_it() {
        for name in [V1_6_18, V2_6_1, V2_6_12] {
            let nodes = read(&Root::at(host(name)), &mut Buffer::default()).unwrap();
            let [node] = nodes.as_slice() else { panic!("{nodes:?}") };
            assert!(node.meminfo.as_ref().unwrap().iter().all(|(_, v)| v.is_some()), "{name}: {node:?}");
            assert!(node.numastat.as_ref().unwrap().iter().all(|(_, v)| v.is_some()), "{name}: {node:?}");
        }
        assert_eq!(meminfo(b"Node 0 MemTotal: 1 kB\nMemFree: 1 kB\n").unwrap_err().line, 2);
    }
}
