//! A pod, attached to bridges as the bridge plugin did it.

use sandbox::Namespace;
use sandbox::probe::{tcp, udp};
use serde_json::Value;

use super::wanted::{Mapping, Wanted};

/// A container's namespace, and what it has asked for on each of its interfaces.
pub struct Pod {
    pub namespace: Namespace,
    /// Where it was when it was recorded.
    pub recorded_path: String,
    /// By interface.
    pub wanted: Vec<(String, Wanted)>,
    servers: Vec<(Mapping, Server)>,
}

#[expect(dead_code, reason = "serves until it is dropped")]
enum Server {
    Tcp(tcp::Server),
    Udp(udp::Server),
}

impl Pod {
    pub fn new(recorded_path: &str) -> Self {
        Self {
            namespace: Namespace::new().unwrap(),
            recorded_path: recorded_path.to_owned(),
            wanted: Vec::new(),
            servers: Vec::new(),
        }
    }

    /// What it has asked for on an interface.
    pub fn wanted_on(&mut self, ifname: &str) -> &mut Wanted {
        let found = self.wanted.iter().position(|(name, _)| name == ifname);
        let index = found.unwrap_or_else(|| {
            self.wanted.push((ifname.to_owned(), Wanted::default()));
            self.wanted.len() - 1
        });
        &mut self.wanted[index].1
    }

    /// Serves on the container port of a mapping, under this name.
    pub fn serve(&mut self, mapping: &Mapping, name: &str) {
        let same = |other: &Mapping| {
            (other.container_port, &other.protocol) == (mapping.container_port, &mapping.protocol)
        };
        if self.servers.iter().any(|(other, _)| same(other)) {
            return;
        }
        let (namespace, port) = (&self.namespace, mapping.container_port);
        let server = match mapping.protocol.as_str() {
            "udp" => Server::Udp(udp::Server::start(namespace, port, name).unwrap()),
            _ => Server::Tcp(tcp::Server::start(namespace, port, name).unwrap()),
        };
        self.servers.push((mapping.clone(), server));
    }

    /// Makes the interface that a result of the bridge plugin tells of.
    pub fn attach(&self, host: &Namespace, result: &Value) {
        let interfaces = result["interfaces"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (bridge, veth) = (text(&interfaces[0]["name"]), text(&interfaces[1]["name"]));
        let (eth, mac) = (text(&interfaces[2]["name"]), text(&interfaces[2]["mac"]));
        if host.try_sh(&["ip", "link", "show", &bridge]).is_err() {
            host.sh(["ip", "link", "add", &bridge, "type", "bridge"]);
            host.sh(["ip", "link", "set", &bridge, "up"]);
        }
        let path = self.namespace.path().display().to_string();
        let peer = ["peer", "name", &eth, "address", &mac, "netns", &path];
        let add = [&["ip", "link", "add", &veth, "type", "veth"][..], &peer].concat();
        host.try_sh(&add).unwrap();
        host.sh(["ip", "link", "set", &veth, "master", &bridge]);
        host.sh([
            "ip",
            "link",
            "set",
            &veth,
            "type",
            "bridge_slave",
            "hairpin",
            "on",
        ]);
        host.sh(["ip", "link", "set", &veth, "up"]);
        self.namespace.sh(["ip", "link", "set", &eth, "up"]);
        for ip in result["ips"].as_array().unwrap() {
            let (address, gateway) = (text(&ip["address"]), text(&ip["gateway"]));
            let (_, length) = address.split_once('/').unwrap();
            let of_bridge = format!("{gateway}/{length}");
            let family = if gateway.contains(':') { "-6" } else { "-4" };
            host.sh([
                "ip", "address", "replace", &of_bridge, "dev", &bridge, "nodad",
            ]);
            self.namespace
                .sh(["ip", "address", "add", &address, "dev", &eth, "nodad"]);
            // A second interface leaves the first one's default route in place, as the bridge plugin does.
            let route = ["ip", family, "route", "append", "default", "via", &gateway];
            self.namespace.try_sh(&route).unwrap();
        }
    }

    /// Removes an interface, and with it its end on the host. That it is gone is fine.
    pub fn detach(&mut self, ifname: &str) {
        self.wanted.retain(|(name, _)| name != ifname);
        let _ = self.namespace.try_sh(&["ip", "link", "delete", ifname]);
    }

    /// Removes all of its interfaces.
    pub fn detach_all(&mut self) {
        for ifname in ["eth0", "eth1"] {
            self.detach(ifname);
        }
    }
}
