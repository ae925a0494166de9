//! Containers, as the path of a cgroup and the runtime's files tell them.

use serde::{Deserialize, Serialize};

use super::Name;

/// A container, pod or service that a cgroup belongs to. Every part that could not be resolved is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `systemd-nspawn`; `None` if the path names a pod only.
    pub runtime: Option<Name>,
    /// Id of the container, from the path.
    pub id: Option<Name>,
    /// Its name, from the runtime's files.
    pub name: Option<Name>,
    /// Its image, from the runtime's files.
    pub image: Option<Name>,
    /// Uid of the pod, from the path.
    pub pod_uid: Option<Name>,
    /// Name of the pod, from the runtime's or the kubelet's files.
    pub pod: Option<Name>,
    /// Kubernetes namespace of the pod, from the same files.
    pub namespace: Option<Name>,
}
