//! ADD that is killed at any moment: DEL leaves nothing of it.

use std::time::Instant;

use common::Attachment;
use serde_json::json;

use super::pod::{Pod, error};
use super::state::assert_state;

#[test]
fn after_add_was_killed_at_any_moment_del_leaves_nothing() {
    let pod = Pod::new();
    let keys = || {
        json!({
            "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true,
            "txQLen": 77, "sysctl": {
                "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1",
                "net.ipv4.ip_local_port_range": "1024 65000",
            },
        })
    };
    let before = pod.state();
    let whole = pod.run("ADD", keys()).duration;
    pod.del(keys());
    let mut killed = 0;
    for trial in 0..200u32 {
        let call = pod.call("ADD").stdin(pod.conf(keys()).to_string());
        let start = Instant::now();
        let mut running = call.spawn(&pod.net.host).unwrap();
        // Spread over the whole run and a bit beyond.
        let moment = whole * (trial % 50) / 40;
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
        running.kill().unwrap();
        killed += u32::from(running.wait().unwrap().code.is_none());
        pod.del(keys());
        assert_eq!(pod.link(), before.link, "trial {trial}, {:?}", moment);
        assert!(pod.files().is_empty(), "trial {trial}: {:?}", pod.files());
        if trial % 20 == 0 {
            assert_state!(pod.state(), before, "trial {trial}");
        }
        for key in before.sysctls.keys().filter(|key| {
            ["somaxconn", "/eth0/arp_filter", "ip_local_port_range"]
                .iter()
                .any(|end| key.ends_with(end))
        }) {
            assert_eq!(
                pod.sysctl(key.trim_start_matches("/proc/sys/")),
                before.sysctls[key].trim_end()
            );
        }
    }
    assert!(
        killed > 20,
        "only {killed} of 200 were killed before they ended"
    );
    assert_state!(pod.state(), before);
}

/// Moments are not enough: between the last change and the next thing there is hardly any time.
#[test]
fn after_add_was_killed_before_any_change_to_kernel_or_disk_del_leaves_nothing() {
    let pod = Pod::new();
    let keys = || json!({"mtu": 1400, "promisc": true, "sysctl": {"net.core.somaxconn": "500"}});
    let before = pod.state();
    for call in ["sendto", "write", "mkdirat", "renameat2", "unlink"] {
        let mut killed = 0;
        for nth in 1..50 {
            // So that it has to be made again.
            let _ = std::fs::remove_dir(pod.data_dir());
            let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
            let strace = ["strace", "-f", "-o", "/dev/null", "-e", &inject];
            let add = pod.call("ADD").stdin(pod.conf(keys()).to_string());
            let ended = add.under(&strace).run(&pod.net.host).unwrap();
            pod.del(keys());
            assert_state!(pod.state(), before, "{call} {nth}");
            assert!(pod.files().is_empty(), "{call} {nth}: {:?}", pod.files());
            if ended.code == Some(0) {
                break;
            }
            killed += 1;
        }
        assert!(killed > 0, "{call}");
    }
}

#[test]
fn after_del_was_killed_at_any_moment_another_del_leaves_nothing() {
    let pod = Pod::new();
    let keys = || json!({"mtu": 1400, "promisc": true, "sysctl": {"net.core.somaxconn": "500"}});
    let before = pod.state();
    pod.add(keys());
    let whole = pod.run("DEL", keys()).duration;
    for trial in 0..50 {
        pod.add(keys());
        let call = pod.call("DEL").stdin(pod.conf(keys()).to_string());
        let start = Instant::now();
        let mut running = call.spawn(&pod.net.host).unwrap();
        while start.elapsed() < whole * trial / 40 {
            std::hint::spin_loop();
        }
        running.kill().unwrap();
        running.wait().unwrap();
        pod.del(keys());
        assert_eq!(pod.link(), before.link, "trial {trial}");
        assert!(pod.files().is_empty(), "trial {trial}: {:?}", pod.files());
    }
    assert_state!(pod.state(), before);
}

#[test]
fn a_temporary_file_that_a_killed_add_left_goes_with_del_and_does_not_hinder_add() {
    let pod = Pod::new();
    std::fs::create_dir_all(pod.data_dir()).unwrap();
    let owner = Attachment {
        network: "net1".into(),
        container: "cid-0001".into(),
        ifname: "eth0".into(),
    };
    let own = owner.exact_name("tuning-", 39);
    let temporary = pod.data_dir().join(format!(".{own}.json.tmp"));
    std::fs::write(&temporary, "{\"mtu\": 15").unwrap();
    pod.del(json!({}));
    assert!(pod.files().is_empty());
    std::fs::write(&temporary, "{\"mtu\": 15").unwrap();
    pod.add(json!({"mtu": 1400}));
    assert_eq!(pod.files(), ["cid-0001_eth0.json"]);
    error(&pod.run("ADD", json!({"mtu": 1_000_000})));
    assert_eq!(pod.files(), ["cid-0001_eth0.json"]);
}
