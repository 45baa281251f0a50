//! dockerd, as the dockershim of kubelet uses it.

use std::io;

use crate::chain::{self, Ending, Network};
use crate::containerd::networks;
use crate::daemon::Daemon;
use crate::kubelet::{CHAIN, program};
use crate::{Machine, image};

/// Where dockerd listens.
pub(crate) const DOCKER_HOST: &str = "unix:///run/docker.sock";

/// Puts the plugins, their list and the image in place, and starts dockerd.
pub(crate) fn docker<'machine>(
    machine: &'machine Machine,
    network: &Network,
) -> io::Result<Daemon<'machine>> {
    chain::install(machine, chain::Whose::Ours)?;
    image::unpack(machine)?;
    let list = format!("{}/10.conflist", networks(CHAIN));
    machine.write(&list, &network.conflist(Ending::Success))?;
    machine.write("/run/docker/runc", RUNC)?;
    machine.sh(&["chmod", "755", "/run/docker/runc"])?;
    launch_docker(machine)
}

/// runc as a machine can use it that may not lower `oom_score_adj`.
const RUNC: &str = r#"#!/bin/sh
bundle=. last=
for word; do
    case $last in --bundle | -b) bundle=$word ;; esac
    last=$word
done
case " $* " in
*" create "* | *" run "*) sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json" ;;
esac
exec /usr/sbin/runc "$@"
"#;

pub(crate) fn launch_docker(machine: &Machine) -> io::Result<Daemon<'_>> {
    let (dockerd, docker) = (program("dockerd")?, program("docker")?);
    let cgroup = machine.cgroup.path();
    let command = format!(
        "{dockerd} --host {DOCKER_HOST} --pidfile /run/dockerd.own.pid --exec-root /run/docker \
         --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none \
         --userland-proxy=false --storage-driver vfs --exec-opt native.cgroupdriver=cgroupfs \
         --cgroup-parent {cgroup} --oom-score-adjust 0 --live-restore \
         --add-runtime own=/run/docker/runc --default-runtime own"
    );
    let is_ready = || {
        machine
            .sh(&[&docker, "--host", DOCKER_HOST, "version"])
            .is_ok()
    };
    Daemon::start(machine, "dockerd", &command, is_ready)
}
