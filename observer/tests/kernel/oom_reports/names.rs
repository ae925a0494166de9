//! Names that want to be something else.

use super::{MIB, kills, told, until_killed};
use crate::support::{cgroup::Cgroup, needs_root, workload::Workload};

const LIMIT: u64 = 24 * MIB;

/// A scene's name and the name of the process.
const NAMES: [(&str, &[u8]); 4] = [
    ("name-escapes", b"\x1b[31m\"'\\\n{}\xff\xfe"),
    ("name-bracket", b"] name"),
    ("name-fields", b"a,pid=1,uid=2"),
    ("name-columns", b"x) total-vm:1"),
];

#[test]
fn hostile_names_are_names() {
    needs_root!("hostile_names_are_names");
    for (scene, name) in NAMES {
        let hex: String = name.iter().map(|b| format!("{b:02x}")).collect();
        let make = || {
            let cgroup = Cgroup::with_bytes(b"x,task=y,pid=1 [z]");
            cgroup.limit(LIMIT);
            let pid = until_killed(Workload::start(&format!("named {hex} {}", 2 * LIMIT), Some(&cgroup)));
            (cgroup, pid)
        };
        let (told, (cgroup, pid)) = told(scene, make, |r, (_, pid)| kills(r, *pid));
        told.is_of(pid, pid);
        told.is_of_cgroup(&cgroup, LIMIT, 0);
        let victim = told.report.victim_task().expect("it is in the table");
        let kill = told.report.kills.first().expect("it was killed");
        let asked = told.report.request.as_ref().expect("it asked");
        let decided = told.report.decision.as_ref().and_then(|d| d.task.as_ref()).expect("it was chosen");
        // The kernel's log has a byte that cannot be printed as four, which are one again here, also a newline.
        for comm in [&victim.comm, &kill.comm, &asked.comm, decided] {
            assert_eq!(comm, &observer::snapshot::Name::from_bytes(name), "{scene}");
        }
    }
}
