//! What one plugin is sent: the environment and the bytes on stdin.

pub use common::netconf::ValidAttachment;
use common::version::Version;
use serde_json::{Map, Value, json};

use crate::runner::network::Plugin;
use crate::runner::{Attachment, Network, Runner, Verb};

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

impl Runner {
    /// ADD, CHECK or DEL of one attachment. Capabilities go to plugins that declare them.
    pub fn of_attachment(
        &self,
        verb: Verb,
        (network, plugin): (&Network, &Plugin),
        on: &Attachment,
        prev_result: Option<&Value>,
    ) -> Request {
        let mut config = named(network, plugin);
        if let Some(result) = prev_result {
            config.insert("prevResult".into(), result.clone());
        }
        let mut wanted = on.capabilities.clone();
        wanted.retain(|name, _| plugin.has_capability(name));
        if !wanted.is_empty() {
            config.insert("runtimeConfig".into(), Value::Object(wanted));
        }
        self.request(verb, plugin, on, config)
    }

    /// STATUS: no attachment, its variables are there and empty.
    pub fn of_status(&self, network: &Network, plugin: &Plugin) -> Request {
        let config = named(network, plugin);
        self.request(Verb::Status, plugin, &Attachment::default(), config)
    }

    /// GC. Without a list the plugin learns nothing about attachments, as with cnitool.
    pub fn of_gc(
        &self,
        network: &Network,
        plugin: &Plugin,
        valid: Option<&[ValidAttachment]>,
    ) -> Request {
        let mut config = named(network, plugin);
        if let Some(valid) = valid {
            let one = |v: &ValidAttachment| json!({"containerID": v.container, "ifname": v.ifname});
            let valid: Value = valid.iter().map(one).collect();
            // libcni sends the list under both names, since the specification once had the second.
            config.insert("cni.dev/valid-attachments".into(), valid.clone());
            config.insert("cni.dev/attachments".into(), valid);
        }
        self.request(Verb::Gc, plugin, &Attachment::default(), config)
    }

    /// The document has all keys in alphabetical order: so libcni sends it, whatever the file's order,
    /// and a chain must not seem to work here because of an order that a runtime would not keep.
    fn request(
        &self,
        verb: Verb,
        plugin: &Plugin,
        on: &Attachment,
        config: Map<String, Value>,
    ) -> Request {
        let path: Vec<String> = self
            .path
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        let mut config = Value::Object(config);
        config.sort_all_objects();
        Request {
            plugin: plugin.kind.clone(),
            verb,
            env: environment(verb, on, path.join(":")),
            stdin: config.to_string().into_bytes(),
        }
    }
}

fn named(network: &Network, plugin: &Plugin) -> Map<String, Value> {
    let mut config = plugin.config.clone();
    config.insert("name".into(), network.name.clone().into());
    config.insert("cniVersion".into(), network.cni_version.clone().into());
    config
}

/// VERSION. Plugins built on old libraries insist on the variables, so they get dummies.
pub fn version(plugin: &str) -> Request {
    let dummy = Attachment {
        netns: "dummy".into(),
        ifname: "dummy".into(),
        ..Attachment::default()
    };
    let newest = json!({"cniVersion": Version::V110.text()});
    Request {
        plugin: plugin.to_owned(),
        verb: Verb::Version,
        env: environment(Verb::Version, &dummy, "dummy".into()),
        stdin: newest.to_string().into_bytes(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::cache::Cache;

    const LIST: &str = r#"{"name":"n","cniVersion":"1.1.0","plugins":[
        {"type":"b","name":"other","sysctl":{"z":"1","a":"2"},"capabilities":{"mac":true,"ips":false}}]}"#;

    fn runner(path: &[&str]) -> Runner {
        Runner {
            path: path.iter().map(Into::into).collect(),
            cache: Cache::new(""),
            builtin: None,
            is_traced: false,
        }
    }

    fn stdin(request: &Request) -> &str {
        std::str::from_utf8(&request.stdin).unwrap()
    }

    #[test]
    fn keys_go_out_sorted_and_only_declared_capabilities_with_them() {
        let network = Network::parse_list(LIST.as_bytes()).unwrap();
        let runner = runner(&["/a", "/b"]);
        let mut on = Attachment {
            container: "c".into(),
            ifname: "eth0".into(),
            ..Attachment::default()
        };
        for name in ["mac", "ips", "portMappings"] {
            on.capabilities.insert(name.into(), json!("x"));
        }
        let request = runner.of_attachment(
            Verb::Del,
            (&network, &network.plugins[0]),
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
        let network = Network::parse_list(LIST.as_bytes()).unwrap();
        let runner = runner(&[]);
        let valid = ValidAttachment {
            container: "c".into(),
            ifname: "eth0".into(),
        };
        let request = runner.of_gc(&network, &network.plugins[0], Some(&[valid]));
        let list = r#":[{"containerID":"c","ifname":"eth0"}]"#;
        assert!(stdin(&request).contains(&format!(
            r#""cni.dev/attachments"{list},"cni.dev/valid-attachments"{list}"#
        )));
        let without = runner.of_gc(&network, &network.plugins[0], None);
        assert!(!stdin(&without).contains("attachments"));
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
