//! The Kubernetes manifests, without a cluster: what they say about rights, and that the way back is
//! the way there with another verb.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod kubernetes;
mod kustomize;
mod units;

use std::path::PathBuf;

use kubernetes::{Container, DaemonSet, Object, is_label, is_quantity};
use kustomize::build;
use serde_json::{Value, json};

fn packaging(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path)
}

fn read(path: &str) -> Value {
    kustomize::read(&packaging(path))
}

/// The objects that a directory's kustomization makes, as the API knows them.
fn objects(dir: &str) -> (kubernetes::Namespace, DaemonSet) {
    let built = match dir {
        "follow" => followed(),
        dir => build(&packaging(&format!("kubernetes/{dir}"))),
    };
    let typed = |object: Value| {
        let told = format!("{object:#}");
        serde_json::from_value(object).unwrap_or_else(|e| panic!("{dir}: {e}: {told}"))
    };
    let mut typed: Vec<Object> = built.into_iter().map(typed).collect();
    match (typed.pop(), typed.pop(), typed.pop()) {
        (Some(Object::DaemonSet(set)), Some(Object::Namespace(space)), None) => (space, *set),
        _ => panic!("{dir} does not make a Namespace and then a DaemonSet"),
    }
}

fn pod() -> Value {
    read("kubernetes/install/daemonset.yaml")["spec"]["template"]["spec"].clone()
}

/// What is installed, with the component `follow`.
fn followed() -> Vec<Value> {
    let mut objects = build(&packaging("kubernetes/install"));
    kustomize::change(&packaging("kubernetes/follow"), &mut objects);
    objects
}

#[test]
fn nodes_change_one_after_the_other() {
    let spec = &read("kubernetes/install/daemonset.yaml")["spec"];
    let expected = json!({
        "type": "RollingUpdate",
        "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 },
    });
    assert_eq!(spec["updateStrategy"], expected);
    assert_eq!(
        spec["selector"]["matchLabels"],
        spec["template"]["metadata"]["labels"]
    );
}

#[test]
fn every_container_drops_every_capability_and_cannot_get_new_ones() {
    let pod = pod();
    for containers in ["initContainers", "containers"] {
        let containers = pod[containers].as_array().unwrap();
        assert_eq!(containers.len(), 1);
        for container in containers {
            let context = &container["securityContext"];
            assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }));
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["privileged"], Value::Null);
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
    }
    assert_eq!(pod["automountServiceAccountToken"], false);
    for shared in ["hostPID", "hostIPC"] {
        assert_eq!(pod[shared], Value::Null, "{shared}");
    }
}

#[test]
fn only_the_container_that_ends_sees_the_node_and_only_one_directory_of_it() {
    let pod = pod();
    let volume = json!([{
        "name": "plugins",
        "hostPath": { "path": "/opt/cni/bin", "type": "Directory" },
    }]);
    assert_eq!(pod["volumes"], volume);
    let mounts = json!([{ "name": "plugins", "mountPath": "/host" }]);
    assert_eq!(pod["initContainers"][0]["volumeMounts"], mounts);
    assert_eq!(
        pod["initContainers"][0]["args"],
        json!(["install", "/host", "--backup"])
    );
    let stays = &pod["containers"][0];
    assert_eq!(stays["volumeMounts"], Value::Null);
    assert_eq!(stays["args"], json!(["wait"]));
    assert_eq!(stays["securityContext"]["runAsNonRoot"], true);
}

/// The rights are those with which `operators::follow::rights` of the namespace tests runs it.
#[test]
fn who_follows_has_the_rights_of_the_unit_and_not_of_other_processes() {
    let spec = |objects: Vec<Value>| objects[1]["spec"]["template"]["spec"].clone();
    let (before, after) = (
        spec(build(&packaging("kubernetes/install"))),
        spec(followed()),
    );
    assert_eq!(before["initContainers"], after["initContainers"]);
    let follows = &after["containers"][0];
    assert_eq!(follows["args"][0], "follow");
    let context = &follows["securityContext"];
    let rights = json!({"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"]});
    assert_eq!(context["capabilities"], rights);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["privileged"], Value::Null);
    let mounts = follows["volumeMounts"].as_array().unwrap();
    let written = mounts.iter().filter(|mount| mount["readOnly"] != true);
    let written: Vec<&Value> = written.map(|mount| &mount["mountPath"]).collect();
    assert_eq!(written, ["/run/xtables.lock", "/run/cni/cnictl"]);
    for shared in ["hostPID", "hostIPC"] {
        assert_eq!(after[shared], Value::Null, "{shared}");
    }
}

#[test]
fn what_kubectl_applies_is_what_the_api_knows() {
    for dir in ["install", "restore", "follow"] {
        let (namespace, set) = objects(dir);
        let name = namespace.metadata.name.unwrap();
        assert!(is_label(&name), "{name}");
        assert_eq!(set.metadata.namespace.as_deref(), Some(name.as_str()));
        let spec = set.spec;
        assert_eq!(spec.selector.match_labels, spec.template.metadata.labels);
        let pod = spec.template.spec;
        let volumes: Vec<&str> = pod.volumes.iter().map(|v| v.name.as_str()).collect();
        let containers = || pod.init_containers.iter().chain(&pod.containers);
        for Container {
            name,
            image,
            resources,
            volume_mounts,
            ..
        } in containers()
        {
            assert!(is_label(name), "{name}");
            // Complete: a name without a registry is looked for in a public one.
            assert!(image.contains('/') && image.contains(':'), "{image}");
            let quantities = resources.requests.values().chain(resources.limits.values());
            for quantity in quantities {
                assert!(is_quantity(quantity), "{quantity}");
            }
            for mount in volume_mounts {
                assert!(volumes.contains(&mount.name.as_str()), "{}", mount.name);
                assert!(mount.mount_path.starts_with('/'));
            }
        }
        let names: std::collections::BTreeSet<&str> =
            containers().map(|c| c.name.as_str()).collect();
        assert_eq!(names.len(), containers().count());
    }
}

#[test]
fn a_field_that_the_api_does_not_have_is_found() {
    let changed = |place: &str, key: &str, value: Value| {
        let mut set = build(&packaging("kubernetes/install")).pop().unwrap();
        set.pointer_mut(place).unwrap()[key] = value;
        serde_json::from_value::<Object>(set).is_ok()
    };
    assert!(changed("/spec", "minReadySeconds", json!(10)));
    assert!(!changed("/spec", "minReadySeconds", json!("10")));
    assert!(!changed("/spec/template/spec", "hostNetworks", json!(true)));
}

#[test]
fn restore_is_install_with_another_command() {
    let (install, restore) = (
        build(&packaging("kubernetes/install")),
        build(&packaging("kubernetes/restore")),
    );
    let mut expected = install;
    let args = "/spec/template/spec/initContainers/0/args";
    let args = expected.last_mut().unwrap().pointer_mut(args).unwrap();
    assert_eq!(args[0], "install");
    *args = json!(["uninstall", "/host"]);
    assert_eq!(restore, expected);
}

#[test]
fn the_image_that_is_installed_is_this_version_s() {
    let tag = format!(":v{}", env!("CARGO_PKG_VERSION"));
    let (_, set) = objects("install");
    let pod = set.spec.template.spec;
    for container in pod.init_containers.iter().chain(&pod.containers) {
        assert!(container.image.ends_with(&tag), "{}", container.image);
    }
}
