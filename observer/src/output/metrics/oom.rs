//! OOM kills.

use super::{
    family::{Kind, Metric},
    reclaim::kind_word,
};
use crate::snapshot::Name;

const SOURCE: &str = "tracepoint oom:mark_victim";

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "observer_oom_kills_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Processes marked by the OOM killer, counted in the kernel",
        source: SOURCE,
        read: |view, out| out.push_known(&[], view.now.oom.as_ref().map(|o| o.kills)),
    },
    Metric {
        name: "observer_oom_cgroup_kills_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["cgroup"],
        help: "Processes marked by the OOM killer by memory cgroup of the victim, also after the cgroup is gone",
        source: SOURCE,
        read: |view, out| {
            if view.now.oom.is_some() {
                view.tracked.oom_cgroups.each(1, |labels, [kills]| out.push(labels, *kills));
            }
        },
    },
    Metric {
        name: "observer_oom_last_kill_timestamp_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        labels: &[],
        help: "Unix time of the last kill; absent until there is one",
        source: SOURCE,
        read: |view, out| out.push_known(&[], view.tracked.last_kill.as_ref().map(|k| k.unix_seconds)),
    },
    Metric {
        name: "observer_oom_last_kill_info",
        kind: Kind::Info,
        unit: None,
        labels: &["victim_pid", "victim_comm", "victim_cgroup", "trigger_comm", "trigger_cgroup", "reclaim"],
        help: "The last kill: who was killed, whose request led to it, and which reclaim found too little before; an empty label is not known",
        source: SOURCE,
        read: |view, out| {
            let Some(kill) = view.tracked.last_kill.as_ref().map(|k| &k.kill) else { return };
            let text = |name: &Option<Name>| name.as_ref().map_or(String::new(), ToString::to_string);
            out.push(
                &[
                    &kill.victim.pid.map_or(String::new(), |pid| pid.to_string()),
                    &text(&kill.victim.comm),
                    &text(&kill.victim.cgroup_path),
                    &text(&kill.trigger.comm),
                    &text(&kill.trigger.cgroup_path),
                    kill.last_reclaim.as_ref().map_or("", |r| kind_word(r.kind)),
                ],
                1u64,
            );
        },
    },
];
