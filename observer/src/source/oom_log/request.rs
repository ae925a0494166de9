//! The lines of who asked for what, and the call chain.

use super::text::{after, between, find, find_last, leading_signed, name, number_after, some_name};
use crate::{
    snapshot::{
        Name,
        oom_report::{Frame, Gfp, OomReport, Request},
    },
    source::lines::words,
};

/// The words that begin a report.
pub(super) const INVOKED: &[u8] = b" invoked oom-killer: ";

/// `NAME invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0`. The name may be anything.
pub(super) fn invoked(line: &[u8]) -> Option<Request> {
    let at = find_last(line, INVOKED)?;
    let (comm, rest) = (line.get(..at)?, line.get(at + INVOKED.len()..)?);
    let gfp = after(rest, b"gfp_mask=").map(|text| {
        let end = text.iter().position(|b| !(b.is_ascii_hexdigit() || *b == b'x')).unwrap_or(text.len());
        let hex = text.get(..end).unwrap_or_default();
        let hex = hex.strip_prefix(b"0x").unwrap_or(hex);
        let bits = std::str::from_utf8(hex).ok().and_then(|h| u64::from_str_radix(h, 16).ok()).unwrap_or(0);
        let names = text.get(end..).and_then(|t| t.strip_prefix(b"(")).and_then(|t| t.get(..find(t, b")")?));
        let names = names.into_iter().flat_map(|n| n.split(|b| *b == b'|')).filter_map(some_name).collect();
        Gfp { bits, names }
    });
    let adj = after(rest, b"oom_score_adj=").or_else(|| after(rest, b"oom_adj="));
    Some(Request {
        comm: Name::from_bytes(comm),
        gfp,
        order: after(rest, b"order=").and_then(leading_signed).and_then(|n| i32::try_from(n).ok()),
        nodemask: between(rest, b"nodemask=", b", ").and_then(some_name),
        oom_score_adj: adj.and_then(leading_signed).and_then(|n| i32::try_from(n).ok()),
        ..Request::default()
    })
}

/// The lines about the task that follow, and `Hardware name:`.
pub(super) fn context(line: &[u8], report: &mut OomReport) -> bool {
    if line.starts_with(b"CPU: ") || line.starts_with(b"Pid: ") {
        return cpu(line, report).is_some();
    }
    if let Some(hardware) = line.strip_prefix(b"Hardware name: ") {
        report.hardware = some_name(hardware);
        return true;
    }
    if let Some(at) = find_last(line, b" cpuset=").filter(|_| find(line, b" mems_allowed=").is_some()) {
        let rest = line.get(at..).unwrap_or_default();
        if let Some(request) = &mut report.request {
            request.cpuset = between(rest, b"cpuset=", b" mems_allowed").and_then(some_name);
        }
        return true;
    }
    [&b"Tainted: "[..], b"Workqueue: ", b"Modules linked in:", b"Sched_ext: "]
        .iter()
        .any(|known| line.starts_with(known))
}

/// `CPU: 1 UID: 0 PID: 10401 Comm: python3 Not tainted 6.18.44 #1 PREEMPT(none)`, or
/// `Pid: 2134, comm: httpd Not tainted 2.6.32-431.el6.x86_64 #1`.
fn cpu(line: &[u8], report: &mut OomReport) -> Option<()> {
    let request = report.request.get_or_insert_default();
    request.cpu = number_after(line, b"CPU: ").and_then(|n| u32::try_from(n).ok());
    request.uid = number_after(line, b"UID: ").and_then(|n| u32::try_from(n).ok());
    let tid = number_after(line, b"PID: ").or_else(|| number_after(line, b"Pid: "))?;
    request.tid = u32::try_from(tid).ok();
    let rest = after(line, b"Comm: ").or_else(|| after(line, b"comm: "))?;
    // The build number stands behind the release: `6.18.44 #1`. A name has no more than 15 bytes, so `#` ends no name here.
    let end = find(rest, b" #").unwrap_or(rest.len());
    let head = rest.get(..end)?;
    let release = head.iter().rposition(|b| *b == b' ').map_or(head, |at| head.get(at + 1..).unwrap_or_default());
    report.kernel = some_name(release);
    let before = head.get(..head.len() - release.len()).unwrap_or_default().trim_ascii_end();
    let taint = find_last(before, b"Not tainted").or_else(|| find_last(before, b"Tainted: "));
    request.taint = taint.and_then(|at| some_name(before.get(at..)?));
    let comm = before.get(..taint.unwrap_or(before.len())).unwrap_or_default();
    let comm = comm.trim_ascii_end();
    let comm = find(comm, b" Kdump: loaded").map_or(comm, |at| comm.get(..at).unwrap_or_default());
    if request.comm.is_empty() {
        request.comm = name(comm);
    }
    Some(())
}

/// What a line in a call trace is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TraceLine {
    /// A function.
    Frame(Frame),
    /// A heading, such as `Call Trace:` or `<IRQ>`.
    Mark,
    /// Registers or code.
    Registers,
}

/// A line of a call trace; `None` if it is none.
pub(super) fn trace(line: &[u8]) -> Option<TraceLine> {
    let text = line.trim_ascii();
    let is_mark = (text.starts_with(b"<") && text.ends_with(b">") && text.len() < 16 && !text.contains(&b' '))
        || text.eq_ignore_ascii_case(b"Call Trace:")
        || text.starts_with(b"Call Trace: ")
        || text == b"Backtrace:";
    if is_mark {
        return Some(TraceLine::Mark);
    }
    if is_registers(text) {
        return Some(TraceLine::Registers);
    }
    frame(text).map(TraceLine::Frame)
}

/// `RIP: 0033:0x41dd0a`, `RAX: 00.. RBX: 00..`, `Code: 0f 1f`, `pc : ..`, `x29: ..`, `ORIG_RAX: ..`.
fn is_registers(text: &[u8]) -> bool {
    // Words of the stack, which kernels before 4.9 print between the task and the chain.
    let word = |w: &[u8]| matches!(w.len(), 8 | 16) && w.iter().all(u8::is_ascii_hexdigit);
    let text = text.strip_prefix(b"Stack:").unwrap_or(text);
    if words(text).count() > 0 && words(text).all(word) {
        return true;
    }
    let Some(colon) = text.iter().take(12).position(|b| *b == b':') else { return false };
    let (head, rest) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
    let head = head.trim_ascii_end();
    const OTHER: [&[u8]; 14] = [
        b"RIP",
        b"Code",
        b"EIP",
        b"ORIG_RAX",
        b"EFLAGS",
        b"pc",
        b"lr",
        b"sp",
        b"pstate",
        b"psr",
        b"NIP",
        b"REGS",
        b"RSP",
        b"ESP",
    ];
    let register = head.len() <= 4
        && head.iter().all(|b| b.is_ascii_alphanumeric())
        && rest.trim_ascii_start().len() >= 8
        && rest.trim_ascii_start().iter().take(8).all(u8::is_ascii_hexdigit);
    OTHER.contains(&head) || register
}

/// `? policy_node+0x51/0x70 [module]`, with ` [<ffffffff81150ac0>]` before it on old kernels.
fn frame(text: &[u8]) -> Option<Frame> {
    let text = match text.strip_prefix(b"[<") {
        Some(rest) => rest.get(find(rest, b">]")? + 2..)?.trim_ascii_start(),
        None => text,
    };
    let (doubtful, text) = text.strip_prefix(b"? ").map_or((false, text), |rest| (true, rest));
    // arm: `(show_stack+0x10/0x14)`
    let text = text.strip_prefix(b"(").unwrap_or(text);
    let mut parts = words(text);
    let place = parts.next()?;
    let place = place.strip_suffix(b")").unwrap_or(place);
    // Code without a name, such as programs that BPF compiled: `? 0xffffffffc000c029`.
    if place.len() >= 10 && hex(place).is_some() && parts.next().is_none() {
        return Some(Frame { function: name(place), doubtful, ..Frame::default() });
    }
    let plus = place.iter().rposition(|b| *b == b'+')?;
    let (function, offsets) = (place.get(..plus)?, place.get(plus + 1..)?);
    let mut offsets = offsets.split(|b| *b == b'/');
    let (offset, size) = (hex(offsets.next()?)?, hex(offsets.next()?)?);
    let module =
        parts.next().and_then(|m| m.strip_prefix(b"[")).and_then(|m| some_name(m.split(|b| *b == b']').next()?));
    Some(Frame { function: name(function), offset, size, module, doubtful })
}

fn hex(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text.strip_prefix(b"0x")?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_of_each_age() {
        let now = invoked(b"a b invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=9, oom_score_adj=-500").unwrap();
        assert_eq!((now.comm.as_str(), now.order, now.oom_score_adj), ("a b", Some(9), Some(-500)));
        let gfp = now.gfp.unwrap();
        assert_eq!((gfp.bits, gfp.names.len()), (0x0014_0dca, 3));
        assert_eq!(
            (gfp.has("__GFP_COMP"), gfp.has("__GFP_FS"), gfp.has("__GFP_MEMALLOC")),
            (Some(true), Some(true), Some(false))
        );
        let four = invoked(b"x invoked oom-killer: gfp_mask=0x24201ca(GFP_HIGHUSER_MOVABLE|__GFP_COLD), nodemask=0-1, order=0, oom_score_adj=0").unwrap();
        assert_eq!(four.nodemask.unwrap().as_str(), "0-1");
        let three = invoked(b"x invoked oom-killer: gfp_mask=0x201da, order=0, oom_adj=0, oom_score_adj=0").unwrap();
        assert_eq!((three.gfp.as_ref().unwrap().bits, three.gfp.unwrap().has("__GFP_FS")), (0x201da, None));
        let sysrq =
            invoked(b"kworker/0:1 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0").unwrap();
        assert_eq!(sysrq.order, Some(-1));
        let hostile = invoked(b"a invoked oom-killer: b invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0");
        assert_eq!(hostile.unwrap().comm.as_str(), "a invoked oom-killer: b");
    }

    #[test]
    fn the_task_of_each_age() {
        for (line, comm, tid, uid, kernel, taint) in [
            (
                &b"CPU: 1 UID: 5 PID: 10401 Comm: python3 Not tainted 6.18.44-fc #1 PREEMPT(none) "[..],
                "python3",
                10401,
                Some(5),
                "6.18.44-fc",
                "Not tainted",
            ),
            (
                b"CPU: 0 PID: 121 Comm: hog Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2",
                "hog",
                121,
                None,
                "6.1.0-56-cloud-amd64",
                "Not tainted",
            ),
            (
                b"CPU: 3 PID: 9 Comm: my app Kdump: loaded Tainted: G        W  O     5.14.0-70.el9 #1",
                "my app",
                9,
                None,
                "5.14.0-70.el9",
                "Tainted: G        W  O",
            ),
            (
                b"Pid: 2134, comm: httpd Not tainted 2.6.32-431.el6.x86_64 #1",
                "httpd",
                2134,
                None,
                "2.6.32-431.el6.x86_64",
                "Not tainted",
            ),
        ] {
            let mut report = OomReport::default();
            assert!(context(line, &mut report));
            let request = report.request.unwrap();
            assert_eq!((request.comm.as_str(), request.tid, request.uid), (comm, Some(tid), uid));
            assert_eq!((report.kernel.unwrap().as_str(), request.taint.unwrap().as_str()), (kernel, taint));
        }
    }

    #[test]
    fn frames_of_each_age() {
        let of = |line: &[u8]| match trace(line) {
            Some(TraceLine::Frame(f)) => {
                (f.function.as_str().to_owned(), f.offset, f.size, f.doubtful, f.module.is_some())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(of(b"  ? policy_node+0x51/0x70"), ("policy_node".into(), 0x51, 0x70, true, false));
        assert_eq!(
            of(b" [<ffffffff81150ac0>] ? dump_header+0x90/0x1b0"),
            ("dump_header".into(), 0x90, 0x1b0, true, false)
        );
        assert_eq!(of(b"  xfs_alloc+0x1/0x2 [xfs]"), ("xfs_alloc".into(), 1, 2, false, true));
        assert_eq!(
            of(b" __alloc_pages_slowpath.constprop.0+0x67f/0xe00"),
            ("__alloc_pages_slowpath.constprop.0".into(), 0x67f, 0xe00, false, false)
        );
        assert_eq!(of(b"  ? 0xffffffffc000c029"), ("0xffffffffc000c029".into(), 0, 0, true, false));
        for mark in [&b" <TASK>"[..], b" </TASK>", b"Call Trace:", b"Call trace:", b" <IRQ>"] {
            assert_eq!(trace(mark), Some(TraceLine::Mark));
        }
        for registers in [
            &b"RIP: 0033:0x41dd0a"[..],
            b"RAX: 00000000000000a9 RBX: 00000000000001a9 RCX: 00000000000cf010",
            b"R10: 0000000000000022 R11: 0000000000000246",
            b"Code: c5 fe 7f",
            b"x29: ffff80001234abcd x28: 0000000000000000",
            b"pc : foo+0x1/0x2",
        ] {
            assert_eq!(trace(registers), Some(TraceLine::Registers), "{registers:?}");
        }
        assert_eq!(trace(b"Mem-Info:"), None);
        assert_eq!(trace(b"anon 66916352"), None);
    }
}
