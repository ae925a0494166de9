//! Every form of a profile, with names that want to break it.

use super::*;
use crate::{
    output::text::Style,
    profile::{Frame, Losses, Matched, Scope},
    snapshot::{CgroupId, Name},
};

fn frame(address: u64, function: &str, module: Option<&str>) -> Frame {
    Frame {
        address,
        function: Some(Name::from(function)),
        module: module.map(Name::from),
        offset: Some(4),
        ..Frame::default()
    }
}

fn trace(frames: &[usize]) -> Trace {
    Trace { frames: frames.to_vec(), ..Trace::default() }
}

fn profile() -> Profile {
    let stripped = Frame {
        address: 0x7f00_1234,
        module: Some(Name::from("/usr/lib/libz.so.1")),
        offset: Some(0x1234),
        build_id: Some("00ff".to_owned()),
        unknown: Some(Name::from("no symbol of the file covers it: it is stripped")),
        ..Frame::default()
    };
    let frames = vec![
        frame(0xffff_0010, "alloc_anon_folio", None),
        frame(0xffff_0020, "do_anonymous_page", None),
        frame(0x40_1000, "fill_cache", Some("/opt/app/bin/app")),
        frame(0x40_2000, "main", Some("/opt/app/bin/app")),
        stripped,
        // The same function, called from another line.
        frame(0xffff_0028, "do_anonymous_page", None),
    ];
    let row = |kernel: &[usize], user: Trace, order, samples| Stack {
        kernel: trace(kernel),
        user,
        pid: 42,
        comm: Name::from("app"),
        cgroup: Some(CgroupId(7)),
        cgroup_path: Some(Name::from("/app.slice")),
        order,
        failed: false,
        samples,
    };
    let none = Trace { absent: Some("a task of the kernel, without user side"), ..Trace::default() };
    Profile {
        scope: Scope { pids: vec![42], cgroup: Some(Name::from("/app.slice")), min_order: 0, max_order: None },
        every: 10,
        seconds: 2.0,
        ended_by: None,
        page_size: 4096,
        matched: Matched { allocations: 1000, bytes: 1000 * 4096, failures: 2, samples: 100 },
        lost: Losses { stack_collisions: 3, recursion_misses: Some(0), ..Losses::default() },
        notes: vec![Name::from("kernel functions are not named: this is a test")],
        frames,
        stacks: vec![
            row(&[0, 1], trace(&[2, 3]), 0, 60),
            row(&[0, 5], trace(&[2, 3]), 0, 20),
            row(&[0, 1], trace(&[4, 3]), 0, 10),
            Stack { pid: 9, comm: Name::from("kworker/0:1"), cgroup_path: None, ..row(&[0], none, 3, 2) },
            Stack { failed: true, ..row(&[0], trace(&[2, 3]), 9, 1) },
        ],
    }
}

#[test]
fn the_text_for_a_person() {
    insta::assert_snapshot!(text(&profile(), Style::default()));
}

#[test]
fn a_profile_of_nothing_says_why() {
    let none = Profile { seconds: 1.0, every: 5, ..Profile::default() };
    assert!(text(&none, Style::default()).contains("Nothing matched"));
    let unlucky = Profile { matched: Matched { allocations: 3, ..Matched::default() }, ..none };
    assert!(text(&unlucky, Style::default()).contains("--every 1"));
}

#[test]
fn folded_lines_weigh_bytes_by_samples_rate_and_order() {
    let lines = folded(&profile());
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(
        lines,
        [
            "app-42;main;[libz.so.1+0x1234];do_anonymous_page_[k];alloc_anon_folio_[k] 409600",
            "app-42;main;fill_cache;alloc_anon_folio_[k];[order_9,_2_MiB];[failed] 20971520",
            "app-42;main;fill_cache;do_anonymous_page_[k];alloc_anon_folio_[k] 3276800",
            "kworker/0:1-9;[a_task_of_the_kernel,_without_user_side];alloc_anon_folio_[k];[order_3,_32_KiB] 655360",
        ]
    );
}

/// Names that want to break each of the forms.
fn hostile() -> Profile {
    let mut profile = profile();
    let evil = "a;b c\nd 999\t</text><script>alert(1)</script>\"'&\u{202e}]]>";
    profile.stacks[0].comm = Name::from_bytes(evil.as_bytes());
    profile.frames[2].function = Some(Name::from_bytes(evil.as_bytes()));
    profile.frames[4].module = Some(Name::from_bytes(format!("/lib/{evil}\u{1b}[31m").as_bytes()));
    profile
}

#[test]
fn no_name_breaks_a_folded_line() {
    let lines = folded(&hostile());
    assert_eq!(lines.lines().count(), 5, "{lines}");
    for line in lines.lines() {
        let (path, number) = line.split_once(' ').expect("one space");
        assert!(number.bytes().all(|b| b.is_ascii_digit()), "{line}");
        assert!(path.split(';').count() <= 7, "{line}");
    }
    let depths: Vec<_> = folded(&profile()).lines().map(|l| l.split(';').count()).collect();
    assert!(depths.iter().all(|d| *d <= 6));
}

#[test]
fn no_name_gets_markup_into_the_image() {
    let image = svg(&hostile());
    assert!(!image.contains("<script") && !image.contains("onload") && !image.contains("href"), "{image}");
    assert!(image.contains("&lt;script&gt;"));
    // Every element that is there is one of ours, and each is closed.
    for tag in image.split('<').skip(1) {
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric() || "/?".contains(*c)).collect();
        assert!(
            ["?xml", "svg", "rect", "text", "g", "title", "/svg", "/text", "/g", "/title"].contains(&name.as_str()),
            "{name} in {image}"
        );
    }
    for name in ["g", "text", "title"] {
        let opened = image.matches(&format!("<{name}>")).count() + image.matches(&format!("<{name} ")).count();
        assert_eq!(opened, image.matches(&format!("</{name}>")).count(), "{name}");
    }
    assert!(!image.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn no_name_gets_control_characters_into_the_text() {
    let text = text(&hostile(), Style::default());
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text}");
}

#[test]
fn boxes_are_as_wide_as_their_share() {
    let mut profile = profile();
    profile.stacks.truncate(1);
    let image = svg(&profile);
    // One stack: every box has the whole width.
    let widths: Vec<&str> = image
        .match_indices("<g>")
        .filter_map(|(at, _)| image[at..].split_once("width=\"")?.1.split('"').next())
        .collect();
    assert_eq!(widths, ["1179.70"; 6]);
}

#[test]
fn the_document_has_what_the_text_has() {
    let value: serde_json::Value = serde_json::from_str(&document(&profile(), false).unwrap()).unwrap();
    assert_eq!(value["kind"], "page_alloc_stacks");
    assert_eq!(value["every"], 10);
    assert_eq!(value["matched"]["allocations"], 1000);
    assert_eq!(value["lost"]["stack_collisions"], 3);
    assert_eq!(value["stacks"][0]["kernel"]["frames"][1], 1);
    assert_eq!(value["frames"][2]["function"], "fill_cache");
    assert_eq!(value["frames"][4]["build_id"], "00ff");
    assert_eq!(value["stacks"][4]["failed"], true);
}

#[test]
fn stacks_that_read_the_same_are_one_and_weigh_together() {
    let profile = profile();
    let groups = crate::profile::groups(&profile);
    assert_eq!(groups.len(), 4);
    assert_eq!((groups[0].samples, groups[0].bytes), (80, 80.0 * 10.0 * 4096.0));
    assert!(groups[3].failed, "what was refused comes last, however large");
    assert_eq!(crate::profile::processes(&profile).iter().map(|w| w.samples).collect::<Vec<_>>(), [90, 2]);
}
