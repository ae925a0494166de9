//! Nothing of a real report is left unread.

use observer::{
    snapshot::oom_report::{Constraint, OomReport, UseKind},
    source::oom_log::reports,
};

use super::{log, logs};

fn of(name: &str) -> Vec<OomReport> {
    reports(name.into(), &log(name))
}

#[test]
fn every_report_is_read_whole() {
    for name in logs() {
        let found = of(&name);
        assert!(!found.is_empty(), "{name}");
        for report in found {
            let foreign = |line: &str| line.starts_with("sch_tbf:");
            let unread: Vec<_> = report.unread.iter().filter(|l| !foreign(l.as_str())).collect();
            assert!(unread.is_empty(), "{name}: {unread:?}");
            assert_eq!((report.cut, report.unknown_fields.as_slice()), (None, &[][..]), "{name}");
            // Where nobody was killed for a cgroup, no line tells it.
            assert!(report.page_size.known || report.exiting.is_some(), "{name}");
            assert!(report.page_size.bytes == 4096, "{name}: {:?}", report.page_size);
            let request = report.request.as_ref().unwrap();
            assert!(request.tid.is_some() && request.gfp.as_ref().is_some_and(|g| !g.names.is_empty()), "{name}");
            assert!(report.kernel.is_some() && !report.trace.is_empty() && !report.tasks.is_empty(), "{name}");
            assert_eq!(report.zones.is_empty(), report.memcg.is_some(), "{name}");
            if report.no_killable {
                assert!(report.decision.is_none() && report.kills.is_empty(), "{name}");
                continue;
            }
            let decision = report.decision.as_ref().unwrap();
            let killed = report.kills.first().map(|k| k.pid).or(report.exiting.as_ref().map(|e| e.pid));
            assert_eq!(decision.pid, killed, "{name}");
            assert!(report.kills.len() <= 1 || report.group.is_some(), "{name}");
            assert!(report.victim_task().is_some() || report.exiting.is_some(), "{name}");
            assert_eq!(decision.global, report.memcg.is_none(), "{name}");
        }
    }
}

#[test]
fn a_global_report_has_its_zones() {
    let [report] = of("global-oom-6.12.117+deb12-cloud-amd64.dmesg").try_into().unwrap();
    let dma32 = report.zones.iter().find(|z| z.name.as_str() == "DMA32").unwrap();
    assert_eq!(
        (dma32.value("free"), dma32.value("min"), dma32.value("boost")),
        (Some(2488 << 10), Some(4656 << 10), Some(2048 << 10))
    );
    assert_eq!((dma32.free_blocks.len(), dma32.free_blocks_total), (11, Some(2416 << 10)));
    assert_eq!((dma32.free_blocks[0].count, dma32.free_blocks[0].types.as_str()), (2, "UE"));
    assert_eq!(report.zones[0].lowmem_reserve, [0, 430 << 12, 430 << 12, 430 << 12, 430 << 12]);
    assert_eq!((report.counter("active_anon"), report.counter("free_cma")), (Some(112_243 << 12), Some(0)));
    assert_eq!((report.totals.ram, report.totals.swap_total), (Some(130_942 << 12), Some(0)));
    assert_eq!(report.nodes[0].all_unreclaimable, Some(true));
    assert_eq!((report.huge_pages.len(), report.huge_pages[1].size), (2, 2 << 20));
    let task = report.victim_task().unwrap();
    assert_eq!((task.comm.as_str(), task.rss, task.rss_anon), ("hog", 109_416 << 12, Some(109_280 << 12)));
    assert_eq!(report.origin.begin.boot_ns, Some(6_399_412_000));
    assert_eq!(report.origin.end.boot_ns, Some(6_404_290_000));
}

#[test]
fn a_cgroup_report_has_its_limit() {
    let all = of("memcg-v1-oom-6.18.dmesg");
    assert_eq!(all.len(), 2);
    let memcg = all[0].memcg.as_ref().unwrap();
    assert_eq!(memcg.path().unwrap().as_str(), "/obs-test");
    let memory = memcg.of(UseKind::Memory).unwrap();
    assert_eq!((memory.usage, memory.limit, memory.failcnt), (64 << 20, Some(64 << 20), 3656));
    assert_eq!(memcg.of(UseKind::MemorySwap).unwrap().limit, None);
    assert_eq!((memcg.stat("total_rss"), memcg.stat("pgmajfault")), (Some(66_772_992), Some(14)));
    let decision = all[0].decision.as_ref().unwrap();
    assert_eq!(
        (&decision.constraint, decision.oom_memcg.as_ref().unwrap().as_str()),
        (&Constraint::Memcg, "/obs-test")
    );
    assert_eq!(all[1].origin.line, 81);
    let v2 = of("memcg-oom-6.1.0-56-cloud-amd64.dmesg");
    assert_eq!(v2[0].memcg.as_ref().unwrap().stat("kernel"), Some(188_416));
}
