//! `observer serve` as its users meet it: the real binary, a real Prometheus, hostile clients and hostile names.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

mod dashboards;
mod errors;
mod exposition;
mod http;
mod names;
mod prometheus;
mod protocol;
mod target;
mod tunnel;
mod unprivileged;
mod workload;
