//! Broken nodes, and the line of a command that names the cause.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sandbox::plugin::{Call, directory};
use sandbox::probe::tcp::Server;
use serde_json::{Value, json};

use super::place::{Backend, NETWORK, Place, Said};

/// A node with one pod, its port 8000 mapped, and someone who listens there.
pub struct Node {
    pub place: Place,
    pub server: Option<Server>,
}

impl Node {
    pub fn new(backend: Backend) -> Node {
        let place = Place::new(backend, 2);
        for plugin in ["tuning", "portmap", "bandwidth"] {
            place.attach(plugin, 0, &place.capabilities(0));
        }
        let server = Server::start(place.pod(0), 80, "pod").unwrap();
        let node = Node {
            place,
            server: Some(server),
        };
        fs::create_dir(node.conf_dir()).unwrap();
        fs::create_dir(node.bin_dir()).unwrap();
        for plugin in ["tuning", "portmap", "bandwidth"] {
            symlink(directory().join(plugin), node.bin_dir().join(plugin)).unwrap();
        }
        fs::write(node.bin_dir().join("bridge"), "").unwrap();
        node.network(|_| {});
        node
    }

    pub fn conf_dir(&self) -> PathBuf {
        self.place.directory.join("net.d")
    }

    pub fn bin_dir(&self) -> PathBuf {
        self.place.directory.join("bin")
    }

    /// Writes the network's configuration, changed.
    pub fn network(&self, change: impl FnOnce(&mut Value)) {
        let mut list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": [
            {"type": "bridge", "bridge": "cni0"},
            {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}},
            {"type": "portmap", "backend": self.place.backend.key(),
             "capabilities": {"portMappings": true}},
        ]});
        change(&mut list);
        fs::write(self.conf_dir().join("10-net1.conflist"), list.to_string()).unwrap();
    }

    pub fn host(&self, line: &str) {
        let lock = self.place.directory.join("lock");
        let mut command = self.place.net.host.command("sh");
        command.args(["-c", line]).env("XTABLES_LOCKFILE", lock);
        assert!(command.status().unwrap().success(), "{line}");
    }

    pub fn pod(&self, line: &str) {
        self.place.pod(0).sh(["sh", "-c", line]);
    }

    pub fn tool(&self, line: &str) -> Call {
        let (conf, bin) = (self.conf_dir(), self.bin_dir());
        let (conf, bin) = (conf.display().to_string(), bin.display().to_string());
        let mut words: Vec<&str> = line.split(' ').collect();
        if words[0] == "doctor" {
            words.extend(["--conf-dir", &conf, "--path", &bin]);
        }
        self.place.tool(&words)
    }

    pub fn run(&self, line: &str) -> Said {
        Said::of(self.tool(line).run(&self.place.net.host).unwrap())
    }
}

/// The command names the cause in one line: severity and object, then what it means.
#[track_caller]
pub fn says(said: &Said, severity: &str, object: &str, text: &str) {
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(severity).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(object) && rest.contains(text))
    };
    let count = said.stdout.lines().filter(is_it).count();
    assert_eq!(
        count, 1,
        "{severity} {object}: {text}\n{}\n{}",
        said.stdout, said.stderr
    );
    let has_error = said.stdout.lines().any(|line| line.starts_with("error"));
    assert_eq!(said.code, Some(i32::from(has_error)), "{said:?}");
}

/// Each row is a test: the backend, what breaks the node, the command, and what it says.
macro_rules! broken_nodes {
    ($($name:ident: $backend:ident, $line:literal, $severity:literal, $object:literal, $text:literal, $break:expr;)*) => {
        $(#[test]
        fn $name() {
            let mut node = $crate::operators::broken::Node::new($crate::operators::place::Backend::$backend);
            let breaks: fn(&mut $crate::operators::broken::Node) = $break;
            breaks(&mut node);
            $crate::operators::broken::says(&node.run($line), $severity, $object, $text);
        })*
    };
}
pub(super) use broken_nodes;
