//! Pods of containerd, driven over CRI.

use std::io;
use std::thread;

use runtimes::chain::{Ending, Network, REFUSAL, UNKNOWN_SYSCTL};
use runtimes::cri::{Pod, Protocol};
use runtimes::{Containerd, Machine, leftovers};
use sandbox::{Snapshot, wait_until};

use crate::pod::{PATIENCE, assert_no_page, assert_page, inside, token_buckets};

const NETWORK: Network = Network {
    name: "pods",
    version: "1.0.0",
    bridge: "br-pods",
    backend: None,
};

/// 20 and 10 Mbit/s, as `tc` has them: in bytes.
const RATES: [u64; 2] = [1_250_000, 2_500_000];

/// A pod that gives each of our plugins something to do.
fn busy_pod() -> Pod {
    Pod::new()
        .host_port(Protocol::Tcp, "", 8080)
        .host_port(Protocol::Udp, "10.99.0.1", 8053)
        .bandwidth("ingress", "20M")
        .bandwidth("egress", "10M")
}

#[track_caller]
fn left(machine: &Machine, before: &Snapshot) -> Vec<String> {
    leftovers::find(machine, &NETWORK, before).expect("a look at what is left")
}

/// Nothing listens on the host port, no plugin has left anything.
#[track_caller]
fn assert_nothing_left(machine: &Machine, before: &Snapshot) {
    assert_eq!(left(machine, before), Vec::<String>::new());
    assert_no_page(machine.net.client(), machine.net.host.v4(8080));
}

/// containerd asks for DEL once when it stops a pod, and again, without a namespace, at every further
/// stop and when it removes the pod.
#[track_caller]
fn stop_and_remove(containerd: &Containerd<'_>, pod: &str) {
    for _ in 0..2 {
        containerd.client.stop(pod).expect("stop the pod");
    }
    for _ in 0..2 {
        containerd.client.remove(pod).expect("remove the pod");
    }
}

#[test]
fn a_pod_has_its_ports_limits_and_sysctls_and_leaves_nothing() -> io::Result<()> {
    let machine = Machine::start()?;
    let containerd = Containerd::start(&machine, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    let pod = containerd.client.run("web", &busy_pod())?;
    for address in host.both(8080) {
        assert_page(client, address);
    }
    assert_page(host, ([127, 0, 0, 1], 8080).into());
    assert_eq!(token_buckets(&Snapshot::take(host)?), RATES);
    let netns = containerd.client.status(&pod)?.netns;
    let look = |line: &[&str]| inside(&machine, &netns, line);
    let hairpin = format!("http://{}/", host.v4(8080));
    assert_eq!(
        look(&["busybox", "wget", "-q", "-O", "-", &hairpin]),
        "Hello from a container"
    );
    assert_eq!(look(&["cat", "/proc/sys/net/core/somaxconn"]), "500");
    assert!(look(&["ip", "link", "show", "eth0"]).contains(" mtu 1400 "));

    containerd.client.stop(&pod)?;
    assert_nothing_left(&machine, &before);
    stop_and_remove(&containerd, &pod);
    assert_nothing_left(&machine, &before);
    Ok(())
}

#[test]
fn a_pod_that_asks_for_nothing_comes_and_goes() -> io::Result<()> {
    let machine = Machine::start()?;
    let containerd = Containerd::start(&machine, &NETWORK)?;
    let before = Snapshot::take(&machine.net.host)?;
    let pod = containerd.client.run("quiet", &Pod::new())?;
    stop_and_remove(&containerd, &pod);
    assert_nothing_left(&machine, &before);
    Ok(())
}

#[test]
fn an_add_that_fails_in_or_behind_our_plugins_is_undone() -> io::Result<()> {
    let machine = Machine::start()?;
    let containerd = Containerd::start(&machine, &NETWORK)?;
    let before = Snapshot::take(&machine.net.host)?;
    for (ending, cause) in [
        (Ending::Refusal, REFUSAL),
        (Ending::UnknownSysctl, UNKNOWN_SYSCTL),
    ] {
        let failure = containerd.client.run_to(ending, "failed", &busy_pod());
        let message = failure.expect_err("an ADD that fails").to_string();
        let (dots, slashes) = (
            message.contains(cause),
            message.contains(&cause.replace('.', "/")),
        );
        assert!(dots || slashes, "{message}");
        assert_nothing_left(&machine, &before);
    }
    let pod = containerd.client.run("next", &busy_pod())?;
    assert_page(machine.net.client(), machine.net.host.v4(8080));
    stop_and_remove(&containerd, &pod);
    assert_nothing_left(&machine, &before);
    Ok(())
}

#[test]
fn a_pod_whose_namespace_is_gone_leaves_nothing() -> io::Result<()> {
    let machine = Machine::start()?;
    let containerd = Containerd::start(&machine, &NETWORK)?;
    let before = Snapshot::take(&machine.net.host)?;
    let pod = containerd.client.run("orphan", &busy_pod())?;
    assert_page(machine.net.client(), machine.net.host.v4(8080));
    let netns = containerd.client.status(&pod)?.netns;
    machine.sh(&["umount", "--lazy", &netns])?;
    machine.sh(&["rm", &netns])?;
    stop_and_remove(&containerd, &pod);
    let mut left = left(&machine, &before);
    left.retain(|line| !leftovers::is_masquerading_of_bridge(line));
    assert_eq!(left, Vec::<String>::new());
    assert_no_page(machine.net.client(), machine.net.host.v4(8080));
    Ok(())
}

#[test]
fn a_pod_whose_process_was_killed_leaves_nothing() -> io::Result<()> {
    let machine = Machine::start()?;
    let containerd = Containerd::start(&machine, &NETWORK)?;
    let before = Snapshot::take(&machine.net.host)?;
    let pod = containerd.client.run("killed", &busy_pod())?;
    let pid = containerd.client.status(&pod)?.pid;
    machine.sh(&["kill", "-KILL", &pid.to_string()])?;
    let noticed = || {
        containerd
            .client
            .status(&pod)
            .is_ok_and(|status| !status.ready)
    };
    assert!(wait_until(PATIENCE, noticed));
    stop_and_remove(&containerd, &pod);
    assert_nothing_left(&machine, &before);
    Ok(())
}

#[test]
fn a_daemon_that_crashed_ends_the_pods_it_finds() -> io::Result<()> {
    let machine = Machine::start()?;
    let mut containerd = Containerd::start(&machine, &NETWORK)?;
    let before = Snapshot::take(&machine.net.host)?;
    let pod = containerd.client.run("survivor", &busy_pod())?;
    containerd.crash_and_restart()?;
    assert_page(machine.net.client(), machine.net.host.v4(8080));
    stop_and_remove(&containerd, &pod);
    assert_nothing_left(&machine, &before);
    Ok(())
}

#[test]
fn eight_first_pods_at_once_do_not_disturb_each_other() -> io::Result<()> {
    let machine = Machine::start()?;
    let containerd = Containerd::start(&machine, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    let come_and_go = |port: u16| {
        let pod = Pod::new()
            .host_port(Protocol::Tcp, "", port)
            .bandwidth("ingress", "20M")
            .bandwidth("egress", "10M");
        let id = containerd
            .client
            .run(&format!("web{port}"), &pod)
            .expect("run the pod");
        assert_page(client, host.v4(port));
        stop_and_remove(&containerd, &id);
    };
    thread::scope(|scope| {
        for port in 8080..8088 {
            scope.spawn(move || come_and_go(port));
        }
    });
    assert_nothing_left(&machine, &before);
    Ok(())
}

#[test]
fn with_the_nftables_backend_ports_come_and_go_too() -> io::Result<()> {
    let network = Network {
        backend: Some("nftables"),
        ..NETWORK
    };
    let machine = Machine::start()?;
    let containerd = Containerd::start(&machine, &network)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    // The first one makes what belongs to the node: the table and its chains.
    stop_and_remove(&containerd, &containerd.client.run("first", &busy_pod())?);
    let before = Snapshot::take(host)?;
    let pod = containerd.client.run("web", &busy_pod())?;
    for address in host.both(8080) {
        assert_page(client, address);
    }
    assert_page(host, ([127, 0, 0, 1], 8080).into());
    let rules = Snapshot::take(host)?.iptables;
    let of_portmap = |rule: &String| rule.contains("CNI-HOSTPORT-");
    assert!(!rules.iter().any(of_portmap), "{rules:?}");
    stop_and_remove(&containerd, &pod);
    assert_nothing_left(&machine, &before);
    Ok(())
}
