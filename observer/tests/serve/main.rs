//! `observer serve` as its users meet it: the real binary, a real Prometheus, hostile clients and hostile names.

mod dashboards;
mod errors;
mod exposition;
mod http;
mod names;
mod prometheus;
mod protocol;
mod target;
mod unprivileged;
mod workload;
