//! Containers by the path of their cgroup, as the runtimes and systemd build it.

use crate::snapshot::{Name, container::Container};

/// What a component of a path says.
enum Part<'a> {
    /// A container of this runtime, with its id or name.
    Container { runtime: Option<&'static str>, id: &'a str },
    /// A pod.
    Pod { uid: String },
}

/// Prefix and suffix of the unit or folder that a runtime makes, and the runtime.
const UNITS: &[(&str, &str, &str)] = &[
    ("docker-", ".scope", "docker"),
    ("cri-containerd-", ".scope", "containerd"),
    ("nerdctl-", ".scope", "containerd"),
    ("crio-", ".scope", "cri-o"),
    ("crio-", "", "cri-o"),
    ("libpod-", ".scope", "podman"),
    ("libpod-", "", "podman"),
];

/// The container of a cgroup, names not yet asked for. `None` if the path does not lead through one. Of nested containers it
/// is the innermost.
pub(super) fn container(path: &str) -> Option<Container> {
    let components: Vec<&str> = path.split('/').filter(|c| !c.is_empty()).collect();
    let mut found = Container::default();
    let mut any = false;
    for (i, component) in components.iter().enumerate() {
        let parent = i.checked_sub(1).and_then(|i| components.get(i)).copied().unwrap_or_default();
        match part(component, parent) {
            Some(Part::Pod { uid }) => found = Container { pod_uid: Some(Name::from(uid)), ..Container::default() },
            Some(Part::Container { runtime, id }) => {
                // A container inside of a container is not of the outer one's pod.
                let pod_uid = if found.id.is_none() { found.pod_uid.take() } else { None };
                let runtime = runtime.map(Name::from);
                found = Container { runtime, id: Some(Name::from(id)), pod_uid, ..Container::default() };
            }
            None => continue,
        }
        any = true;
    }
    any.then_some(found)
}

fn part<'a>(component: &'a str, parent: &str) -> Option<Part<'a>> {
    if let Some(uid) = pod(component) {
        return Some(Part::Pod { uid });
    }
    for (prefix, suffix, runtime) in UNITS {
        let id = component.strip_prefix(prefix).and_then(|c| c.strip_suffix(suffix));
        if let Some(id) = id.filter(|id| is_id(id)) {
            return Some(Part::Container { runtime: Some(runtime), id });
        }
    }
    let named = |runtime, id: &'a str| (!id.is_empty()).then_some(Part::Container { runtime: Some(runtime), id });
    if let Some(name) = component.strip_prefix("lxc.payload.") {
        return named("lxc", name);
    }
    if parent == "lxc" {
        return named("lxc", component);
    }
    if let Some(name) = component.strip_prefix("systemd-nspawn@").and_then(|c| c.strip_suffix(".service")) {
        return named("systemd-nspawn", name);
    }
    if let Some(name) = component.strip_prefix("machine-").and_then(|c| c.strip_suffix(".scope"))
        && parent == "machine.slice"
    {
        return named("systemd-nspawn", name);
    }
    if !is_id(component) {
        return None;
    }
    // Folders without systemd: the id stands by itself, and the folder above says whose it is.
    match parent {
        "docker" => Some(Part::Container { runtime: Some("docker"), id: component }),
        "libpod_parent" => Some(Part::Container { runtime: Some("podman"), id: component }),
        _ if pod(parent).is_some() => Some(Part::Container { runtime: None, id: component }),
        _ => None,
    }
}

/// Uid of a pod: `pod2f4e...` or `kubepods-burstable-pod2f4e_....slice`, where systemd wants `_` in the place of `-`.
fn pod(component: &str) -> Option<String> {
    let uid = match component.strip_suffix(".slice") {
        Some(unit) => unit.strip_prefix("kubepods")?.rsplit_once("-pod")?.1,
        None => component.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    // A static pod has a hash for a uid, without dashes.
    let hex = uid.len() >= 32 && uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    hex.then_some(uid)
}

/// Ids of containers are 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
