//! A whole configuration list, as kubelet's path runs it: Debian's bridge and host-local, then our tuning twice.

use serde_json::{Value, json};

use sandbox::plugin::{binary, directory};

use super::pod::Pod;

/// Runs `cnictl` on the pod's host for the container's interface net1.
fn cnictl(pod: &Pod, verb: &str, list: &Value) -> String {
    let file = pod.scratch.path().join("podnet.conflist");
    std::fs::write(&file, list.to_string()).unwrap();
    let mut command = pod.net.host.command(binary("cnictl"));
    command
        .arg(verb)
        .arg(file)
        .arg(pod.container().path())
        .args(["--container-id", "pod1", "--ifname", "net1", "--cache-dir"])
        .arg(pod.scratch.path().join("cache"))
        .arg("--path")
        .arg(format!("{}:/usr/lib/cni", directory().display()));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{verb}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn a_real_conflist_with_tuning_twice_is_added_checked_and_deleted() {
    let pod = Pod::new();
    let before = pod.state();
    let list = json!({
        "cniVersion": "1.0.0", "name": "podnet", "plugins": [
            {"type": "bridge", "bridge": "cni0", "ipam": {
                "type": "host-local", "dataDir": pod.scratch.path().join("ipam"),
                "ranges": [[{"subnet": "10.30.0.0/24"}]],
            }},
            {"type": "tuning", "dataDir": pod.data_dir(), "mtu": 1400,
             "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"}},
            {"type": "tuning", "dataDir": pod.data_dir(), "txQLen": 77, "mac": "02:aa:00:00:00:05"},
        ],
    });
    let result: Value = serde_json::from_str(&cnictl(&pod, "add", &list)).unwrap();
    let interfaces = result["interfaces"].as_array().unwrap();
    let net1 = interfaces
        .iter()
        .find(|interface| interface["name"] == "net1")
        .unwrap();
    assert_eq!(net1["mac"], "02:aa:00:00:00:05");
    let link = pod.container().sh(["ip", "link", "show", "net1"]);
    for told in ["mtu 1400", "qlen 77", "02:aa:00:00:00:05"] {
        assert!(link.contains(told), "{link}");
    }
    assert_eq!(pod.sysctl("net/ipv4/conf/net1/arp_filter"), "1");
    assert_eq!(pod.sysctl("net/core/somaxconn"), "500");
    cnictl(&pod, "check", &list);
    cnictl(&pod, "del", &list);
    assert!(pod.files().is_empty());
    assert!(
        before.diff(&pod.state()).is_empty(),
        "{:?}",
        before.diff(&pod.state())
    );
    cnictl(&pod, "del", &list);
}
