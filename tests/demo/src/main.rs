//! The main job, to look at: a pod-like namespace gets its chain, uses it, and loses it again.
//!
//! Everything runs in fresh namespaces: "host" stands for the node, "client" for a machine outside,
//! and the pod's namespace starts with nothing in it. The runner `cnictl` does what kubelet's
//! container runtime does.

mod network;
mod scene;
mod tell;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sandbox::probe::{http, throughput};

use network::{HOST_PORT, LIMIT, POD_PORT};
use scene::Scene;
use tell::{Story, mbit};

fn main() -> ExitCode {
    match sandbox::userns::enter_unless_root().and_then(|()| show()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn show() -> io::Result<()> {
    let mut story = Story::new();
    let scene = Scene::build()?;
    let before = scene.host_state()?;
    story.title("A pod gets its chain: veth, tuning, portmap, bandwidth");
    asked(&mut story);
    story.step("The same chain before, without the pod's wishes")?;
    story.command(&scene.cnictl("add", &[])?);
    transfers(&mut story, &scene, "no limit")?;
    story.command(&scene.cnictl("del", &[])?);
    story.step("ADD with them, as a container runtime does it")?;
    story.command(&scene.cnictl("add", &network::wishes())?);
    has(&mut story, &scene)?;
    works(&mut story, &scene)?;
    drifts(&mut story, &scene)?;
    story.step("DEL, and what it leaves")?;
    story.command(&scene.cnictl("del", &[])?);
    left(&mut story, &before, &scene.host_state()?)?;
    story.end()
}

fn asked(story: &mut Story) {
    story.line("What is asked for:");
    for line in network::plugins() {
        story.line(&format!("  {line}"));
    }
    story.line(&format!(
        "  and by the pod: port {HOST_PORT} of the node, {} towards it",
        mbit(LIMIT)
    ));
}

/// What the kernel has after ADD, in the words of `ip`, `sysctl`, `iptables` and `tc`.
fn has(story: &mut Story, scene: &Scene) -> io::Result<()> {
    story.step("What the kernel has now")?;
    story.line("in the pod:");
    story.lines(&scene.pod_link()?);
    for key in network::SYSCTLS {
        let path = key.replace("IFNAME", "eth0");
        story.line(&format!("  {path} = {}", scene.pod.sysctl(&path)?));
    }
    story.line("on the node:");
    story.lines(&scene.host_rules()?);
    Ok(())
}

fn works(story: &mut Story, scene: &Scene) -> io::Result<()> {
    story.step("Whether it works")?;
    let _page = http::Server::start(&scene.pod, POD_PORT, "the pod")?;
    let address = (scene.net.host.ipv4, HOST_PORT).into();
    let page = http::fetch(scene.net.client(), address, Duration::from_secs(5))?;
    story.line(&format!(
        "from outside, http://{address}/ says: {}",
        page.trim()
    ));
    transfers(story, scene, &format!("limit {}", mbit(LIMIT)))
}

/// The rate of a transfer in each direction: the last seconds towards the pod, where the burst is
/// used up, and the first second from it.
fn transfers(story: &mut Story, scene: &Scene, limit: &str) -> io::Result<()> {
    let to_pod = (network::POD_IPV4, 0).into();
    let client = scene.net.client();
    let towards = throughput::tcp(client, &scene.pod, to_pod, Duration::from_secs(2))?;
    let from_pod = (client.ipv4, 0).into();
    let from = throughput::tcp(&scene.pod, client, from_pod, Duration::from_secs(1))?;
    let (towards, from) = (towards.steady() as u64, from.first_second() as u64);
    story.line(&format!(
        "transfer to the pod:   {:>16}  ({limit})",
        mbit(towards)
    ));
    story.line(&format!(
        "transfer from the pod: {:>16}  (no limit)",
        mbit(from)
    ));
    Ok(())
}

/// CHECK passes, sees a change behind its back, and ADD repairs it.
fn drifts(story: &mut Story, scene: &Scene) -> io::Result<()> {
    story.step("CHECK, before and after another tool resets the MTU")?;
    story.command(&scene.cnictl("check", &[])?);
    scene
        .pod
        .try_sh(&["ip", "link", "set", "eth0", "mtu", "1500"])?;
    story.line("# ip link set eth0 mtu 1500");
    let complaint = scene.conflist_fails("check")?;
    story.command(&complaint);
    scene
        .pod
        .try_sh(&["ip", "link", "set", "eth0", "mtu", "1400"])?;
    Ok(())
}

fn left(story: &mut Story, before: &str, after: &str) -> io::Result<()> {
    if before == after {
        story.line("links, qdiscs, port mappings and state files of the node: as before");
        return Ok(());
    }
    let text = format!("DEL left something.\nbefore:\n{before}\nafter:\n{after}");
    Err(io::Error::other(text))
}
