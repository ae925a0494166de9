//! A network from which the first byte takes much longer than from another one with the same service.

use super::{Evidence, Finding, Outcome, Rule, Severity, Window, common};
use crate::{
    model::{
        Model,
        first_byte::{Beside, Row, Stage},
    },
    snapshot::tcp::Who,
    units,
};

/// Seconds of history in which the newest interval that tells is looked for.
const LOOK_BACK_SECONDS: f64 = 30.0;
/// How many times as long it must take.
const TIMES: f64 = 2.0;
/// How much longer one stage must take, in seconds: less is nothing that anybody waits for.
const DIFFERENCE_SECONDS: f64 = 0.02;

pub(super) const RULE: Rule = Rule {
    name: "slow_first_byte",
    about: "The first byte from one network takes much longer than from another one that has the same service.",
    check,
};

fn check(window: &Window<'_>) -> Outcome {
    if let Some(outcome) = common::needs_interval(window) {
        return outcome;
    }
    let newest = window.newest();
    if !newest.tcp.first_bytes.as_ref().is_some_and(|f| f.stages) {
        if newest.tcp.first_bytes.is_some() && !newest.coverage.is_wanted("tcp.first_bytes") {
            let reason = Some("observer was not asked for it: --first-byte".into());
            return Outcome::NoData { lacks: "the time to the first byte by stage".into(), reason };
        }
        return common::no_probe(window, "the time to the first byte by stage", "tcp.first_bytes");
    }
    let (models, _) = window.last(LOOK_BACK_SECONDS);
    let slow = models.iter().rev().find_map(|model| Some((model, slowest(model)?)));
    let Some((model, (row, beside, total))) = slow else { return Outcome::Quiet };
    let (who, other) = (named(&row.group.who), named(&beside.who));
    // That one network is farther away than another is nothing to mend.
    let far = matches!(beside.stage, Stage::Connect | Stage::Wire) && row.group.totals.syn_retrans == 0;
    Outcome::Fires(Finding {
        rule: RULE.name,
        severity: if far { Severity::Info } else { Severity::Warning },
        verdict: format!(
            "The first byte {} {who}, port {}, takes {}, {} {other} {}: {} +{}",
            if row.group.outgoing { "from" } else { "to" },
            row.group.port,
            units::seconds(total),
            if row.group.outgoing { "from" } else { "to" },
            units::seconds(beside.first_byte_seconds),
            beside.stage.words(),
            units::seconds(beside.difference_seconds),
        ),
        evidence: evidence(model, row),
        advice: vec![advice(beside.stage, row).to_owned()],
    })
}

/// The network that is slowest beside the fastest one of its service.
fn slowest(model: &Model) -> Option<(&Row, &Beside, f64)> {
    let rows = model.tcp.first_bytes.iter().flat_map(|f| &f.rows);
    let slow = rows.filter_map(|row| {
        let (beside, total) = (row.beside.as_ref()?, row.first_byte_seconds?);
        let is_slow = total >= TIMES * beside.first_byte_seconds && beside.difference_seconds >= DIFFERENCE_SECONDS;
        is_slow.then_some((row, beside, total))
    });
    slow.max_by(|a, b| a.1.difference_seconds.total_cmp(&b.1.difference_seconds))
}

fn evidence(model: &Model, row: &Row) -> Vec<Evidence> {
    let source = "tracepoints sock:inet_sock_set_state, tcp:tcp_probe, tcp:tcp_rcv_space_adjust";
    let mut all = vec![Evidence::new("first bytes", row.group.totals.first_bytes.to_string(), source)];
    let stages = row.stages.map(|s| s.each()).into_iter().flatten().filter(|(_, seconds)| *seconds > 0.0);
    all.extend(stages.map(|(stage, seconds)| Evidence::new(stage.words(), units::seconds(seconds), source)));
    if row.group.totals.syn_retrans > 0 {
        all.push(Evidence::new("SYNs sent again", row.group.totals.syn_retrans.to_string(), "tcp_sock total_retrans"));
    }
    all.extend(row.run_delay_seconds.map(|seconds| {
        Evidence::new("wait of the reader for a CPU", units::seconds(seconds), "task_struct sched_info.run_delay")
    }));
    let usage = model.cpus.as_ref().map(|c| c.all).unwrap_or_default();
    for (what, ratio) in [("CPU time stolen", usage.steal_ratio), ("CPU time in soft interrupts", usage.softirq_ratio)]
    {
        all.extend(ratio.map(|ratio| Evidence::new(what, units::percent(ratio), "/proc/stat")));
    }
    all
}

fn advice(stage: Stage, row: &Row) -> &'static str {
    match stage {
        Stage::Connect if row.group.totals.syn_retrans > 0 => {
            "SYNs are sent again: packets are lost on the way, or the listening socket refuses them."
        }
        Stage::Connect | Stage::Wire => {
            "The path is longer: `mtr`. Is there a nearer one, or a detour through a tunnel?"
        }
        Stage::Request if row.group.outgoing => {
            "The process here writes its request late: what does it do after connect()?"
        }
        Stage::Request => "The clients send their request late.",
        Stage::Server if row.group.outgoing => {
            "The servers there take longer to answer: look at that host, its disks and what it asks in turn."
        }
        Stage::Server => "The process here takes longer to answer these clients: what do they ask for?",
        Stage::Softirq => {
            "Packets wait for a core that is busy: soft interrupts by core, and steal on a virtual machine."
        }
        Stage::Read => {
            "The process reads late: it waits for a CPU (see the wait of the reader), or does something else."
        }
    }
}

fn named(who: &Who) -> String {
    match who {
        Who::Network { address, bits } => format!("{address}/{bits}"),
        Who::Process { comm, .. } => comm.to_string(),
        Who::OtherProcesses | Who::OtherNetworks => "others".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::testing::{fired, models, snapshot_at},
        snapshot::tcp::{FirstByteGroup, FirstByteTotals, FirstBytes, StagesNs},
    };

    fn group(network: u8, stages_ms: [u64; 3]) -> FirstByteGroup {
        let [connect, wire, server] = stages_ms.map(|ms| ms * 1_000_000 * 10);
        FirstByteGroup {
            netns: 1,
            port: 443,
            outgoing: true,
            who: Who::Network { address: [10, network, 0, 0].into(), bits: 24 },
            totals: FirstByteTotals {
                first_bytes: 10,
                stages: StagesNs { connect, wire, server, ..StagesNs::default() },
                ..FirstByteTotals::default()
            },
        }
    }

    fn beside(near: [u64; 3], far: [u64; 3]) -> Outcome {
        let mut now = snapshot_at(2);
        let list = vec![group(1, near), group(2, far)];
        now.tcp.first_bytes = Some(FirstBytes { list, stages: true, softirq: false });
        check(&Window::new(&models(&[snapshot_at(1), now])).unwrap())
    }

    #[test]
    fn the_stage_that_differs_most_is_named() {
        let finding = fired(beside([10, 10, 20], [12, 12, 60]));
        assert_eq!(finding.severity, Severity::Warning);
        let verdict = "The first byte from 10.2.0.0/24, port 443, takes 84 ms, from 10.1.0.0/24 40 ms: server +40 ms";
        assert_eq!(finding.verdict, verdict);
    }

    #[test]
    fn a_longer_way_is_worth_knowing_and_no_more() {
        assert_eq!(fired(beside([1, 1, 5], [40, 40, 5])).severity, Severity::Info);
    }

    #[test]
    fn what_nobody_notices_is_no_finding() {
        assert_eq!(beside([1, 1, 1], [1, 1, 15]), Outcome::Quiet);
        assert_eq!(beside([10, 10, 200], [10, 10, 260]), Outcome::Quiet);
    }
}
