//! The Kubernetes manifests, without a cluster: what they say about rights, and that the way back is
//! the way there with another verb.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

fn deploy(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path)
}

fn read(path: &str) -> Value {
    let text = fs::read_to_string(deploy(path)).unwrap();
    serde_norway::from_str(&text).unwrap()
}

fn pod() -> Value {
    read("install/daemonset.yaml")["spec"]["template"]["spec"].clone()
}

#[test]
fn nodes_change_one_after_the_other() {
    let spec = &read("install/daemonset.yaml")["spec"];
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
        json!(["install", "/host"])
    );
    let stays = &pod["containers"][0];
    assert_eq!(stays["volumeMounts"], Value::Null);
    assert_eq!(stays["args"], json!(["wait"]));
    assert_eq!(stays["securityContext"]["runAsNonRoot"], true);
}

#[test]
fn restore_is_install_with_another_verb() {
    let overlay = read("restore/kustomization.yaml");
    assert_eq!(overlay["resources"], json!(["../install"]));
    let patches = overlay["patches"].as_array().unwrap();
    assert_eq!(patches.len(), 1);
    let daemon_set = read("install/daemonset.yaml");
    let target = json!({ "kind": "DaemonSet", "name": daemon_set["metadata"]["name"] });
    assert_eq!(patches[0]["target"], target);
    let operations: Value = serde_norway::from_str(patches[0]["patch"].as_str().unwrap()).unwrap();
    assert_eq!(operations.as_array().unwrap().len(), 1);
    assert_eq!(operations[0]["op"], "replace");
    assert_eq!(operations[0]["value"], "restore");
    // kustomize fails where a replaced path does not exist.
    let path = operations[0]["path"].as_str().unwrap();
    assert_eq!(daemon_set.pointer(path).unwrap(), "install");
}

#[test]
fn the_kustomization_names_files_that_exist_and_the_image_they_use() {
    let base = read("install/kustomization.yaml");
    let resources = base["resources"].as_array().unwrap();
    let kinds: Vec<_> = resources
        .iter()
        .map(|file| read(&format!("install/{}", file.as_str().unwrap()))["kind"].clone())
        .collect();
    assert_eq!(kinds, ["Namespace", "DaemonSet"]);
    let namespace = read("install/namespace.yaml");
    assert_eq!(base["namespace"], namespace["metadata"]["name"]);
    let pod = pod();
    for image in [
        &pod["initContainers"][0]["image"],
        &pod["containers"][0]["image"],
    ] {
        assert_eq!(base["images"][0]["name"], *image);
    }
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(base["images"][0]["newTag"], tag);
}
