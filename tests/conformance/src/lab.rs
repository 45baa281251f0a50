//! What a case works with: a directory of its own and, where it asks for it, a host with pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox::topology::Net;
use sandbox::{Snapshot, Topology};
use serde_json::{Value, json};

use crate::failure::{Failure, Verdict, ensure};
use crate::group::Group;
use crate::json::merged;
use crate::request::Request;

/// A laboratory for one case.
pub struct Lab {
    /// What the case is about.
    pub group: Group,
    dir: PathBuf,
}

/// A host with pods. Every namespace goes when it is dropped.
pub struct Pods<'l> {
    /// The laboratory it stands in.
    pub lab: &'l Lab,
    /// The namespaces.
    pub net: Net,
}

/// Kernel state and state files at one moment.
pub struct State {
    host: Snapshot,
    pods: Vec<Snapshot>,
    files: Vec<String>,
}

impl Lab {
    /// A laboratory with an empty directory below `base`.
    pub fn new(group: Group, base: &Path) -> Result<Self, Failure> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let dir = base.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir_all(dir.join("data"))?;
        Ok(Self { group, dir })
    }

    /// Its directory. `data` in it is tuning's `dataDir`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// tuning's `dataDir`.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A host with one pod.
    pub fn pod(&self) -> Result<Pods<'_>, Failure> {
        self.build(&Topology::new())
    }

    /// A host with so many pods.
    pub fn pods(&self, count: u8) -> Result<Pods<'_>, Failure> {
        self.build(&Topology::new().containers(count))
    }

    /// Any picture.
    pub fn build(&self, topology: &Topology) -> Result<Pods<'_>, Failure> {
        Ok(Pods {
            lab: self,
            net: topology.build()?,
        })
    }

    /// A configuration that makes the plugin do something, without what the runtime adds.
    pub fn usual(&self) -> Value {
        match self.group.plugin() {
            "tuning" => json!({"mtu": 1400, "txQLen": 77}),
            "portmap" => json!({"runtimeConfig": {"portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                {"hostPort": 8081, "containerPort": 81, "protocol": "udp"}]}}),
            _ => json!({"ingressRate": 8_000_000, "ingressBurst": 800_000,
                "egressRate": 16_000_000, "egressBurst": 1_600_000}),
        }
    }

    /// The keys of a configuration that every request of this group has.
    pub fn base(&self) -> Value {
        let plugin = self.group.plugin();
        let base = json!({"cniVersion": "1.0.0", "name": "net1", "type": plugin});
        match plugin {
            "tuning" => merged(&base, &json!({"dataDir": self.data_dir()})),
            "portmap" => merged(&base, &json!({"backend": self.group.backend()})),
            _ => base,
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Only temporary files: what stays behind goes with the directory of the whole run.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl<'l> Pods<'l> {
    /// A request for the first pod.
    pub fn request(&self, conf: Value) -> Request<'_> {
        Request::new(self, 0, conf)
    }

    /// The usual request for the first pod.
    pub fn usual(&self) -> Request<'_> {
        self.request(self.lab.usual())
    }

    /// A request for another pod.
    pub fn request_for(&self, pod: usize, conf: Value) -> Request<'_> {
        Request::new(self, pod, conf)
    }

    /// The state of host, state files and pods. portmap has no business in pods, and sysctls are
    /// tuning's alone; cases of their own look at `route_localnet`.
    pub fn state(&self) -> Result<State, Failure> {
        let mut files = Vec::new();
        list(&self.lab.data_dir(), &mut files);
        let plugin = self.lab.group.plugin();
        let pods = self.net.containers.iter().filter(|_| plugin != "portmap");
        let take = match plugin {
            "tuning" => Snapshot::take,
            _ => Snapshot::take_without_sysctls,
        };
        Ok(State {
            host: Snapshot::take_without_sysctls(&self.net.host)?,
            pods: pods.map(|pod| take(pod)).collect::<Result<_, _>>()?,
            files,
        })
    }

    /// Fails when the state is not what it was.
    pub fn unchanged(&self, since: &State) -> Verdict {
        let lines = since.diff(&self.state()?);
        ensure(lines.is_empty(), || {
            format!("state changed: {}", lines.join("; "))
        })
    }

    /// Fails when there is a state file.
    pub fn no_files(&self) -> Verdict {
        let mut files = Vec::new();
        list(&self.lab.data_dir(), &mut files);
        ensure(files.is_empty(), || {
            format!("state files stay: {}", files.join(", "))
        })
    }
}

impl State {
    /// What is different later.
    fn diff(&self, later: &Self) -> Vec<String> {
        let mut lines = self.host.diff(&later.host);
        // The kernel makes local routes of IPv6 some time after the address.
        lines.retain(|line| !(line.starts_with("route ") && line.contains("\"type\":\"local\"")));
        for (old, new) in self.pods.iter().zip(&later.pods) {
            lines.extend(
                old.diff(new)
                    .into_iter()
                    .filter(|line| !line.starts_with("route "))
                    .map(|line| format!("in the pod: {line}")),
            );
        }
        if self.files != later.files {
            lines.push(format!("state files {:?} → {:?}", self.files, later.files));
        }
        lines
    }
}

fn list(directory: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            list(&entry.path(), files);
        } else {
            files.push(entry.path().display().to_string());
        }
    }
    files.sort();
}
