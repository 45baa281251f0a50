//! The built-in main plugin, and a chain with Debian's plugins, in fresh namespaces.

use std::net::SocketAddr;
use std::path::Path;

use sandbox::{Namespace, probe::tcp};
use serde_json::{Value, json};

use crate::recorder::{Recorder, outcome};

/// A host and two containers; configurations and the cache in a directory of the test.
struct Scene {
    host: Namespace,
    containers: [Namespace; 2],
    files: Recorder,
}

impl Scene {
    fn new(test: &str, list: &Value) -> Self {
        let files = Recorder::new(test, &[]);
        files.config("net.conflist", &list.to_string());
        let new = || Namespace::new().unwrap();
        Self {
            host: new(),
            containers: [new(), new()],
            files,
        }
    }

    /// `cnictl VERB net NETNS ...`, inside the host.
    fn run(&self, verb: &str, container: &Namespace, options: &[&str]) -> Result<String, String> {
        let netns = container.path().display().to_string();
        let mut command = self.host.command(env!("CARGO_BIN_EXE_cnictl"));
        for name in ["CNI_ARGS", "CNI_IFNAME", "CAP_ARGS"] {
            command.env_remove(name);
        }
        command
            .env("CNI_PATH", "/usr/lib/cni")
            .env("NETCONFPATH", self.files.dir.join("conf"));
        command
            .args([verb, "net", &netns])
            .args(options)
            .arg("--cache-dir")
            .arg(self.files.dir.join("cache"));
        outcome(command.output().unwrap())
    }

    fn host_links(&self) -> String {
        self.host.sh(["ip", "-o", "link"])
    }
}

fn dual_stack(version: &str) -> Value {
    json!({"name": "net", "cniVersion": version, "plugins": [{
        "type": "veth", "capabilities": {"ips": true, "mac": true},
        "addresses": [{"address": "10.9.0.2/24", "gateway": "10.9.0.1"}, {"address": "fd09::2/64", "gateway": "fd09::1"}],
    }]})
}

fn greeted(from: &Namespace, to: &Namespace, address: &str) -> Option<String> {
    let address: SocketAddr = format!("{address}:0").parse().unwrap();
    let server = tcp::Server::start_at(to, address, "here").unwrap();
    tcp::exchange(from, server.address)
        .server()
        .map(str::to_owned)
}

#[test]
fn containers_reach_the_host_and_each_other_over_both_families() {
    let scene = Scene::new("veth-traffic", &dual_stack("1.0.0"));
    let [one, two] = &scene.containers;
    scene.run("add", one, &[]).unwrap();
    scene
        .run("add", two, &["--ip", "10.9.0.3/24", "--ip", "fd09::3/64"])
        .unwrap();
    for (from, to, address) in [
        (&scene.host, one, "10.9.0.2"),
        (one, &scene.host, "10.9.0.1"),
        (one, two, "10.9.0.3"),
        (two, one, "[fd09::2]"),
        (one, &scene.host, "[fd09::1]"),
    ] {
        assert_eq!(
            greeted(from, to, address).as_deref(),
            Some("here"),
            "{address}"
        );
    }
}

#[test]
fn the_result_names_both_links_in_every_version() {
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let scene = Scene::new(&format!("veth-result-{version}"), &dual_stack(version));
        let [container, _] = &scene.containers;
        let result = scene
            .run("add", container, &["--mac", "02:00:00:00:00:02"])
            .unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        assert_eq!(result["cniVersion"], version);
        let mac = result["interfaces"][0]["mac"].as_str().unwrap();
        assert!(scene.host_links().contains(mac), "{mac}");
        assert_eq!(result["interfaces"][1]["name"], "eth0");
        assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:02");
        assert_eq!(
            result["interfaces"][1]["sandbox"],
            container.path().display().to_string()
        );
        assert_eq!(result["ips"][1]["gateway"], "fd09::1");
        assert_eq!(
            result["ips"][1]["version"].as_str(),
            (!version.starts_with('1')).then_some("6")
        );
        assert_eq!(
            result["routes"],
            json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}])
        );
    }
}

#[test]
fn check_names_everything_that_was_changed() {
    let scene = Scene::new("veth-check", &dual_stack("1.0.0"));
    let [container, _] = &scene.containers;
    scene
        .run("add", container, &["--mac", "02:00:00:00:00:02"])
        .unwrap();
    scene.run("check", container, &[]).unwrap();
    container.sh(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:09"]);
    container.sh(["ip", "route", "del", "default"]);
    container.sh(["ip", "address", "del", "fd09::2/64", "dev", "eth0"]);
    let error = scene.run("check", container, &[]).unwrap_err();
    for drift in [
        "mac of eth0: expected 02:00:00:00:00:02, found 02:00:00:00:00:09",
        "route to 0.0.0.0/0 of eth0: expected present, found missing",
        "address fd09::2/64 of eth0: expected present, found missing",
        "code: 101",
    ] {
        assert!(error.contains(drift), "{drift}: {error}");
    }
}

#[test]
fn check_allows_for_what_later_plugins_of_the_chain_have_changed() {
    for version in ["0.4.0", "1.0.0"] {
        let mut list = dual_stack(version);
        let name = format!("veth-later-{version}");
        let state = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(&name)
            .join("tuning");
        let tuning =
            json!({"type": "tuning", "dataDir": state, "mtu": 1380, "mac": "02:00:00:00:00:07"});
        list["plugins"].as_array_mut().unwrap().push(tuning);
        let scene = Scene::new(&name, &list);
        let [container, _] = &scene.containers;
        scene.run("add", container, &[]).unwrap();
        scene.run("check", container, &[]).unwrap();
        container.sh(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:09"]);
        let error = scene.run("check", container, &[]).unwrap_err();
        assert!(error.contains("plugin veth: CHECK failed"), "{error}");
        assert!(
            error.contains("expected 02:00:00:00:00:07, found 02:00:00:00:00:09"),
            "{error}"
        );
    }
}

#[test]
fn del_removes_both_ends_and_may_be_repeated() {
    let scene = Scene::new("veth-del", &dual_stack("1.0.0"));
    let [container, _] = &scene.containers;
    let before = scene.host_links();
    scene.run("add", container, &[]).unwrap();
    assert_ne!(scene.host_links(), before);
    scene.run("del", container, &[]).unwrap();
    assert_eq!(scene.host_links(), before);
    assert!(container.try_sh(&["ip", "link", "show", "eth0"]).is_err());
    scene.run("del", container, &[]).unwrap();
}

#[test]
fn an_add_that_fails_midway_leaves_nothing() {
    let scene = Scene::new("veth-midway", &dual_stack("1.0.0"));
    let [container, _] = &scene.containers;
    // The last address that it gets: one of IPv6, which its links refuse.
    for of in ["all", "default"] {
        container.sh([
            "sysctl",
            "-qw",
            &format!("net.ipv6.conf.{of}.disable_ipv6=1"),
        ]);
    }
    let before = scene.host_links();
    let error = scene.run("add", container, &[]).unwrap_err();
    assert!(
        error.contains("plugin veth: ADD failed: add address fd09::2/64 to eth0"),
        "{error}"
    );
    assert_eq!(scene.host_links(), before);
}

#[test]
fn an_interface_that_is_there_already_is_not_touched() {
    let scene = Scene::new("veth-taken", &dual_stack("1.0.0"));
    let [container, _] = &scene.containers;
    container.sh(["ip", "link", "add", "eth0", "type", "bridge"]);
    let error = scene.run("add", container, &[]).unwrap_err();
    assert!(error.contains("eth0 is already there in /proc/"), "{error}");
    assert!(
        container
            .sh(["ip", "-d", "link", "show", "eth0"])
            .contains("bridge")
    );
}

#[test]
fn gc_removes_the_pairs_of_dead_attachments_of_this_network_only() {
    let scene = Scene::new("veth-gc", &dual_stack("1.1.0"));
    let [one, two] = &scene.containers;
    scene.run("add", one, &["--container-id", "keep"]).unwrap();
    scene
        .run(
            "add",
            two,
            &["--container-id", "dead", "--ip", "10.9.0.3/24"],
        )
        .unwrap();
    scene.host.sh([
        "ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1",
    ]);
    // What the cache has forgotten, only the plugin can find.
    std::fs::remove_file(scene.files.cache_file("net-dead-eth0")).unwrap();
    let links = || scene.host_links().lines().count();
    let before = links();
    scene.run("gc", one, &["--valid", "keep/eth0"]).unwrap();
    assert_eq!(links(), before - 1);
    assert!(two.try_sh(&["ip", "link", "show", "eth0"]).is_err());
    scene
        .run("check", one, &["--container-id", "keep"])
        .unwrap();
}

#[test]
fn a_chain_of_debian_s_bridge_host_local_and_tuning_runs_from_add_to_del() {
    let plugins = ["bridge", "host-local", "tuning"];
    let missing = plugins
        .iter()
        .find(|plugin| !Path::new("/usr/lib/cni").join(plugin).exists());
    assert_eq!(
        missing, None,
        "install the package containernetworking-plugins"
    );
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-chain/state");
    let list = json!({"name": "net", "cniVersion": "1.0.0", "plugins": [
        {"type": "bridge", "bridge": "br0", "isGateway": true, "ipam": {
            "type": "host-local", "dataDir": dir.join("ipam"), "ranges": [[{"subnet": "10.8.0.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "tuning", "dataDir": dir.join("tuning"), "mtu": 1380},
    ]});
    let scene = Scene::new("debian-chain", &list);
    let [container, _] = &scene.containers;
    let result = scene.run("add", container, &[]).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["ips"][0]["address"], "10.8.0.2/24");
    assert!(
        container
            .sh(["ip", "-o", "link", "show", "eth0"])
            .contains("mtu 1380")
    );
    assert_eq!(
        greeted(&scene.host, container, "10.8.0.2").as_deref(),
        Some("here")
    );
    scene.run("check", container, &[]).unwrap();
    container.sh(["ip", "link", "set", "eth0", "mtu", "1300"]);
    let error = scene.run("check", container, &[]).unwrap_err();
    assert!(error.contains("plugin tuning: CHECK failed"), "{error}");
    scene.run("del", container, &[]).unwrap();
    assert!(container.try_sh(&["ip", "link", "show", "eth0"]).is_err());
    assert!(!dir.join("ipam/net/10.8.0.2").exists());
}
