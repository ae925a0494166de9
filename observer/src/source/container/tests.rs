use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::snapshot::Name;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "2f4e9f1c-8a53-4f0e-9d2b-6c1d2e3f4a5b";

fn words(path: &str) -> Option<(Option<String>, Option<String>, Option<String>)> {
    let word = |name: Option<Name>| name.map(|n| n.to_string());
    path::container(path).map(|c| (word(c.runtime), word(c.id), word(c.pod_uid)))
}

#[test]
fn the_paths_of_every_runtime() {
    let own = |text: &str| Some(text.to_owned());
    let unit_uid = UID.replace('-', "_");
    let cases = [
        (format!("/docker/{ID}"), own("docker"), own(ID), None),
        (format!("/system.slice/docker-{ID}.scope"), own("docker"), own(ID), None),
        (format!("/kubepods/burstable/pod{UID}/{ID}"), None, own(ID), own(UID)),
        (
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{unit_uid}.slice/cri-containerd-{ID}.scope"
            ),
            own("containerd"),
            own(ID),
            own(UID),
        ),
        (format!("/kubepods.slice/kubepods-pod{unit_uid}.slice/crio-{ID}.scope"), own("cri-o"), own(ID), own(UID)),
        (format!("/kubepods.slice/kubepods-pod{unit_uid}.slice"), None, None, own(UID)),
        (format!("/machine.slice/libpod-{ID}.scope/container"), own("podman"), own(ID), None),
        ("/lxc.payload.web/system.slice/nginx.service".to_owned(), own("lxc"), own("web"), None),
        ("/lxc/web".to_owned(), own("lxc"), own("web"), None),
        ("/machine.slice/machine-web.scope".to_owned(), own("systemd-nspawn"), own("web"), None),
        ("/machine.slice/systemd-nspawn@web.service".to_owned(), own("systemd-nspawn"), own("web"), None),
    ];
    for (path, runtime, id, pod) in cases {
        assert_eq!(words(&path), Some((runtime, id, pod)), "{path}");
    }
    let none =
        ["/", "/system.slice/nginx.service", "/docker", "/user.slice/docker-x.scope", "/podcasts", "/machine.slice"];
    assert!(none.iter().all(|path| words(path).is_none()));
}

#[test]
fn a_container_inside_of_a_container_is_the_inner_one() {
    let inner = ID.replace('0', "f");
    let (_, id, pod) = words(&format!("/kubepods/pod{UID}/{ID}/docker/{inner}")).unwrap();
    assert_eq!((id, pod), (Some(inner), None));
}

fn resolved(folder: &tempfile::TempDir, path: &str) -> Container {
    let mut list = [Cgroup { id: CgroupId(1), path: Name::from(path), ..Cgroup::default() }];
    Containers::default().fill(&Root::at(folder.path()), &mut list);
    list[0].container.clone().unwrap()
}

fn write(folder: &tempfile::TempDir, path: &str, text: &str) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn shown(name: &Option<Name>) -> &str {
    name.as_ref().map_or("", Name::as_str)
}

#[test]
fn docker_names_its_containers() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"Name": "/web", "Config": {"Image": "nginx:1.27", "Labels": {}}});
    write(&folder, &format!("var/lib/docker/containers/{ID}/config.v2.json"), &config.to_string());
    let container = resolved(&folder, &format!("/system.slice/docker-{ID}.scope"));
    assert_eq!((shown(&container.name), shown(&container.image)), ("web", "nginx:1.27"));
}

#[test]
fn containerd_and_cri_o_name_pod_and_container() {
    for (unit, bundle, prefix) in [
        ("cri-containerd", "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json", "cri"),
        ("crio", "run/containers/storage/overlay-containers/ID/userdata/config.json", ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let annotations = if prefix == "cri" {
            json!({"io.kubernetes.cri.container-name": "web", "io.kubernetes.cri.sandbox-name": "web-0",
                   "io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.image-name": "nginx"})
        } else {
            json!({"io.kubernetes.container.name": "web", "io.kubernetes.pod.name": "web-0",
                   "io.kubernetes.pod.namespace": "shop", "io.kubernetes.cri-o.ImageName": "nginx"})
        };
        write(&folder, &bundle.replace("ID", ID), &json!({ "annotations": annotations }).to_string());
        let pod = UID.replace('-', "_");
        let c = resolved(&folder, &format!("/kubepods.slice/kubepods-pod{pod}.slice/{unit}-{ID}.scope"));
        let all = [&c.name, &c.pod, &c.namespace, &c.image].map(shown);
        assert_eq!(all, ["web", "web-0", "shop", "nginx"], "{unit}");
    }
}

#[test]
fn podman_has_one_list_and_the_kubelet_has_folders() {
    let folder = tempfile::tempdir().unwrap();
    let list = json!([{"id": ID, "names": ["web"], "metadata": "{\"image-name\":\"nginx\",\"name\":\"web\"}"}]);
    write(&folder, "var/lib/containers/storage/overlay-containers/containers.json", &list.to_string());
    let container = resolved(&folder, &format!("/machine.slice/libpod-{ID}.scope"));
    assert_eq!((shown(&container.name), shown(&container.image)), ("web", "nginx"));

    write(&folder, &format!("var/log/pods/shop_web-0_{UID}/web/0.log"), "");
    let pod = resolved(&folder, &format!("/kubepods/pod{UID}"));
    assert_eq!((shown(&pod.pod), shown(&pod.namespace)), ("web-0", "shop"));
}

#[test]
fn foreign_files_may_be_anything_and_names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("var/lib/docker/containers/{ID}/config.v2.json");
    for text in ["", "[]", "{\"Name\": 7}", "{\"Config\": []}", &"x".repeat(2 << 20)] {
        write(&folder, &file, text);
        assert_eq!(shown(&resolved(&folder, &format!("/docker/{ID}")).name), "");
    }
    fs::remove_file(folder.path().join(&file)).unwrap();
    nix::unistd::mkfifo(&folder.path().join(&file), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(shown(&resolved(&folder, &format!("/docker/{ID}")).name), "", "a pipe that nobody writes to");
    fs::remove_file(folder.path().join(&file)).unwrap();
    write(&folder, &file, r#"{"Name": "/a\u001b[2Jb"}"#);
    let name = resolved(&folder, &format!("/docker/{ID}")).name.unwrap();
    assert!(!name.as_str().contains('\u{1b}'), "{name}");
}

#[test]
fn a_name_that_comes_later_is_found_and_the_gone_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::at(folder.path());
    let mut containers = Containers::default();
    let mut list = [Cgroup { id: CgroupId(1), path: Name::from(format!("/docker/{ID}")), ..Cgroup::default() }];
    containers.fill(&root, &mut list);
    assert_eq!(list[0].container.as_ref().unwrap().name, None);
    write(&folder, &format!("var/lib/docker/containers/{ID}/config.v2.json"), r#"{"Name": "/web"}"#);
    (0..RETRY_AFTER).for_each(|_| containers.fill(&root, &mut list));
    assert_eq!(shown(&list[0].container.as_ref().unwrap().name), "web");
    containers.fill(&root, &mut []);
    assert!(containers.known.is_empty());
}

proptest! {
    #[test]
    fn any_path_is_a_container_or_none(path in ".{0,200}") {
        let _ = path::container(&path);
    }
}
