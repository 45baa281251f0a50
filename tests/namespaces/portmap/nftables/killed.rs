//! SIGKILL at every message: nothing is half done, and DEL leaves nothing.

use std::io::Write;
use std::process::Stdio;

use sandbox::Namespace;
use sandbox::plugin::binary;

use super::{Pod, contents, host_with, nft, ruleset};

/// Runs a verb that is killed when it begins its `nth` call of `sendto` or `recvfrom`; says whether
/// it was.
fn killed_at(pod: &Pod, verb: &str, host: &Namespace, call: &str, nth: usize) -> bool {
    let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
    let mut child = host
        .command("strace")
        .args([
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
            "-e",
            &inject,
        ])
        .arg(binary("portmap"))
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", &pod.id)
        .env("CNI_IFNAME", &pod.ifname)
        .env("CNI_NETNS", &pod.netns)
        .env("CNI_PATH", "/x")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("install strace");
    let request = pod.request().to_string();
    let mut stdin = child.stdin.take().unwrap();
    // It may be dead before it has read everything.
    let _ = stdin.write_all(request.as_bytes());
    drop(stdin);
    !child.wait().unwrap().success()
}

#[test]
fn an_add_that_is_killed_did_everything_or_nothing() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    let whole = contents(&net.host);
    pod.does("DEL", &net.host);
    let shared = contents(&net.host);
    let mut kills = 0;
    for call in ["sendto", "recvfrom"] {
        for nth in 1.. {
            // Every second time on a node that never saw the plugin.
            let before = if nth % 2 == 0 { vec![] } else { shared.clone() };
            if before.is_empty() {
                nft(&net.host, "flush ruleset");
            }
            let killed = killed_at(&pod, "ADD", &net.host, call, nth);
            let after = contents(&net.host);
            assert!(after == before || after == whole, "{call} {nth}: {after:?}");
            pod.does("DEL", &net.host);
            assert!(!ruleset(&net.host).contains("elements"), "{call} {nth}");
            if !killed {
                break;
            }
            kills += 1;
            pod.does("ADD", &net.host);
            pod.does("DEL", &net.host);
        }
    }
    assert!(kills > 10, "{kills}");
}

#[test]
fn a_del_that_is_killed_can_be_repeated() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    let mut kills = 0;
    for nth in 1.. {
        pod.does("ADD", &net.host);
        let whole = contents(&net.host);
        let killed = killed_at(&pod, "DEL", &net.host, "sendto", nth);
        let after = contents(&net.host);
        let nothing = !ruleset(&net.host).contains("elements");
        assert!(nothing || after == whole, "{nth}: {after:?}");
        pod.does("DEL", &net.host);
        assert!(!ruleset(&net.host).contains("elements"), "{nth}");
        if !killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 2, "{kills}");
}
