//! The rights that the packages give it are enough.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::place::{Backend, Place, on_every_backend};
use super::{Follower, sh};

on_every_backend!(
    with_the_unit_s_rights_everything_is_repaired,
    with_the_container_s_rights_host_ports_and_limits_are_repaired,
);

/// Runs a program with these capabilities alone, in a mount namespace that a script prepares.
fn runner(capabilities: &[&str], prepare: &str) -> [String; 6] {
    let set: String = capabilities
        .iter()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let line = format!(
        "{prepare} && exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all{set} -- \"$@\""
    );
    ["unshare", "--mount", "sh", "-c", &line, "sh"].map(str::to_owned)
}

fn packaging(path: &str) -> String {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    fs::read_to_string(packaging.join(path)).unwrap()
}

fn with_the_unit_s_rights_everything_is_repaired(backend: Backend) {
    let unit = packaging("systemd/cni-follow.service");
    let set = unit
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let set: Vec<&str> = set.unwrap().split(' ').collect();
    let place = Place::new(backend, 1);
    is_repaired(
        &place,
        &runner(&set, "true"),
        &["tuning", "portmap", "bandwidth"],
    );
}

/// Its /proc/sys cannot be written, and it does not see other processes' namespaces.
fn with_the_container_s_rights_host_ports_and_limits_are_repaired(backend: Backend) {
    let component = packaging("kubernetes/follow/kustomization.yaml");
    let (_, set) = component.split_once("add: [").unwrap();
    let set: Vec<&str> = set.split(']').next().unwrap().split(", ").collect();
    let place = Place::new(backend, 1);
    let prepare = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys";
    is_repaired(&place, &runner(&set, prepare), &["portmap", "bandwidth"]);
}

#[track_caller]
fn is_repaired(place: &Place, runner: &[String], plugins: &[&str]) {
    for plugin in plugins {
        place.attach_all(plugin);
    }
    let bound = place.pod(0).bind(place.directory.join("netns")).unwrap();
    let mut entry = place.recall(0);
    entry["netns"] = json!(bound.path());
    place.remember_as(0, &entry);
    let runner: Vec<&str> = runner.iter().map(String::as_str).collect();
    let chosen: Vec<String> = plugins
        .iter()
        .map(|name| format!("--plugin={name}"))
        .collect();
    let mut words: Vec<&str> = chosen.iter().map(String::as_str).collect();
    words.push("--grace=0");
    let follower = Follower::start_by(place, &runner, &words);
    place.reload();
    let line = follower.line(1);
    assert!(line.contains("repaired 1: portmap of"), "{line}");
    let veth = &place.pod(0).host_interface;
    sh(place, &format!("tc qdisc del dev {veth} root"));
    let line = follower.line(2);
    assert!(line.contains("repaired 1: bandwidth of"), "{line}");
    if plugins.contains(&"tuning") {
        place
            .pod(0)
            .sh(["sysctl", "-q", "-w", "net.core.somaxconn=77"]);
        follower.signal("HUP");
        let line = follower.line(3);
        assert!(line.contains("repaired 1: tuning of"), "{line}");
    }
    for plugin in plugins {
        place.does(plugin, "CHECK", 0, &place.capabilities(0));
    }
}
