//! Names of containers from the files that their runtimes keep.

use std::{fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use serde_json::Value;

use crate::{
    snapshot::{Name, container::Container},
    source::file::Root,
};

/// Bytes of a runtime's file that are read at most.
const LARGEST: u64 = 1 << 20;

/// Folders of OCI bundles, by runtime: the container's id and `config.json` come below, or `userdata/config.json`.
const BUNDLES: &[(&str, &str, &str)] = &[
    ("containerd", "/run/containerd/io.containerd.runtime.v2.task/k8s.io", "config.json"),
    ("containerd", "/run/containerd/io.containerd.runtime.v2.task/default", "config.json"),
    ("cri-o", "/run/containers/storage/overlay-containers", "userdata/config.json"),
    ("cri-o", "/var/lib/containers/storage/overlay-containers", "userdata/config.json"),
];

/// Fills in what the files tell. True if there is nothing more to be found.
pub(super) fn name(root: &Root, container: &mut Container) -> bool {
    if let Some(id) = container.id.clone() {
        let runtime = container.runtime.clone();
        let may_be = |name: &str| runtime.as_ref().is_none_or(|r| r.as_str() == name);
        match runtime.as_ref().map(Name::as_str) {
            // The id is the name.
            Some("lxc" | "systemd-nspawn") => container.name = Some(id),
            _ => {
                let found = (may_be("docker") && docker(root, id.as_str(), container))
                    || bundles(root, id.as_str(), &may_be, container)
                    || (may_be("podman") && podman(root, id.as_str(), container));
                if !found {
                    return kubelet(root, container) && container.id.is_none();
                }
            }
        }
    }
    container.pod_uid.is_none() || container.pod.is_some() || kubelet(root, container)
}

/// Docker keeps a folder for each container.
fn docker(root: &Root, id: &str, container: &mut Container) -> bool {
    let Some(config) = json(&root.path(format!("/var/lib/docker/containers/{id}/config.v2.json"))) else {
        return false;
    };
    let labels = &config["Config"]["Labels"];
    let plain = text(&config["Name"]).map(|name| Name::from(name.as_str().trim_start_matches('/')));
    container.runtime = Some(Name::from("docker"));
    container.name = text(&labels["io.kubernetes.container.name"]).or(plain);
    container.image = text(&config["Config"]["Image"]);
    container.pod = text(&labels["io.kubernetes.pod.name"]);
    container.namespace = text(&labels["io.kubernetes.pod.namespace"]);
    true
}

/// containerd and CRI-O write what Kubernetes told them as annotations into the bundle.
fn bundles(root: &Root, id: &str, may_be: &dyn Fn(&str) -> bool, container: &mut Container) -> bool {
    for (runtime, folder, file) in BUNDLES.iter().filter(|(runtime, ..)| may_be(runtime)) {
        let Some(config) = json(&root.path(format!("{folder}/{id}/{file}"))) else { continue };
        let annotations = &config["annotations"];
        let first = |keys: &[&str]| keys.iter().find_map(|key| text(&annotations[*key]));
        container.runtime = Some(Name::from(*runtime));
        container.name = first(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"]);
        container.image = first(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"]);
        container.pod = first(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
        container.namespace = first(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]);
        return true;
    }
    false
}

/// podman keeps one list of all containers.
fn podman(root: &Root, id: &str, container: &mut Container) -> bool {
    let path = root.path("/var/lib/containers/storage/overlay-containers/containers.json");
    let list = json(&path).and_then(|list| match list {
        Value::Array(list) => Some(list),
        _ => None,
    });
    let Some(entry) = list.into_iter().flatten().find(|c| c["id"].as_str() == Some(id)) else { return false };
    // The metadata is a document of its own, inside a string.
    let metadata: Value = entry["metadata"].as_str().and_then(|m| serde_json::from_str(m).ok()).unwrap_or_default();
    container.runtime = Some(Name::from("podman"));
    container.name = text(&metadata["name"]).or_else(|| text(&entry["names"][0]));
    container.image = text(&metadata["image-name"]);
    true
}

/// The kubelet keeps the logs of a pod in a folder called `NAMESPACE_POD_UID`.
fn kubelet(root: &Root, container: &mut Container) -> bool {
    let Some(uid) = &container.pod_uid else { return true };
    let Ok(folders) = std::fs::read_dir(root.path("/var/log/pods")) else { return false };
    for folder in folders.flatten() {
        let folder = folder.file_name();
        let mut parts = folder.as_encoded_bytes().splitn(3, |b| *b == b'_');
        if let (Some(namespace), Some(pod), Some(found)) = (parts.next(), parts.next(), parts.next())
            && found == uid.as_str().as_bytes()
        {
            container.namespace = Some(Name::from_bytes(namespace));
            container.pod = Some(Name::from_bytes(pod));
            return true;
        }
    }
    false
}

fn text(value: &Value) -> Option<Name> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| Name::from_bytes(text.as_bytes()))
}

/// A document; `None` if it is not there, is no JSON or is too large to be one of ours.
fn json(path: &Path) -> Option<Value> {
    // A pipe in the place of the file must not hold observer up.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.ok().filter(|f| f.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST))?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
