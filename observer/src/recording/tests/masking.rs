use proptest::prelude::*;

use super::samples::{SECRETS, any_snapshot, full};
use crate::recording::Masker;
use crate::snapshot::Snapshot;

fn masked() -> Snapshot {
    let mut snapshot = full();
    Masker::default().mask(&mut snapshot);
    snapshot
}

#[test]
fn nothing_that_names_a_host_a_user_or_a_peer_remains() {
    let before = serde_json::to_string(&full()).unwrap();
    let after = serde_json::to_string(&masked()).unwrap();
    for secret in SECRETS {
        assert!(before.contains(secret), "{secret} should be in the snapshot that is masked");
        assert!(!after.contains(secret), "{secret} in {after}");
    }
}

#[test]
fn what_tells_nothing_keeps_its_name() {
    let masked = masked();
    let comms: Vec<_> = masked.processes.as_ref().unwrap().list.iter().map(|p| p.comm.as_str()).collect();
    assert_eq!(comms, ["process-1", "kswapd0", "kworker"]);
    let links: Vec<_> = masked.links.as_ref().unwrap().list.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(links, ["lo", "link-1"]);
    let paths: Vec<_> = masked.cgroups.as_ref().unwrap().list.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, ["/", "/cgroup-1.slice/cgroup-2"]);
    let ends: Vec<_> = masked.tcp.sockets.as_ref().unwrap().list.iter().map(crate::snapshot::tcp::ends).collect();
    let shown: Vec<_> = ends.iter().map(|e| e.as_str()).collect();
    assert_eq!(shown, ["240.0.0.1:80 -> 240.0.0.3:40000", "[::1]:80 -> [2001:db8::4]:40000"]);
}

#[test]
fn equal_names_stay_equal_over_a_recording() {
    let mut masker = Masker::default();
    let (mut first, mut second) = (full(), full());
    second.host.hostname = "other-host".into();
    masker.mask(&mut first);
    masker.mask(&mut second);
    assert_eq!(first.host.hostname.as_str(), "host-1");
    assert_eq!(second.host.hostname.as_str(), "host-2");
    assert_eq!(first.processes, second.processes);
    assert_eq!(first.oom, second.oom);
    let victim = &first.oom.as_ref().unwrap().recent[0].victim;
    assert_eq!(victim.cgroup_path.as_ref().unwrap().as_str(), "/cgroup-2");
    assert_eq!(victim.comm, Some(first.processes.as_ref().unwrap().list[0].comm.clone()));
}

proptest! {
    #[test]
    fn different_names_stay_different(snapshot in any_snapshot()) {
        let mut masked = snapshot.clone();
        Masker::default().mask(&mut masked);
        let paths = |s: &Snapshot| s.cgroups.iter().flat_map(|c| &c.list).map(|c| c.path.clone()).collect::<Vec<_>>();
        let (before, after) = (paths(&snapshot), paths(&masked));
        for i in 0..before.len() {
            for j in 0..i {
                prop_assert_eq!(before[i] == before[j], after[i] == after[j]);
            }
        }
        prop_assert_eq!(masked.stamp, snapshot.stamp);
        prop_assert_eq!(masked.page_alloc, snapshot.page_alloc);
    }
}
