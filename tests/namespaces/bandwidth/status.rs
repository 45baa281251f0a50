//! STATUS tries what ADD needs, elsewhere.

use serde_json::json;

use super::pod::{Pod, error, succeeds};
use sandbox::plugin::Call;

fn status(call: Call, pod: &Pod) -> sandbox::plugin::Answer {
    let conf = json!({"cniVersion": "1.1.0", "name": "net1", "type": "bandwidth"});
    pod.finish(call, &conf)
}

#[test]
fn status_succeeds_and_leaves_the_node_alone() {
    let pod = Pod::new();
    let before = pod.state();
    succeeds(&status(pod.call("STATUS"), &pod));
    let bare = Call::bare("bandwidth").env("CNI_COMMAND", "STATUS");
    succeeds(&status(bare, &pod));
    assert_eq!(pod.state(), before);
}

#[test]
fn status_says_when_it_may_not_even_try() {
    let pod = Pod::new();
    let plugin = sandbox::plugin::binary("bandwidth");
    // Without CAP_SYS_ADMIN and CAP_NET_ADMIN.
    let script = format!(
        "exec setpriv --bounding-set -all --inh-caps -all --reuid 65534 --clear-groups {}",
        plugin.display()
    );
    let conf = json!({"cniVersion": "1.1.0", "name": "net1", "type": "bandwidth"});
    let mut command = pod.host().command("sh");
    command.args(["-c", &script]).env("CNI_COMMAND", "STATUS");
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut { stdin }, conf.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer = sandbox::plugin::Answer {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::new(),
        duration: std::time::Duration::ZERO,
    };
    let (code, text) = error(&answer);
    assert_eq!(code, 50, "{text}");
}

#[test]
fn status_fails_where_every_add_of_the_configuration_would() {
    let pod = Pod::new();
    for keys in [
        json!({"ingressRate": "x"}),
        json!({"egressRate": [8], "egressBurst": 8}),
        json!({"ingressRate": 8000, "ingressBurst": 7}),
        json!({"egressBurst": 8000}),
        json!({"shapedSubnets": ["10.0.0.0/33"]}),
        json!({"unshapedSubnets": "10.0.0.0/8"}),
        json!({"unshapedSubnets": ["10.0.0.0/8"], "shapedSubnets": ["11.0.0.0/8"]}),
        json!({"burstPolicy": "unlimited"}),
        json!({"latencyMs": 0}),
        json!({"filterPriority": "1"}),
        json!({"runtimeConfig": {"bandwidth": 1}}),
    ] {
        let answer_to = |verb: &str| {
            let mut conf = pod.conf(keys.clone());
            conf["cniVersion"] = json!("1.1.0");
            error(&pod.finish(pod.call(verb), &conf))
        };
        assert_eq!(answer_to("STATUS"), answer_to("ADD"), "{keys}");
    }
}
