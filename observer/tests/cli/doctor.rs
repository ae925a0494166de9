//! `observer doctor` on this host.

use serde_json::Value;

use crate::run::run;

#[test]
fn the_exit_code_is_the_status() {
    let run = run(&["doctor", "--json"]);
    let document: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let status = document["status"].as_str().unwrap();
    let code = match status {
        "full" => 0,
        "degraded" => 1,
        other => panic!("this host has /proc, so {other} cannot be"),
    };
    assert_eq!(run.code, Some(code));
    assert_eq!(document["exit_code"], code);
    let probes = document["facts"]["coverage"]["probes"].as_array().unwrap();
    let attached = probes.iter().filter(|p| p["state"]["is"] == "attached").count();
    assert_eq!(attached == probes.len(), status == "full", "the probes and the status agree");
    // Further ones are there while a tunnel is, whose ever it may be.
    let always = probes.iter().filter(|p| !p["name"].as_str().unwrap().starts_with("tunnel_")).count();
    assert_eq!(always, observer::source::kernel::probes::PROBES.len());
    let types = document["facts"]["program_types"].as_array().unwrap();
    let names: Vec<_> = types.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tp_btf", "raw_tracepoint", "iter", "tracepoint", "kprobe", "fentry"]);
}

#[test]
fn text_and_document_say_the_same() {
    let (text, json) = (run(&["doctor"]), run(&["doctor", "--json"]));
    assert_eq!(text.code, json.code);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    for check in document["checks"].as_array().unwrap() {
        let word = match check["verdict"].as_str().unwrap() {
            "ok" => "ok",
            "optional" => "-",
            _ => "NO",
        };
        let name = check["name"].as_str().unwrap();
        let has = |l: &str| l.trim_start().starts_with(word) && l.contains(name);
        assert!(text.stdout.lines().any(has), "{check} in {}", text.stdout);
    }
}
