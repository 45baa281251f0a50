//! One request to the plugin under test, and how it is varied.

use sandbox::plugin::{Call, directory};
use sandbox::topology::Node;
use serde_json::{Value, json};

use crate::exec;
use crate::failure::{Failure, Verdict};
use crate::json::{merged, without};
use crate::lab::Pods;
use crate::reply::Reply;

/// A request for one pod: configuration and environment, for any verb.
#[derive(Clone)]
pub struct Request<'p> {
    pods: &'p Pods<'p>,
    pod: usize,
    conf: Value,
    raw: Option<Vec<u8>>,
    env: Vec<(String, Option<String>)>,
    prepare: Option<String>,
}

impl<'p> Request<'p> {
    /// The base configuration, `conf`, and a prevResult of the version in it.
    pub fn new(pods: &'p Pods<'p>, pod: usize, conf: Value) -> Self {
        let conf = merged(&pods.lab.base(), &conf);
        let new = Self {
            pods,
            pod,
            conf: Value::Null,
            raw: None,
            env: Vec::new(),
            prepare: None,
        };
        let version = conf["cniVersion"].as_str().unwrap_or("1.0.0").to_owned();
        let conf = merged(&json!({"prevResult": new.previous(&version)}), &conf);
        Self { conf, ..new }
    }

    /// The pod it is for.
    pub fn node(&self) -> Option<&'p Node> {
        self.pods.net.containers.get(self.pod)
    }

    /// The configuration that goes to stdin.
    pub fn conf(&self) -> &Value {
        &self.conf
    }

    /// With other or more keys.
    pub fn with(self, conf: Value) -> Self {
        let conf = merged(&self.conf, &conf);
        Self { conf, ..self }
    }

    /// With a key replaced as a whole.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.conf = without(&self.conf, key);
        self.with(json!({key: value}))
    }

    /// Without a key.
    pub fn without(self, key: &str) -> Self {
        let conf = without(&self.conf, key);
        Self { conf, ..self }
    }

    /// In another spec version, prevResult and all.
    pub fn version(self, version: &str) -> Self {
        let previous = self.previous(version);
        self.set("cniVersion", json!(version))
            .set("prevResult", previous)
    }

    /// With these bytes on stdin.
    pub fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            raw: Some(bytes.into()),
            ..self
        }
    }

    /// With an environment variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), Some(value.to_owned())));
        self
    }

    /// Without an environment variable.
    pub fn no_env(mut self, key: &str) -> Self {
        self.env.push((key.to_owned(), None));
        self
    }

    /// For another container ID.
    pub fn id(self, id: &str) -> Self {
        self.env("CNI_CONTAINERID", id)
    }

    /// For another interface, which prevResult then names.
    pub fn interface(self, name: &str) -> Self {
        let mut previous = self.conf["prevResult"].clone();
        if let Some(interface) = previous.pointer_mut("/interfaces/1") {
            interface["name"] = json!(name);
        }
        self.set("prevResult", previous).env("CNI_IFNAME", name)
    }

    /// In another network.
    pub fn network(self, name: &str) -> Self {
        self.set("name", json!(name))
    }

    /// For another attachment: network, container ID and interface.
    pub fn attachment(self, (network, id, interface): (&str, &str, &str)) -> Self {
        self.network(network).id(id).interface(interface)
    }

    /// With `CNI_NETNS` present and empty, as runtimes send it once the namespace is gone.
    pub fn no_namespace(self) -> Self {
        self.env("CNI_NETNS", "")
    }

    /// As containerd repeats a DEL: no namespace, no prevResult, no runtimeConfig.
    pub fn forgotten(self) -> Self {
        self.no_namespace()
            .without("prevResult")
            .without("runtimeConfig")
    }

    /// In a mount namespace of the plugin's own in which these shell commands have run.
    pub fn prepared(self, commands: &str) -> Self {
        Self {
            prepare: Some(commands.to_owned()),
            ..self
        }
    }

    /// ADD, which must succeed; the request then carries the result, as a runtime's CHECK and DEL do.
    pub fn added(self) -> Result<Self, Failure> {
        let result = self.call("ADD")?.result()?;
        Ok(self.set("prevResult", result))
    }

    /// ADD, CHECK and DEL, the last two without a word.
    pub fn comes_and_goes(self) -> Verdict {
        let request = self.added()?;
        request.check()?.silent()?;
        request.del()?.silent()
    }

    /// ADD.
    pub fn add(&self) -> Result<Reply, Failure> {
        self.call("ADD")
    }

    /// CHECK.
    pub fn check(&self) -> Result<Reply, Failure> {
        self.call("CHECK")
    }

    /// DEL.
    pub fn del(&self) -> Result<Reply, Failure> {
        self.call("DEL")
    }

    /// GC of the network with these attachments still valid, as libcni sends it.
    pub fn gc(&self, valid: &[(&str, &str)]) -> Result<Reply, Failure> {
        let valid: Vec<_> = valid
            .iter()
            .map(|(id, ifname)| json!({"containerID": id, "ifname": ifname}))
            .collect();
        let request = self.clone().without("prevResult").without("runtimeConfig");
        request
            .set("cniVersion", json!("1.1.0"))
            .with(json!({"cni.dev/valid-attachments": valid}))
            .env("CNI_CONTAINERID", "")
            .env("CNI_NETNS", "")
            .env("CNI_IFNAME", "")
            .call("GC")
    }

    /// Any verb.
    pub fn call(&self, verb: &str) -> Result<Reply, Failure> {
        let plugin = self.pods.lab.group.plugin();
        let program = directory().join(plugin);
        let name = match self.prepare {
            Some(_) => "/usr/bin/unshare".to_owned(),
            None => program.display().to_string(),
        };
        let mut call = Call::new(&name, verb)
            .env("PATH", &exec::path(self.pods.lab.group.variant()))
            .env("CNI_PATH", &directory().display().to_string())
            .env(
                "XTABLES_LOCKFILE",
                &self
                    .pods
                    .lab
                    .dir()
                    .join("xtables.lock")
                    .display()
                    .to_string(),
            );
        if let Some(node) = self.node() {
            call = call.netns(node);
        }
        for (key, value) in &self.env {
            call = match value {
                Some(value) => call.env(key, value),
                None => call.without(key),
            };
        }
        let mut command = call.command(&self.pods.net.host);
        if let Some(prepare) = &self.prepare {
            // The plugin's own PATH may lack the tools that the preparation needs.
            let script = format!(
                "path=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin\n{prepare}\nPATH=$path; export PATH; exec {}",
                program.display()
            );
            command.args(["--mount", "/bin/sh", "-ec", &script]);
        }
        let stdin = match &self.raw {
            Some(raw) => raw.clone(),
            None => self.conf.to_string().into_bytes(),
        };
        Ok(Reply::new(verb, exec::run(command, stdin)?))
    }

    /// What the main plugin returned, in the shape of a spec version.
    fn previous(&self, version: &str) -> Value {
        let Some(node) = self.node() else {
            return Value::Null;
        };
        let number = self.pod;
        let (v4, v6) = (format!("{}/16", node.ipv4), format!("{}/64", node.ipv6));
        let (gateway4, gateway6) = ("10.22.0.1", "fd00:22::1");
        if matches!(version, "0.1.0" | "0.2.0") {
            return json!({"cniVersion": version, "dns": {},
                "ip4": {"ip": v4, "gateway": gateway4, "routes": [{"dst": "0.0.0.0/0"}]},
                "ip6": {"ip": v6, "gateway": gateway6}});
        }
        let mut result = json!({
            "cniVersion": version,
            "interfaces": [
                {"name": node.host_interface, "mac": format!("02:00:00:00:{number:02x}:0a")},
                {"name": "eth0", "mac": format!("02:00:00:00:{number:02x}:0c"),
                 "sandbox": node.namespace.path()},
            ],
            "ips": [
                {"interface": 1, "address": v4, "gateway": gateway4},
                {"interface": 1, "address": v6, "gateway": gateway6},
            ],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dns": {},
        });
        if matches!(version, "0.3.0" | "0.3.1" | "0.4.0") {
            for (ip, family) in result["ips"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .zip(["4", "6"])
            {
                ip["version"] = json!(family);
            }
        }
        result
    }
}
