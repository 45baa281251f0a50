//! What recorded runtimes sent through libcni, we send too: the same variables and the same
//! documents, the order of keys aside (libcni sorts them, except inside some `prevResult`s).

use std::fs;
use std::path::Path;

use crate::recorder::{Call, Recorder, outcome};
use serde_json::Value;

const PLUGINS: [&str; 6] = [
    "bridge",
    "host-local",
    "portmap",
    "bandwidth",
    "firewall",
    "tuning",
];

const CNITOOL: &str = r#"{
  "cniVersion": "@VERSION@",
  "name": "e2e-t1",
  "plugins": [
    { "type": "bridge", "bridge": "e2ebr0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": { "type": "host-local", "dataDir": "/var/lib/e2e/state-t1/ipam",
        "ranges": [ [ { "subnet": "10.98.0.0/24" } ], [ { "subnet": "fd98::/64" } ] ],
        "routes": [ { "dst": "0.0.0.0/0" }, { "dst": "::/0" } ] } },
    { "type": "portmap", "snat": true, "capabilities": { "portMappings": true } },
    { "type": "bandwidth", "capabilities": { "bandwidth": true } },
    { "type": "tuning", "dataDir": "/var/lib/e2e/state-t1/tuning", "mtu": 1400, "promisc": true,
      "sysctl": { "net.ipv4.conf.IFNAME.arp_filter": "1", "net.core.somaxconn": "500" } }
  ]
}"#;

const CNITOOL_CAPABILITIES: &str = r#"{
  "portMappings": [ { "hostPort": 8080, "containerPort": 80, "protocol": "tcp" },
                    { "hostPort": 8053, "containerPort": 53, "protocol": "udp" },
                    { "hostPort": 5201, "containerPort": 5201, "protocol": "tcp" } ],
  "bandwidth": { "ingressRate": 20000000, "ingressBurst": 2000000, "egressRate": 10000000, "egressBurst": 1000000 }
}"#;

const CRIO: &str = r#"{
  "name": "e2e-crio",
  "cniVersions": [ "1.0.0", "1.1.0" ],
  "plugins": [
    { "type": "bridge", "bridge": "e2ebr4", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": { "type": "host-local", "dataDir": "/var/lib/e2e/state-crio/ipam",
        "ranges": [ [ { "subnet": "10.95.0.0/24" } ], [ { "subnet": "fd95::/64" } ] ],
        "routes": [ { "dst": "0.0.0.0/0" }, { "dst": "::/0" } ] } },
    { "type": "portmap", "snat": true, "capabilities": { "portMappings": true } },
    { "type": "bandwidth", "capabilities": { "bandwidth": true } },
    { "type": "firewall" },
    { "type": "tuning", "dataDir": "/var/lib/e2e/state-crio/tuning", "mtu": 1400, "promisc": true,
      "sysctl": { "net.ipv4.conf.IFNAME.arp_filter": "1", "net.core.somaxconn": "500" } }
  ]
}"#;

/// The recorded calls, and a recorder that gives the recorded answers.
fn load(file: &str, test: &str) -> (Recorder, Vec<Call>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/captures")
        .join(file);
    let capture: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut recorder = Recorder::new(test, &PLUGINS);
    let mut calls = Vec::new();
    for call in capture["calls"].as_array().unwrap() {
        let text = |key: &str| call[key].as_str().unwrap().to_owned();
        recorder.answer(
            &text("plugin"),
            call["rc"].as_u64().unwrap(),
            &text("stdout_raw"),
        );
        let pair = |(key, value): (&String, &Value)| match (key.as_str(), value.as_str().unwrap()) {
            // The one variable that depends on where plugins are installed.
            ("CNI_PATH", path) if path != "dummy" => {
                format!("CNI_PATH={}", recorder.dir.join("bin").display())
            }
            (key, value) => format!("{key}={value}"),
        };
        let mut env: Vec<String> = call["env"].as_object().unwrap().iter().map(pair).collect();
        env.sort();
        calls.push(Call {
            plugin: text("plugin"),
            env,
            stdin: text("stdin_raw"),
        });
    }
    (recorder, calls)
}

fn compare(recorder: &Recorder, expected: &[Call]) {
    let calls = recorder.calls();
    for (n, (call, expected)) in calls.iter().zip(expected).enumerate() {
        let sorted = |call: &Call| (call.plugin.clone(), call.env.clone(), sorted(&call.stdin));
        assert_eq!(sorted(call), sorted(expected), "call {n}");
    }
    assert_eq!(calls.len(), expected.len());
}

fn sorted(document: &str) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    document.sort_all_objects();
    document.to_string()
}

fn replay_cnitool(version: &str, test: &str) {
    let (recorder, expected) = load(&format!("cnitool-{version}.json"), test);
    recorder.config("10-e2e.conflist", &CNITOOL.replace("@VERSION@", version));
    for verb in ["status", "add", "check", "check", "gc", "del", "del", "del"] {
        let mut command = recorder.cnictl(&[verb, "e2e-t1", "/run/netns/e2ect1"]);
        command
            .env("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=t1")
            .env("CAP_ARGS", CNITOOL_CAPABILITIES);
        outcome(command.output().unwrap()).unwrap();
    }
    compare(&recorder, &expected);
}

#[test]
fn plugins_get_what_cnitool_sends_them_in_0_4_0() {
    replay_cnitool("0.4.0", "cnitool-0.4.0");
}

#[test]
fn plugins_get_what_cnitool_sends_them_in_1_0_0() {
    replay_cnitool("1.0.0", "cnitool-1.0.0");
}

#[test]
fn plugins_get_what_cnitool_sends_them_in_1_1_0() {
    replay_cnitool("1.1.0", "cnitool-1.1.0");
}

#[test]
fn plugins_get_what_cri_o_sends_them_at_restart() {
    let (recorder, expected) = load("crio-restart-gc.json", "crio-restart-gc");
    recorder.config("10-crio.conflist", CRIO);
    let id = "bf718f9f6bc20a367ac91a604a532419386ec273f469d8540c6068df7a803e68";
    let netns = "/var/lib/e2e/crio/ns/netns/4c51416e-3722-4e2f-b09c-3147fc1135e7";
    let infra = format!("K8S_POD_INFRA_CONTAINER_ID={id}");
    let mut add = vec!["add", "e2e-crio", netns, "--container-id", id];
    add.extend([
        "--ingress",
        "20M:34359738359",
        "--egress",
        "10M:34359738359",
        "--arg",
        "IgnoreUnknown=1",
    ]);
    add.extend([
        "--arg",
        "K8S_POD_NAMESPACE=default",
        "--arg",
        "K8S_POD_NAME=basic",
        "--arg",
        &infra,
    ]);
    add.extend(["--arg", "K8S_POD_UID=uid-basic"]);
    recorder.run(&add).unwrap();
    // CHECK gets CNI_ARGS and capabilities from the cache, as CRI-O does it.
    let check = ["check", "e2e-crio", netns, "--container-id", id];
    recorder.run(&check).unwrap();
    recorder.run(&["version", "e2e-crio"]).unwrap();
    recorder.run(&["status", "e2e-crio"]).unwrap();
    recorder
        .run(&["gc", "e2e-crio", "--valid", &format!("{id}/eth0")])
        .unwrap();
    recorder.run(&check).unwrap();
    compare(&recorder, &expected);
}
