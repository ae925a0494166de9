//! OOM kills.

use super::{
    View,
    family::{Kind, Metric},
    reclaim::kind_word,
};
use crate::snapshot::{
    Name,
    oom_watch::{LogKills, OomStored},
};

const SOURCE: &str = "tracepoint oom:mark_victim";

fn stored(view: &View<'_>) -> Option<OomStored> {
    view.now.oom_watch.as_ref()?.stored
}

fn log(view: &View<'_>) -> Option<LogKills> {
    view.now.oom_watch.as_ref()?.counts.log
}

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
        name: "observer_oom_limit_kills_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["limit", "cgroup"],
        help: "Processes that the kernel's reports name as killed, by whose limit refused the request: own of the victim's cgroup, above of a cgroup above it, cgroup where the level is not told, host, cpuset, policy, sysrq; and by the cgroup that has the limit",
        source: "/dev/kmsg",
        read: |view, out| {
            if log(view).is_some() {
                view.tracked.oom_limits.each(2, |labels, [kills]| out.push(labels, *kills));
            }
        },
    },
    Metric {
        name: "observer_oom_source_kills_total",
        kind: Kind::Counter,
        unit: None,
        labels: &["source"],
        help: "OOM kills since observer began to look, as each of four sources counts them; what they disagree on is the finding oom_disagreement",
        source: "/proc/vmstat oom_kill, memory.events.local or memory.oom_control, tracepoint oom:mark_victim, /dev/kmsg",
        read: |view, out| {
            let Some(counts) = view.now.oom_watch.as_ref().map(|w| &w.counts) else { return };
            out.push_known(&["vmstat"], counts.vmstat);
            out.push_known(&["cgroups"], counts.cgroups.map(|c| c.total()));
            out.push_known(&["probe"], counts.probe.map(|p| p.marked));
            out.push_known(&["log"], counts.log.map(|l| l.killed));
        },
    },
    Metric {
        name: "observer_oom_already_exiting_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Processes that the OOM killer chose and that were ending already: they are marked, and nothing is killed",
        source: "/dev/kmsg",
        read: |view, out| out.push_known(&[], log(view).map(|l| l.already_exiting)),
    },
    Metric {
        name: "observer_oom_log_records_lost_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Records of the kernel's log that were overwritten before they were read; a report of a kill may have been among them",
        source: "/dev/kmsg sequence numbers",
        read: |view, out| out.push_known(&[], log(view).map(|l| l.records_lost)),
    },
    Metric {
        name: "observer_oom_cgroups_not_read",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "Memory cgroups whose kills are not read, because they are too many or lack the file",
        source: "memory.events.local (v2), memory.oom_control (v1)",
        read: |view, out| {
            let cgroups = view.now.oom_watch.as_ref().and_then(|w| w.counts.cgroups);
            out.push_known(&[], cgroups.map(|c| c.not_read));
        },
    },
    Metric {
        name: "observer_oom_kills_stored_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "OOM kills that the flight recorder stored; absent where --oom-dir is not given",
        source: "observer's own count",
        read: |view, out| out.push_known(&[], stored(view).map(|s| s.kills)),
    },
    Metric {
        name: "observer_oom_store_failures_total",
        kind: Kind::Counter,
        unit: None,
        labels: &[],
        help: "Writes of stored OOM kills that failed, such as on a full disk; absent where --oom-dir is not given",
        source: "observer's own count",
        read: |view, out| out.push_known(&[], stored(view).map(|s| s.failures)),
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
