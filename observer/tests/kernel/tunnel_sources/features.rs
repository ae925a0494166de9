//! Offloads of a tunnel and of the interface below, against `ethtool -k`.

use std::collections::HashMap;

use observer::snapshot::{link::Feature, network::Namespace};

use super::{Ends, add, link, read_of, run_text};
use crate::support::{
    needs_root,
    netns::Netns,
    seen, skipped,
    wire::{ip, run},
};

/// `ethtool` has names of its own for some.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("rx-gro", "generic-receive-offload"),
    ("tx-generic-segmentation", "generic-segmentation-offload"),
    ("rx-lro", "large-receive-offload"),
];

/// Every line of `ethtool -k`: name, whether it is on, whether that is fixed. The reason if there is no such program.
fn shown(namespace: &Netns, device: &str) -> Result<HashMap<String, (bool, bool)>, String> {
    let text = namespace.inside(|| run_text("ethtool", &["-k", device]))?;
    let line = |line: &str| {
        let (name, state) = line.trim().split_once(": ")?;
        Some((name.to_owned(), (state.starts_with("on"), state.ends_with("[fixed]"))))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// What observer read of an interface is what `ethtool` shows.
fn same<'a>(found: &'a Namespace, device: &str, shown: &HashMap<String, (bool, bool)>) -> &'a [Feature] {
    let features = link(found, device).features.as_deref().unwrap_or_else(|| panic!("{device} has none: {found:#?}"));
    for Feature { name, on, fixed } in features {
        let other = OTHER_NAMES.iter().find(|(kernel, _)| *kernel == name.as_str());
        let theirs = shown.get(other.map_or(name.as_str(), |(_, theirs)| theirs));
        assert_eq!(theirs, Some(&(*on, *fixed)), "{name} of {device}");
    }
    features
}

#[test]
fn features_are_those_that_ethtool_shows() {
    const NAME: &str = "features_are_those_that_ethtool_shows";
    needs_root!("features_are_those_that_ethtool_shows");
    let ends = Ends::new();
    let made = ends.near.inside(|| {
        add(&["vx", "type", "vxlan", "id", "42", "local", "10.88.0.1", "remote", "10.88.0.2", "dstport", "4789"])?;
        ip(&["link", "set", "vx", "up"]);
        Ok(())
    });
    let shown_of = |device: &str| shown(&ends.near, device);
    let (vx, under) = match made.and_then(|()| Ok::<_, String>((shown_of("vx")?, shown_of("under")?))) {
        Ok(shown) => shown,
        Err(reason) => return skipped(NAME, &reason),
    };
    let found = read_of(&ends.near);
    assert!(same(&found, "vx", &vx).len() > 10);
    let before = same(&found, "under", &under).to_vec();
    assert!(link(&found, "lo").features.is_none(), "no tunnel goes through it");
    // veth cuts nothing in truth, and lets it be switched.
    let changed = ["tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off"];
    ends.near.inside(|| run("ethtool", &[&["-K", "under"], &changed[..]].concat()));
    let under = shown_of("under").expect("it was there");
    let found = read_of(&ends.near);
    let after = same(&found, "under", &under);
    let differ: Vec<&str> = before.iter().zip(after).filter(|(a, b)| a != b).map(|(_, b)| b.name.as_str()).collect();
    assert_eq!(differ, ["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"], "{after:?}");
    seen!("{} features of each agree; switched off: {differ:?}", after.len());
}
