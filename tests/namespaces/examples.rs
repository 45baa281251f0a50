//! The examples of packaging/examples, each run by `cnictl` with its main plugin. Those that are not in
//! Debian have a stand-in: flannel is the bridge that it delegates to, Calico is `cnictl`'s own veth.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sandbox::plugin::{binary, directory};
use sandbox::probe::http;
use sandbox::topology::Net;
use sandbox::{Namespace, Snapshot, Topology, wait_until};
use serde_json::{Value, json};

/// Where the examples are.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/examples");

/// How long a probe waits, and how long probes are repeated.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));

/// A node with a client outside and one pod that is not attached.
struct Node {
    net: Net,
    pod: Namespace,
    scratch: PathBuf,
    before: Snapshot,
    list: Value,
}

impl Node {
    /// With the example of this name as written, but for where files are kept.
    fn new(name: &str) -> Node {
        let net = Topology::new().containers(0).client().build().unwrap();
        let scratch = std::env::temp_dir().join(format!("example-{name}-{}", std::process::id()));
        fs::create_dir_all(&scratch).unwrap();
        let text = fs::read_to_string(format!("{EXAMPLES}/{name}.conflist")).unwrap();
        let mut list: Value = serde_json::from_str(&text).unwrap();
        for plugin in list["plugins"].as_array_mut().unwrap() {
            if plugin["type"] == "tuning" {
                plugin["dataDir"] = json!(scratch.join("tuning"));
            }
            if plugin["ipam"]["type"] == "host-local" {
                plugin["ipam"]["dataDir"] = json!(scratch.join("ipam"));
            }
        }
        Node {
            before: Snapshot::take(&net.host).unwrap(),
            net,
            pod: Namespace::new().unwrap(),
            scratch,
            list,
        }
    }

    /// Puts another main plugin in the place of the one that is not in Debian.
    fn stand_in(&mut self, of: &str, plugin: Value) {
        let main = &mut self.list["plugins"][0];
        assert_eq!(main["type"], of);
        *main = plugin;
    }

    #[track_caller]
    fn cnictl(&self, verb: &str) -> String {
        let file = self.scratch.join("example.conflist");
        fs::write(&file, self.list.to_string()).unwrap();
        let mut command: Command = self.net.host.command(binary("cnictl"));
        command
            .arg(verb)
            .arg(file)
            .arg(self.pod.path())
            .args(["--container-id", "pod1", "--cache-dir"])
            .arg(self.scratch.join("cache"))
            .arg("--path")
            .arg(format!("{}:/usr/lib/cni", directory().display()));
        if verb == "add" {
            command.args(["--ingress", "20M", "--egress", "20M"]);
            if self.publishes() {
                command.args(["--publish", "8080:80"]);
            }
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn publishes(&self) -> bool {
        let mut plugins = self.list["plugins"].as_array().unwrap().iter();
        plugins.any(|plugin| plugin["type"] == "portmap")
    }

    /// The pod's first address, from the result of ADD.
    fn address(result: &str) -> String {
        let result: Value = serde_json::from_str(result).unwrap();
        let address = result["ips"][0]["address"].as_str().unwrap();
        address.split('/').next().unwrap().to_owned()
    }

    /// ADD, CHECK, a page for the client, DEL, and nothing is left but what belongs to the node.
    fn goes_round(&self) {
        let result = self.cnictl("add");
        self.cnictl("check");
        let _server = http::Server::start(&self.pod, 80, "pod1").unwrap();
        let to: SocketAddr = match self.publishes() {
            true => self.net.host.v4(8080),
            false => format!("{}:80", Self::address(&result)).parse().unwrap(),
        };
        let mut last = String::new();
        let came = wait_until(PATIENCE.1, || {
            let fetched = http::fetch(self.net.client(), to, PATIENCE.0);
            last = fetched.unwrap_or_else(|cause| cause.to_string());
            last.contains("pod1")
        });
        assert!(came, "{to}: {last}");
        self.cnictl("check");
        self.cnictl("del");
        let mut left = self.before.diff(&Snapshot::take(&self.net.host).unwrap());
        let is_of_the_node = |line: &String| {
            let is_shared = line.contains("CNI-HOSTPORT-") && !line.contains("CNI-DN-");
            is_shared || line.contains("cni0")
        };
        left.retain(|line| !is_of_the_node(line));
        assert_eq!(left, Vec::<String>::new());
        let backups = fs::read_dir(self.scratch.join("tuning"));
        assert_eq!(backups.map_or(0, Iterator::count), 0);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

#[test]
fn the_chain_of_bridge_works() {
    Node::new("bridge").goes_round();
}

#[test]
fn the_chain_of_ptp_works() {
    Node::new("ptp").goes_round();
}

#[test]
fn the_chain_of_macvlan_works() {
    let mut node = Node::new("macvlan");
    let client = node.net.client();
    let (master, inside) = (client.host_interface.clone(), "192.168.40.1/24");
    client.sh(["ip", "address", "add", inside, "dev", "eth0"]);
    node.list["plugins"][0]["master"] = json!(master);
    node.goes_round();
}

#[test]
fn the_chain_of_flannel_works_on_what_it_delegates_to() {
    let mut node = Node::new("flannel");
    // With the subnet that flanneld writes for the node, FLANNEL_SUBNET=10.244.1.1/24. It names no
    // gateway, but Debian's bridge finds the route in its CHECK only with one.
    let delegate = json!({
        "type": "bridge", "bridge": "cni0", "mtu": 1450, "ipMasq": false,
        "hairpinMode": node.list["plugins"][0]["delegate"]["hairpinMode"],
        "isDefaultGateway": node.list["plugins"][0]["delegate"]["isDefaultGateway"],
        "ipam": {
            "type": "host-local", "dataDir": node.scratch.join("ipam"),
            "ranges": [[{"subnet": "10.244.1.0/24"}]], "routes": [{"dst": "10.244.0.0/16", "gw": "10.244.1.1"}],
        },
    });
    node.stand_in("flannel", delegate);
    node.goes_round();
}

#[test]
fn the_chain_of_calico_works_behind_a_veth() {
    let mut node = Node::new("calico");
    let address = json!({"address": "10.25.0.2/24", "gateway": "10.25.0.1"});
    node.stand_in("calico", json!({"type": "veth", "addresses": [address]}));
    node.goes_round();
}

#[test]
fn every_example_is_run() {
    let mut names: Vec<String> = fs::read_dir(EXAMPLES)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let run = ["bridge", "calico", "flannel", "macvlan", "ptp"];
    assert_eq!(names, run.map(|name| format!("{name}.conflist")));
}
