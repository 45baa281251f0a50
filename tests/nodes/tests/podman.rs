//! Containers of podman with published ports.

use std::io;

use runtimes::chain::{Network, Whose};
use runtimes::podman::Podman;
use runtimes::{Machine, image, leftovers};
use sandbox::{Snapshot, wait_until};

use crate::pod::{PATIENCE, assert_no_page, assert_page, fetch};

/// Of the version that podman writes into the configurations it makes.
pub const NETWORK: Network = Network {
    name: "podman",
    version: "0.4.0",
    bridge: "br-podman",
    backend: None,
};

#[track_caller]
pub fn assert_nothing_left(machine: &Machine, before: &Snapshot) {
    let left = leftovers::find(machine, &NETWORK, before);
    assert_eq!(left.expect("a look at what is left"), Vec::<String>::new());
    assert_no_page(machine.net.client(), machine.net.host.v4(8080));
}

#[test]
fn published_ports_work_after_run_and_restart_and_not_after_stop() -> io::Result<()> {
    let machine = Machine::start()?;
    let podman = Podman::install(&machine, &NETWORK, Whose::Ours)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    podman.run("web", &["8080:80", "127.0.0.1:8081:80", "8053:53/udp"])?;
    for again in [false, true] {
        if again {
            podman.sh(&["restart", "--time=0", "web"])?;
        }
        for address in host.both(8080) {
            assert_page(client, address);
        }
        assert_page(host, ([127, 0, 0, 1], 8081).into());
        assert_no_page(client, host.v4(8081));
    }
    podman.sh(&["stop", "--time=0", "web"])?;
    assert_nothing_left(&machine, &before);
    podman.sh(&["rm", "web"])?;
    assert_nothing_left(&machine, &before);
    Ok(())
}

#[test]
fn a_killed_container_leaves_nothing() -> io::Result<()> {
    let machine = Machine::start()?;
    let podman = Podman::install(&machine, &NETWORK, Whose::Ours)?;
    let before = Snapshot::take(&machine.net.host)?;
    podman.run("killed", &["8080:80"])?;
    assert_page(machine.net.client(), machine.net.host.v4(8080));
    podman.sh(&["kill", "killed"])?;
    // The container's monitor has podman clean up behind our back.
    let nothing =
        || leftovers::find(&machine, &NETWORK, &before).is_ok_and(|lines| lines.is_empty());
    wait_until(PATIENCE, nothing);
    assert_nothing_left(&machine, &before);
    podman.sh(&["rm", "killed"])?;
    Ok(())
}

#[test]
fn a_network_reload_repairs_what_a_firewall_took_away() -> io::Result<()> {
    let machine = Machine::start()?;
    let podman = Podman::install(&machine, &NETWORK, Whose::Ours)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let before = Snapshot::take(host)?;
    podman.run("web", &["8080:80"])?;
    assert_page(client, host.v4(8080));
    for tool in ["iptables", "ip6tables"] {
        host.sh([tool, "-w", "-t", "nat", "-F"]);
        host.sh([tool, "-w", "-t", "nat", "-X"]);
    }
    // podman itself listens on published ports, to reserve them, and never answers.
    assert_ne!(fetch(client, host.v4(8080)), image::PAGE);
    podman.sh(&["network", "reload", "web"])?;
    assert_page(client, host.v4(8080));
    podman.sh(&["rm", "--force", "--time=0", "web"])?;
    assert_nothing_left(&machine, &before);
    Ok(())
}
