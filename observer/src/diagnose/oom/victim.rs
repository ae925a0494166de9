//! Why this process, with the arithmetic of the kernel's score.
//!
//! Source: `oom_badness` of mm/oom_kill.c: pages in RAM, in swap and of page tables, plus `oom_score_adj` thousandths of all
//! memory that counts.

use serde::Serialize;

use super::limit::{Limit, Memory};
use crate::{
    snapshot::{
        Name,
        oom_report::{OomReport, Task, UseKind},
    },
    units,
};

/// The process that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Victim {
    /// Name.
    pub comm: Name,
    /// Process id.
    pub pid: u32,
    /// Its cgroup.
    pub cgroup: Option<Name>,
    /// Bytes that its end gives back at most: what it has in RAM and in swap, and its page tables.
    pub bytes: Option<u64>,
    /// Its rank by score among those that could be killed, from 1; `None` if the report has no table.
    pub rank: Option<usize>,
    /// Memory that `oom_score_adj` is a share of.
    pub total: Option<u64>,
    /// The candidates with the highest scores, the highest first.
    pub candidates: Vec<Candidate>,
    /// Processes that had more than the victim and were left alone.
    pub spared: Vec<Spared>,
    /// True if it is also who asked for the memory.
    pub is_trigger: Option<bool>,
    /// Why it was chosen, in words.
    pub why: String,
    /// What became of it and of others, where that was not the end of this one alone.
    pub then: Option<String>,
}

/// A process and its score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Name.
    pub comm: Name,
    /// Process id.
    pub pid: u32,
    /// Bytes in RAM.
    pub rss: u64,
    /// Bytes in swap.
    pub swap: u64,
    /// Bytes of page tables.
    pub page_tables: u64,
    /// Its `oom_score_adj`.
    pub oom_score_adj: i32,
    /// What that adds, in bytes.
    pub adjustment: i64,
    /// All together: who has most is killed.
    pub score: i64,
}

/// A process that was not chosen although it had more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spared {
    /// Name.
    pub comm: Name,
    /// Process id.
    pub pid: u32,
    /// Bytes in RAM and swap.
    pub bytes: u64,
    /// Why it was left alone.
    pub why: String,
}

/// Candidates that are kept.
const MOST: usize = 5;
/// `oom_score_adj` with which a process is never chosen.
pub(super) const NEVER: i32 = -1000;

/// What `oom_score_adj` is a share of: all that the constraint lets the kernel count.
fn total(report: &OomReport, limit: &Limit) -> Option<u64> {
    let swap = report.totals.swap_total.unwrap_or(0);
    match &limit.memory {
        Memory::Cgroup { .. } => {
            let of = |kind: UseKind| report.memcg.as_ref()?.of(kind)?.limit;
            let memory = of(UseKind::Memory)?;
            Some(of(UseKind::MemorySwap).map_or(memory, |both| both.max(memory)))
        }
        _ => limit.limit.map(|ram| ram.saturating_add(swap)),
    }
}

fn sum<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

fn candidate(task: &Task, total: Option<u64>) -> Candidate {
    let (swap, tables) = (task.swap.unwrap_or(0), task.page_tables.unwrap_or(0));
    let adjustment = total.map_or(0, |t| i128::from(task.oom_score_adj) * i128::from(t) / 1000);
    let adjustment = i64::try_from(adjustment).unwrap_or(0);
    let own = i64::try_from(sum([task.rss, swap, tables])).unwrap_or(i64::MAX);
    Candidate {
        comm: task.comm.clone(),
        pid: task.pid,
        rss: task.rss,
        swap,
        page_tables: tables,
        oom_score_adj: task.oom_score_adj,
        adjustment,
        score: own.saturating_add(adjustment),
    }
}

pub(super) fn victim(report: &OomReport, limit: &Limit) -> Option<Victim> {
    let pid = report.victim_pid()?;
    let kill = report.kills.iter().find(|k| k.pid == pid).or(report.kills.first());
    let decision = report.decision.as_ref();
    let comm = kill.map(|k| k.comm.clone()).or_else(|| decision.and_then(|d| d.task.clone()));
    let comm = comm.or_else(|| report.exiting.as_ref().map(|e| e.comm.clone()))?;
    let total = total(report, limit);
    let mut candidates: Vec<Candidate> =
        report.tasks.iter().filter(|t| t.oom_score_adj != NEVER && t.pid != 1).map(|t| candidate(t, total)).collect();
    candidates.sort_by_key(|c| std::cmp::Reverse(c.score));
    let own = candidates.iter().find(|c| c.pid == pid).cloned();
    let rank = candidates.iter().position(|c| c.pid == pid).map(|at| at + 1);
    let of_kill =
        kill.and_then(|k| Some(sum([k.anon_rss?, k.file_rss?, k.shmem_rss.unwrap_or(0), k.page_tables.unwrap_or(0)])));
    let bytes = own.as_ref().map(|c| sum([c.rss, c.swap, c.page_tables])).or(of_kill);
    let held = own.as_ref().map_or(0, |c| sum([c.rss, c.swap]));
    let mut spared: Vec<Spared> = report
        .tasks
        .iter()
        .filter(|t| t.pid != pid && sum([t.rss, t.swap.unwrap_or(0)]) > held && own.is_some())
        .filter_map(|t| {
            Some(Spared {
                comm: t.comm.clone(),
                pid: t.pid,
                bytes: sum([t.rss, t.swap.unwrap_or(0)]),
                why: spared_why(t, own.as_ref()?)?,
            })
        })
        .collect();
    spared.sort_by_key(|s| std::cmp::Reverse(s.bytes));
    spared.truncate(MOST);
    let is_trigger = report
        .request
        .as_ref()
        .and_then(|r| r.tid)
        .map(|tid| tid == pid || report.tasks.iter().any(|t| t.pid == pid && t.tgid == tid));
    let why = why(report, rank, own.as_ref(), candidates.len(), total);
    candidates.truncate(MOST);
    Some(Victim {
        comm,
        pid,
        cgroup: decision.and_then(|d| d.task_memcg.clone()),
        bytes,
        rank,
        total,
        candidates,
        spared,
        is_trigger,
        why,
        then: then(report),
    })
}

/// What is not just the end of the one that was chosen.
fn then(report: &OomReport) -> Option<String> {
    if report.exiting.is_some() && report.kills.is_empty() {
        return Some("it was already ending, and nobody was killed".to_owned());
    }
    let group = report.group.as_ref()?;
    let others = match report.kills.len().saturating_sub(1) {
        0 => "nobody else was killed with it".to_owned(),
        1 => "another process was killed with it".to_owned(),
        n => format!("{n} others were killed with it"),
    };
    Some(format!("memory.oom.group is set for {group}: {others}"))
}

fn spared_why(task: &Task, victim: &Candidate) -> Option<String> {
    if task.oom_score_adj == NEVER {
        return Some("oom_score_adj -1000: it is never chosen".to_owned());
    }
    if task.pid == 1 {
        return Some("the first process is never chosen".to_owned());
    }
    (task.oom_score_adj < victim.oom_score_adj)
        .then(|| format!("oom_score_adj {} against {} of the victim", task.oom_score_adj, victim.oom_score_adj))
}

fn why(report: &OomReport, rank: Option<usize>, own: Option<&Candidate>, count: usize, total: Option<u64>) -> String {
    let reason = report.kills.first().map(|k| k.reason.as_str()).unwrap_or_default();
    if reason.contains("oom_kill_allocating_task") {
        return "vm.oom_kill_allocating_task is set: who asks is killed, whatever it has".to_owned();
    }
    let chosen = report.decision.as_ref().and_then(|d| Some((d.task.as_ref()?, d.pid?)));
    if let Some((parent, pid)) = chosen.filter(|(_, pid)| Some(*pid) != report.victim_pid()) {
        let parent = super::process(parent, Some(pid));
        return format!(
            "{parent} has the highest score, and kernels before 5.1 kill a child with memory of its own in its place"
        );
    }
    let Some(own) = own else {
        return "by what score is not known, as there is no table of tasks with it".to_owned();
    };
    let adjusted = own.oom_score_adj != 0;
    let sum = {
        let mut text = format!("{} in RAM", units::bytes(own.rss as f64));
        for (bytes, what) in [(own.swap, "in swap"), (own.page_tables, "of page tables")] {
            if bytes > 0 {
                text += &format!(" + {} {what}", units::bytes(bytes as f64));
            }
        }
        if adjusted && let Some(total) = total {
            let sign = if own.adjustment < 0 { "-" } else { "+" };
            let amount = units::bytes(own.adjustment.unsigned_abs() as f64);
            text += &format!(
                " {sign} {amount} (oom_score_adj {} thousandths of {})",
                own.oom_score_adj,
                units::bytes(total as f64)
            );
        }
        text
    };
    match rank {
        Some(1) if count == 1 => format!("it was the only process that could be chosen: {sum}"),
        Some(1) => format!("its score is the highest of {count}: {sum}"),
        // The table is written before the choice is made, and what it lists may have changed; a cgroup may be protected by its parent.
        Some(n) => format!(
            "its score, {sum}, is number {n} of {count} in the table: those above it were already ending, shared their memory with a process that may not be killed, or changed meanwhile"
        ),
        None => format!(
            "it could not be chosen by its score ({sum}): it ended already, or its cgroup was killed as a whole"
        ),
    }
}

impl Victim {
    /// In one sentence.
    pub fn sentence(&self) -> String {
        let gives = self.bytes.map_or(String::new(), |b| format!(", which held {},", units::bytes(b as f64)));
        let then = self.then.as_ref().map_or(String::new(), |then| format!("; {then}"));
        format!("{}{gives} was chosen: {}{then}.", super::process(&self.comm, Some(self.pid)), self.why)
    }
}
