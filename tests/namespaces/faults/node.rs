//! A node with two attachments of one plugin: the one that faults are tried on, and another one that
//! must never notice.

use std::fs;

use sandbox::Namespace;
use sandbox::plugin::Call;
use serde_json::{Value, json};

use crate::operators::place::Place;
use crate::portmap::nftables::contents;
use crate::portmap::node::Backend;

/// The attachment in hand, and the other one.
const MINE: usize = 0;
const OTHER: usize = 1;

pub struct Node {
    pub place: Place,
    pub plugin: &'static str,
    /// Keys of the plugin's configuration that the node's does not have.
    keys: Value,
    /// The state with the other attachment alone, and with both.
    pub without: Vec<String>,
    pub with: Vec<String>,
}

impl Node {
    /// Both attachments are there, and only the other one is in the cache.
    pub fn new(plugin: &'static str, backend: Backend, keys: Value) -> Node {
        let place = Place::new(backend, 2);
        place.attach(plugin, OTHER, &place.capabilities(OTHER));
        let mut node = Node {
            place,
            plugin,
            keys,
            without: Vec::new(),
            with: Vec::new(),
        };
        // What all attachments share stays from now on.
        node.does("ADD");
        node.does("DEL");
        node.without = node.state();
        node.does("ADD");
        node.with = node.state();
        assert_ne!(node.with, node.without);
        node
    }

    /// What figures are about.
    pub fn title(&self, what: &str) -> String {
        format!("{} {:?} {what}", self.plugin, self.place.backend)
    }

    pub fn host(&self) -> &Namespace {
        &self.place.net.host
    }

    /// A call of a verb for the attachment in hand. GC finds the other one valid.
    pub fn call(&self, verb: &str) -> Call {
        self.call_with(verb, &json!({}))
    }

    /// The same with other keys.
    pub fn call_with(&self, verb: &str, keys: &Value) -> Call {
        let capabilities = self.place.capabilities(MINE);
        let call = self.place.call(self.plugin, verb, MINE, &capabilities);
        let mut conf = self.place.conf(self.plugin, MINE, &capabilities);
        let keys = [&self.keys, keys].into_iter().filter_map(Value::as_object);
        for (key, value) in keys.flatten() {
            conf[key] = value.clone();
        }
        if ["GC", "STATUS"].contains(&verb) {
            conf["cniVersion"] = json!("1.1.0");
        }
        if verb == "GC" {
            conf["cni.dev/valid-attachments"] =
                json!([{"containerID": self.place.id(OTHER), "ifname": "eth0"}]);
        }
        call.stdin(conf.to_string())
    }

    pub fn command(&self, line: &[&str]) -> Call {
        self.place.command(self.plugin, line)
    }

    /// Takes everything away that the plugin may have made, and attaches both again, unless they are.
    pub fn renew(&self) {
        if self.state() == self.with {
            return;
        }
        for line in self.undoing() {
            // Some of it is not there.
            let words: Vec<&str> = line.split(' ').collect();
            let _ = self.host().try_sh(&words);
        }
        let _ = fs::remove_dir_all(self.place.data_dir());
        for index in [MINE, OTHER] {
            let pod = self.place.pod(index);
            pod.set_sysctl("net/core/somaxconn", "4096").unwrap();
            pod.sh(["ip", "link", "set", "eth0", "mtu", "1500"]);
        }
        let capabilities = self.place.capabilities(OTHER);
        self.place.does(self.plugin, "ADD", OTHER, &capabilities);
        self.does("ADD");
        assert_eq!(self.state(), self.with);
    }

    fn undoing(&self) -> Vec<String> {
        let mut lines = vec!["nft flush ruleset".to_owned()];
        for base in ["iptables", "ip6tables"] {
            for table in ["nat", "mangle"] {
                lines.extend(["F", "X"].map(|how| format!("{base}-legacy -t {table} -{how}")));
            }
        }
        for index in [MINE, OTHER] {
            let veth = &self.place.pod(index).host_interface;
            lines.extend(["root", "clsact"].map(|at| format!("tc qdisc del dev {veth} {at}")));
        }
        let ifbs = self.host().sh(["ip", "-o", "link", "show", "type", "ifb"]);
        for ifb in ifbs
            .lines()
            .filter_map(|line| line.split([' ', ':']).nth(2))
        {
            lines.push(format!("ip link del {ifb}"));
        }
        lines
    }

    #[track_caller]
    pub fn does(&self, verb: &str) {
        let answer = self.call(verb).run(self.host()).unwrap();
        assert_eq!(answer.code, Some(0), "{verb}: {answer:?}");
        if verb == "DEL" {
            self.close();
        }
    }

    /// Closes the way from loopback addresses, which ADD opens and nobody closes.
    pub fn close(&self) {
        self.host().set_sysctl(&self.switch(), "0").unwrap();
    }

    fn switch(&self) -> String {
        let veth = &self.place.pod(MINE).host_interface;
        format!("net/ipv4/conf/{veth}/route_localnet")
    }

    /// Puts the attachment in hand into the cache.
    pub fn remember(&self) {
        self.place.remember(MINE, &self.place.capabilities(MINE));
    }

    /// What `then` finds wrong, unless the node is in that state: what would happen there is known.
    pub fn if_changed(
        &self,
        state: &[String],
        then: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        (self.state() != state).then(then).flatten()
    }

    /// What a removal has left; the attachment is added again.
    pub fn was_removed(&self, verb: &str) -> Option<String> {
        let left = self.left(verb);
        self.does("ADD");
        left
    }

    /// DEL puts back what was before, and others only forget it: they cannot enter a namespace.
    fn left(&self, verb: &str) -> Option<String> {
        self.close();
        let is_of_node = |line: &&String| self.plugin != "tuning" || line.starts_with('/');
        let some = |lines: &[String]| lines.iter().filter(is_of_node).cloned().collect::<Vec<_>>();
        match verb {
            "DEL" => difference(&self.without, &self.state()),
            _ => difference(&some(&self.without), &some(&self.state())),
        }
    }

    /// Everything that the plugin may change.
    pub fn state(&self) -> Vec<String> {
        let mut lines = match self.plugin {
            "portmap" => self.rules(),
            "bandwidth" => self.queues(),
            _ => self.originals(),
        };
        lines.sort();
        lines
    }

    fn rules(&self) -> Vec<String> {
        let mut lines = contents(self.host());
        // Programs make the chains that every table has by looking at them.
        lines.retain(|line| !line.starts_with("chain") || line.contains("CNI-"));
        lines.push(format!(
            "loopback {}",
            self.host().sysctl(&self.switch()).unwrap()
        ));
        for (program, names) in [
            ("iptables-legacy-save", "ip_tables_names"),
            ("ip6tables-legacy-save", "ip6_tables_names"),
        ] {
            let names = format!("/proc/thread-self/net/{names}");
            let has_tables = || fs::read_to_string(names).is_ok_and(|names| !names.is_empty());
            if !self.host().run(has_tables) {
                continue;
            }
            let text = self.host().sh([program]);
            let is_rule = |line: &&str| !line.starts_with(['#', ':', '*']) && *line != "COMMIT";
            lines.extend(text.lines().filter(is_rule).map(str::to_owned));
        }
        lines
    }

    fn queues(&self) -> Vec<String> {
        let host = self.host();
        let mut text = host.sh(["tc", "qdisc", "show"]);
        // Links are shown by their names alone; the alias says whose an ifb is.
        for line in host.sh(["ip", "-o", "link", "show", "type", "ifb"]).lines() {
            let name = line.split(' ').nth(1).unwrap_or_default();
            let alias = line.split_once("alias ").unwrap_or_default().1;
            text.push_str(&format!("{name} {alias}\n"));
        }
        for index in [MINE, OTHER] {
            let veth = self.place.pod(index).host_interface.clone();
            let filters = host.try_sh(&["tc", "filter", "show", "dev", &veth, "ingress"]);
            let wanted = |line: &&str| line.contains("match") || line.contains("mirred");
            let filters = filters.unwrap_or_default();
            for line in filters.lines().filter(wanted) {
                text.push_str(&format!("{veth} {line}\n"));
            }
        }
        text.lines().map(str::to_owned).collect()
    }

    fn originals(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(self.place.data_dir()).into_iter().flatten() {
            let path = entry.unwrap().path();
            let content = fs::read_to_string(&path).unwrap();
            lines.push(format!("{} {content}", path.display()));
        }
        for index in [MINE, OTHER] {
            let pod = self.place.pod(index);
            for key in ["net/core/somaxconn", "net/ipv4/conf/eth0/arp_filter"] {
                lines.push(format!("{index} {}", pod.sysctl(key).unwrap()));
            }
            lines.push(pod.sh(["ip", "-o", "link", "show", "eth0"]));
        }
        lines
    }
}

/// What differs, in short. A line may be there twice.
pub fn difference(wanted: &[String], found: &[String]) -> Option<String> {
    let only = |some: &[String], others: &[String]| -> Vec<String> {
        let mut others = others.to_vec();
        let mut some = some.to_vec();
        some.retain(|line| match others.iter().position(|other| other == line) {
            Some(place) => {
                others.swap_remove(place);
                false
            }
            None => true,
        });
        some.iter()
            .map(|line| line.chars().take(150).collect())
            .collect()
    };
    let (missing, extra) = (only(wanted, found), only(found, wanted));
    (wanted != found).then(|| format!("missing {missing:?}, left {extra:?}"))
}
