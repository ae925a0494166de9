//! A recording of a real run replays to the same model, value for value.

use observer::{
    diagnose::{Thresholds, diagnose},
    model::Model,
    recording::{Meta, Reader, Writer},
    snapshot::Snapshot,
    source::{Collector, Options},
};

use crate::support::{cgroup::Cgroup, file::BigFile, needs_root, seen, workload::Workload};

#[test]
fn a_recording_made_under_load_replays_to_the_same_model() {
    needs_root!("a_recording_made_under_load_replays_to_the_same_model");
    let cgroup = Cgroup::limited("record", 32 << 20);
    let file = BigFile::new(128 << 20);
    let mut collector = Collector::new(Options::default());
    let mut churn = Workload::start("churn 300 300", Some(&cgroup));
    let mut reader = Workload::start(&format!("read {} 2", file.path().display()), Some(&cgroup));
    let mut victim = Workload::start(&format!("hold {} obs-glutton", 64 << 20), Some(&cgroup));

    let mut live: Vec<Snapshot> = vec![collector.snapshot()];
    churn.go();
    live.push(collector.snapshot());
    reader.go();
    live.push(collector.snapshot());
    assert_eq!((churn.said().as_str(), reader.said().as_str()), ("done", "done"));
    live.push(collector.snapshot());
    victim.go();
    assert_eq!(victim.killed_by(), Some(libc::SIGKILL));
    live.push(collector.snapshot());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let mut writer = Writer::create(&path, &Meta::default()).unwrap();
    for snapshot in &live {
        writer.append(snapshot).unwrap();
    }
    let summary = writer.finish().unwrap();
    seen!("{summary:?}");
    let mut recording = Reader::open(&path).unwrap();
    let replayed: Vec<Snapshot> = recording.by_ref().collect::<Result<_, _>>().unwrap();
    assert!(recording.is_complete());
    assert_eq!(replayed.len(), live.len());

    for (n, (live, replayed)) in live.windows(2).zip(replayed.windows(2)).enumerate() {
        let models = [live, replayed].map(|pair| Model::new(&pair[1], Some(&pair[0])));
        assert!(models[0].page_alloc.is_some() && models[0].reclaim.is_some() && models[0].oom.is_some());
        assert_eq!(models[0], models[1], "interval {n}");
        let json = [0, 1].map(|i| serde_json::to_string(&models[i]).unwrap());
        assert_eq!(json[0], json[1], "interval {n}");
        let findings =
            [0, 1].map(|i| format!("{:?}", diagnose(std::slice::from_ref(&models[i]), &Thresholds::default())));
        assert_eq!(findings[0], findings[1], "interval {n}");
    }
    assert!(live.last().unwrap().oom.as_ref().unwrap().kills > live[0].oom.as_ref().unwrap().kills);
    churn.finish();
    reader.finish();
}
