//! Pods of kubelet, from manifests, over dockershim and over containerd.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use runtimes::chain::Network;
use runtimes::kubelet::{Attachment, Kubelet, Runtime};
use runtimes::manifest::Manifest;
use runtimes::trouble::{self, Trouble};
use runtimes::{Machine, image, leftovers};
use sandbox::api::Api;
use sandbox::probe::{sctp, throughput, udp};
use sandbox::{Namespace, Snapshot, wait_until};

use crate::pod::{assert_page_within, fetch};

const NETWORK: Network = Network {
    name: "pods",
    version: "0.4.0",
    bridge: "br-pods",
    backend: None,
};

/// kubelet looks every second, and works in turns of five.
const PATIENCE: Duration = Duration::from_secs(120);

/// A pod with everything that ours are there for.
fn busy(name: &str, port: u16) -> Manifest {
    Manifest::new(name)
        .port("TCP", "", port, 8000)
        .port("UDP", "", port, 5000)
        .limits("20M", "10M")
}

/// The page comes from `address`, sooner or later.
#[track_caller]
fn assert_page(client: &Namespace, address: SocketAddr) {
    assert_page_within(PATIENCE, client, address);
}

/// The pod's attachment, once the pod has one other than `not`.
#[track_caller]
fn attached(kubelet: &Kubelet<'_>, pod: &str, not: Option<&Attachment>) -> Attachment {
    let mut found = None;
    wait_until(PATIENCE, || {
        found = kubelet.attachment(pod).expect("libcni's cache");
        let is_other = |found: &Attachment| not.is_none_or(|old| old.container != found.container);
        found.as_ref().is_some_and(is_other)
    });
    found.expect("an attachment")
}

/// Nothing of any pod is left, sooner or later.
#[track_caller]
fn assert_nothing_left(machine: &Machine, before: &Snapshot) {
    let mut left = Vec::new();
    wait_until(PATIENCE, || {
        // A link may go while it is looked at.
        left = leftovers::find(machine, &NETWORK, before).unwrap_or_else(|e| vec![e.to_string()]);
        left.retain(|line| !leftovers::is_masquerading_of_bridge(line) && !is_kubelets(line));
        left.is_empty()
    });
    assert_eq!(left, Vec::<String>::new());
}

/// kubelet 1.20 keeps chains and rules of its own, for the node.
fn is_kubelets(line: &str) -> bool {
    line.contains("KUBE-")
}

/// What passes from `from` to `to`, in Mbit/s, is in `range`. Up to three times: other programs of the machine
/// may hold up one of them.
#[track_caller]
fn assert_rate(from: &Namespace, to: &Namespace, address: IpAddr, range: RangeInclusive<f64>) {
    let mut seen = Vec::new();
    let is_right = (0..3).any(|_| {
        let measured = throughput::tcp(from, to, (address, 0).into(), Duration::from_secs(3));
        let rate = measured.map(|measured| measured.steady() / 1e6);
        let is_right = rate.as_ref().is_ok_and(|rate| range.contains(rate));
        seen.push(rate);
        is_right
    });
    assert!(is_right, "{seen:?} Mbit/s, not in {range:?}");
}

/// Waits until a plugin has been called more often than `so_far`.
#[track_caller]
fn called(machine: &Machine, plugin: &str, verb: &str, so_far: usize) {
    let is_called = || trouble::calls(machine, plugin, verb) > so_far;
    assert!(
        wait_until(PATIENCE, is_called),
        "{plugin} {verb}: {so_far} calls"
    );
}

fn a_pod_from_a_manifest(runtime: Runtime) -> io::Result<()> {
    let machine = Machine::start()?;
    let kubelet = Kubelet::start(&machine, runtime, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    let pod = busy("web", 8081)
        .port("SCTP", "", 8082, 5001)
        .port("TCP", "10.99.0.1", 8083, 8000);
    kubelet.put(&pod)?;
    for address in host.both(8081) {
        assert_page(client, address);
    }
    assert_page(host, host.v4(8081));
    assert_page(host, ([127, 0, 0, 1], 8081).into());
    assert_page(client, host.v4(8083));
    let attachment = attached(&kubelet, "web", None);
    let inside = &attachment.namespace;
    assert_page(inside, host.v4(8081));
    let _udp = udp::Server::start(inside, 5000, "udp")?;
    let _sctp = sctp::Server::start(inside, 5001, "sctp")?;
    for address in host.both(8081) {
        assert_eq!(udp::exchange(client, address).server(), Some("udp"));
    }
    assert_eq!(sctp::exchange(client, host.v4(8082)).server(), Some("sctp"));
    assert_eq!(inside.sysctl("net.core.somaxconn")?.trim(), "500");
    assert_rate(host, inside, attachment.address, 17.0..=20.5);
    assert_rate(inside, host, host.v4(0).ip(), 8.5..=10.3);
    kubelet.check(&attachment)?;
    kubelet.remove("web")?;
    assert_nothing_left(&machine, &before);
    Ok(())
}

fn a_refusal_is_tried_again(runtime: Runtime) -> io::Result<()> {
    let machine = Machine::start()?;
    let kubelet = Kubelet::start(&machine, runtime, &NETWORK)?;
    let before = Snapshot::take(&machine.net.host)?;
    for plugin in ["portmap", "bandwidth"] {
        trouble::put_in_front(&machine, plugin)?;
        trouble::order(&machine, &format!("{plugin}.ADD"), Some(Trouble::Refused))?;
        kubelet.put(&busy("web", 8081))?;
        called(&machine, plugin, "ADD", 0);
        // Before it is tried again, DEL has taken away what the plugins before it had done.
        called(&machine, plugin, "ADD", 1);
        trouble::order(&machine, &format!("{plugin}.ADD"), None)?;
        assert_page(machine.net.client(), machine.net.host.v4(8081));

        let so_far = trouble::calls(&machine, plugin, "DEL");
        trouble::order(&machine, &format!("{plugin}.DEL"), Some(Trouble::Refused))?;
        kubelet.remove("web")?;
        called(&machine, plugin, "DEL", so_far);
        trouble::order(&machine, &format!("{plugin}.DEL"), None)?;
        assert_nothing_left(&machine, &before);
    }
    Ok(())
}

fn an_edited_manifest(runtime: Runtime) -> io::Result<()> {
    let machine = Machine::start()?;
    let kubelet = Kubelet::start(&machine, runtime, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    kubelet.put(&busy("web", 8081))?;
    assert_page(client, host.v4(8081));
    let old = attached(&kubelet, "web", None);
    let _old = udp::Server::start(&old.namespace, 5000, "old")?;
    let flow = udp::Flow::start(client, client.v4(40_000), host.v4(8081))?;
    assert!(wait_until(PATIENCE, || flow.latest().server() == Some("old")));

    kubelet.put(&busy("web", 8081).limits("30M", "10M"))?;
    let new = attached(&kubelet, "web", Some(&old));
    let _new = udp::Server::start(&new.namespace, 5000, "new")?;
    assert_page(client, host.v4(8081));
    assert!(wait_until(PATIENCE, || flow.latest().server() == Some("new")));
    assert_rate(host, &new.namespace, new.address, 25.0..=30.8);
    kubelet.check(&new)?;
    drop(flow);
    kubelet.remove("web")?;
    assert_nothing_left(&machine, &before);
    Ok(())
}

fn killed_processes(runtime: Runtime) -> io::Result<()> {
    let machine = Machine::start()?;
    let mut kubelet = Kubelet::start(&machine, runtime, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    kubelet.put(&busy("web", 8081))?;
    assert_page(client, host.v4(8081));
    let old = attached(&kubelet, "web", None);
    kubelet.kill(&old)?;
    let new = attached(&kubelet, "web", Some(&old));
    assert_page(client, host.v4(8081));
    kubelet.check(&new)?;

    kubelet.crash_runtime()?;
    assert_page(client, host.v4(8081));
    kubelet.check(&new)?;
    // They keep namespaces alive.
    drop((old, new));
    kubelet.remove("web")?;
    assert_nothing_left(&machine, &before);
    Ok(())
}

fn a_kubelet_that_ends(runtime: Runtime) -> io::Result<()> {
    let machine = Machine::start()?;
    let mut kubelet = Kubelet::start(&machine, runtime, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    trouble::put_in_front(&machine, "portmap")?;
    kubelet.put(&busy("web", 8081))?;
    assert_page(client, host.v4(8081));
    let pod = attached(&kubelet, "web", None);
    for signal in ["TERM", "KILL"] {
        kubelet.end(signal)?;
        assert_eq!(fetch(client, host.v4(8081)), image::PAGE);
        kubelet.again()?;
        kubelet.check(&pod)?;
    }
    kubelet.end("KILL")?;
    drop(pod);
    kubelet.remove("web")?;
    kubelet.again()?;
    assert_nothing_left(&machine, &before);

    let so_far = trouble::calls(&machine, "portmap", "ADD");
    trouble::order(&machine, "portmap.ADD", Some(Trouble::Slow))?;
    kubelet.put(&busy("web", 8081))?;
    called(&machine, "portmap", "ADD", so_far);
    kubelet.end("KILL")?;
    trouble::order(&machine, "portmap.ADD", None)?;
    kubelet.again()?;
    assert_page(client, host.v4(8081));

    let so_far = trouble::calls(&machine, "portmap", "DEL");
    trouble::order(&machine, "portmap.DEL", Some(Trouble::Slow))?;
    kubelet.remove("web")?;
    called(&machine, "portmap", "DEL", so_far);
    kubelet.end("KILL")?;
    trouble::order(&machine, "portmap.DEL", None)?;
    kubelet.again()?;
    assert_nothing_left(&machine, &before);
    Ok(())
}

fn thirty_pods(runtime: Runtime) -> io::Result<()> {
    let machine = Machine::start()?;
    let kubelet = Kubelet::start(&machine, runtime, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    let pods: Vec<_> = (9000..9030)
        .map(|port| (format!("web{port}"), port))
        .collect();
    for (name, port) in &pods {
        kubelet.put(&busy(name, *port))?;
    }
    for (name, port) in &pods {
        assert_page(client, host.v4(*port));
        kubelet.check(&attached(&kubelet, name, None))?;
    }
    for (name, _) in &pods {
        kubelet.remove(name)?;
    }
    assert_nothing_left(&machine, &before);
    Ok(())
}

/// A host port and a Service, both of one pod, from everywhere.
#[track_caller]
fn assert_port_and_service(machine: &Machine, api: &Api, pod: &Attachment, kubelet: &Kubelet<'_>) {
    let (host, client) = (&machine.net.host, machine.net.client());
    for address in host.both(8081) {
        assert_page(client, address);
    }
    assert_page(host, ([127, 0, 0, 1], 8081).into());
    assert_page(client, host.v4(30_080));
    assert_page(host, api.service());
    for address in [host.v4(8081), api.service()] {
        assert_page(&pod.namespace, address);
    }
    kubelet.check(pod).expect("CHECK");
}

#[test]
fn host_ports_and_services_of_kube_proxy_serve_beside_each_other() -> io::Result<()> {
    let machine = Machine::start()?;
    let kubelet = Kubelet::start(&machine, Runtime::Containerd, &NETWORK)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    // The address of a Service needs a route of the node's, even though nothing takes it.
    host.sh([
        "ip",
        "route",
        "add",
        "default",
        "via",
        &client.v4(0).ip().to_string(),
    ]);
    let api = Api::start(host)?;
    kubelet.put(&busy("web", 8081))?;
    assert_page(client, host.v4(8081));
    let pod = attached(&kubelet, "web", None);
    api.set_service(30_080, pod.address);
    let mut proxy = kubelet.proxy(&api)?;
    assert_port_and_service(&machine, &api, &pod, &kubelet);
    proxy.end("KILL")?;
    assert_page(client, host.v4(8081));
    let _proxy = kubelet.proxy(&api)?;
    assert_port_and_service(&machine, &api, &pod, &kubelet);

    // The pod comes after kube-proxy.
    kubelet.remove("web")?;
    let is_gone = || fetch(client, host.v4(8081)) != image::PAGE;
    assert!(wait_until(PATIENCE, is_gone), "the pod's port still serves");
    kubelet.put(&busy("web", 8081))?;
    assert_page(client, host.v4(8081));
    let pod = attached(&kubelet, "web", Some(&pod));
    api.set_service(30_080, pod.address);
    assert_port_and_service(&machine, &api, &pod, &kubelet);

    // A NodePort of the number of a host port wins, as it does with the reference.
    kubelet.put(&Manifest::new("other").page("other\n"))?;
    let other = attached(&kubelet, "other", None);
    api.set_service(8081, other.address);
    let is_other = || fetch(client, host.v4(8081)) == "other\n";
    let is_first = wait_until(PATIENCE, is_other);
    let rules = host.sh(["iptables-save", "-t", "nat"]);
    assert!(is_first, "{}\n{rules}", fetch(client, host.v4(8081)));
    kubelet.check(&pod)?;
    api.set_service(30_080, pod.address);
    assert_port_and_service(&machine, &api, &pod, &kubelet);
    Ok(())
}

/// Each scenario with both runtimes.
macro_rules! with_both {
    ($($scenario:ident: $docker:ident, $containerd:ident;)*) => {$(
        #[test]
        fn $docker() -> io::Result<()> {
            $scenario(Runtime::Docker)
        }

        #[test]
        fn $containerd() -> io::Result<()> {
            $scenario(Runtime::Containerd)
        }
    )*};
}

with_both! {
    a_pod_from_a_manifest:
        dockershim_makes_and_removes_a_pod_with_everything,
        containerd_makes_and_removes_a_pod_of_kubelet_with_everything;
    a_refusal_is_tried_again:
        dockershim_tries_again_what_a_plugin_refused,
        containerd_tries_again_what_a_plugin_refused;
    an_edited_manifest:
        the_new_pod_of_an_edited_manifest_takes_the_port_over_with_dockershim,
        the_new_pod_of_an_edited_manifest_takes_the_port_over_with_containerd;
    killed_processes:
        a_pod_or_a_dockerd_that_was_killed_costs_no_port,
        a_pod_or_a_containerd_that_was_killed_costs_no_port;
    a_kubelet_that_ends:
        ports_serve_on_when_a_kubelet_with_dockershim_ends_at_any_time,
        ports_serve_on_when_a_kubelet_with_containerd_ends_at_any_time;
    thirty_pods:
        thirty_pods_come_and_go_at_once_with_dockershim,
        thirty_pods_come_and_go_at_once_with_containerd;
}
