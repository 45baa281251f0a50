//! What one plugin is sent: the environment and the bytes on stdin.

use std::path::PathBuf;

pub use common::netconf::ValidAttachment;
use serde_json::{Map, Value, json};

use crate::runner::network::Plugin;
use crate::runner::spec_version::NEWEST;
use crate::runner::{Attachment, Network, Verb};

/// One call of one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The `type` of the configuration.
    pub plugin: String,
    /// The verb.
    pub verb: Verb,
    /// The `CNI_*` variables; the plugin inherits the others from the runner.
    pub env: Vec<(&'static str, String)>,
    /// The document on stdin.
    pub stdin: Vec<u8>,
}

/// Writes requests for the plugins of one network.
pub struct RequestWriter<'a> {
    /// The network: its name and version go into every request.
    pub network: &'a Network,
    /// The directories for `CNI_PATH`.
    pub path: &'a [PathBuf],
}

impl RequestWriter<'_> {
    /// ADD, CHECK or DEL of one attachment. Capabilities go to plugins that declare them.
    pub fn attachment(
        &self,
        verb: Verb,
        plugin: &Plugin,
        on: &Attachment,
        prev_result: Option<&Value>,
    ) -> Request {
        let mut config = self.named(plugin);
        if let Some(result) = prev_result {
            config.insert("prevResult".into(), result.clone());
        }
        let wanted = on
            .capabilities
            .iter()
            .filter(|(name, _)| plugin.has_capability(name));
        let wanted: Map<String, Value> = wanted
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !wanted.is_empty() {
            config.insert("runtimeConfig".into(), Value::Object(wanted));
        }
        let env = environment(verb, on, self.cni_path());
        Request {
            plugin: plugin.kind.clone(),
            verb,
            env,
            stdin: document(config),
        }
    }

    /// STATUS: no attachment, its variables are there and empty.
    pub fn status(&self, plugin: &Plugin) -> Request {
        self.of_network(Verb::Status, plugin, self.named(plugin))
    }

    /// GC. Without a list the plugin learns nothing about attachments, as with cnitool.
    pub fn gc(&self, plugin: &Plugin, valid: Option<&[ValidAttachment]>) -> Request {
        let mut config = self.named(plugin);
        if let Some(valid) = valid {
            let valid: Value = valid
                .iter()
                .map(|v| json!({"containerID": v.container, "ifname": v.ifname}))
                .collect();
            // libcni sends the list under both names, since the specification once had the second.
            config.insert("cni.dev/valid-attachments".into(), valid.clone());
            config.insert("cni.dev/attachments".into(), valid);
        }
        self.of_network(Verb::Gc, plugin, config)
    }

    fn of_network(&self, verb: Verb, plugin: &Plugin, config: Map<String, Value>) -> Request {
        let env = environment(verb, &Attachment::default(), self.cni_path());
        Request {
            plugin: plugin.kind.clone(),
            verb,
            env,
            stdin: document(config),
        }
    }

    fn named(&self, plugin: &Plugin) -> Map<String, Value> {
        let mut config = plugin.config.clone();
        config.insert("name".into(), self.network.name.clone().into());
        config.insert("cniVersion".into(), self.network.cni_version.clone().into());
        config
    }

    fn cni_path(&self) -> String {
        let path: Vec<String> = self
            .path
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        path.join(":")
    }
}

/// VERSION. Plugins built on old libraries insist on the variables, so they get dummies.
pub fn version(plugin: &str) -> Request {
    let dummy = Attachment {
        netns: "dummy".into(),
        ifname: "dummy".into(),
        ..Attachment::default()
    };
    let stdin = json!({ "cniVersion": NEWEST.to_string() })
        .to_string()
        .into_bytes();
    let env = environment(Verb::Version, &dummy, "dummy".into());
    Request {
        plugin: plugin.to_owned(),
        verb: Verb::Version,
        env,
        stdin,
    }
}

fn environment(verb: Verb, on: &Attachment, path: String) -> Vec<(&'static str, String)> {
    vec![
        ("CNI_COMMAND", verb.name().to_owned()),
        ("CNI_CONTAINERID", on.container.clone()),
        ("CNI_NETNS", on.netns.clone()),
        ("CNI_ARGS", on.cni_args()),
        ("CNI_IFNAME", on.ifname.clone()),
        ("CNI_PATH", path),
    ]
}

/// The document with all keys in alphabetical order: so libcni sends it, whatever the file's order,
/// and a chain must not seem to work here because of an order that a runtime would not keep.
fn document(config: Map<String, Value>) -> Vec<u8> {
    let mut config = Value::Object(config);
    config.sort_all_objects();
    config.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"name":"n","cniVersion":"1.1.0","plugins":[
        {"type":"b","name":"other","sysctl":{"z":"1","a":"2"},"capabilities":{"mac":true,"ips":false}}]}"#;

    fn stdin(request: &Request) -> &str {
        std::str::from_utf8(&request.stdin).unwrap()
    }

    #[test]
    fn keys_go_out_sorted_and_only_declared_capabilities_with_them() {
        let network = Network::parse_list("", LIST.as_bytes()).unwrap();
        let writer = RequestWriter {
            network: &network,
            path: &["/a".into(), "/b".into()],
        };
        let mut on = Attachment {
            container: "c".into(),
            ifname: "eth0".into(),
            ..Attachment::default()
        };
        for name in ["mac", "ips", "portMappings"] {
            on.capabilities.insert(name.into(), json!("x"));
        }
        let request = writer.attachment(
            Verb::Del,
            &network.plugins[0],
            &on,
            Some(&json!({"ips": []})),
        );
        assert_eq!(
            stdin(&request),
            r#"{"capabilities":{"ips":false,"mac":true},"cniVersion":"1.1.0","name":"n","prevResult":{"ips":[]},"runtimeConfig":{"mac":"x"},"sysctl":{"a":"2","z":"1"},"type":"b"}"#
        );
        assert_eq!(request.env.last(), Some(&("CNI_PATH", "/a:/b".to_owned())));
    }

    #[test]
    fn gc_carries_the_list_under_both_names_or_under_none() {
        let network = Network::parse_list("", LIST.as_bytes()).unwrap();
        let writer = RequestWriter {
            network: &network,
            path: &[],
        };
        let valid = ValidAttachment {
            container: "c".into(),
            ifname: "eth0".into(),
        };
        let request = writer.gc(&network.plugins[0], Some(&[valid]));
        let list = r#":[{"containerID":"c","ifname":"eth0"}]"#;
        assert!(stdin(&request).contains(&format!(
            r#""cni.dev/attachments"{list},"cni.dev/valid-attachments"{list}"#
        )));
        assert!(!stdin(&writer.gc(&network.plugins[0], None)).contains("attachments"));
    }

    #[test]
    fn version_is_asked_with_dummies() {
        let request = version("a");
        assert_eq!(stdin(&request), r#"{"cniVersion":"1.1.0"}"#);
        let env: Vec<String> = request
            .env
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            env.join(" "),
            "CNI_COMMAND=VERSION CNI_CONTAINERID= CNI_NETNS=dummy CNI_ARGS= CNI_IFNAME=dummy CNI_PATH=dummy"
        );
    }
}
