//! A plugin's part of a list: what ADD would refuse, and unknown keys.

use std::collections::HashSet;

use common::error::{Code, Error};
use common::json::{Fields, Json};
use common::keys::{self, Key, Kind};
use common::log::settings::Settings;
use common::request::Request;
use common::version::Version;
use common::{Operate, Plugin as _};

use super::document::{Document, Finding, Node};
use crate::finding::Severity;
use crate::plugins::{Plugin, of};
use crate::requests::request_of;

/// How ports come to portmap.
pub const PORT_MAPPINGS: &str = "\"capabilities\": {\"portMappings\": true}";
/// How limits come to bandwidth.
pub const BANDWIDTH: &str = "\"capabilities\": {\"bandwidth\": true}";

/// The most that is found of a kind in one part: each is searched for in the text.
const MOST: usize = 50;

/// Words that people write for a key, of a plugin or (`*`) of any, and what to write instead.
const OTHER_WORDS: [(&str, &str, &str); 20] = [
    ("tuning", "txQueueLen", "txQLen"),
    ("tuning", "promiscMode", "promisc"),
    ("tuning", "allmulticast", "allmulti"),
    ("tuning", "sysctlAllowlist", "requireAllowlist"),
    ("portmap", "portMappings", PORT_MAPPINGS),
    ("portmap", "portMaps", PORT_MAPPINGS),
    ("portmap", "ports", PORT_MAPPINGS),
    ("portmap", "hostPort", PORT_MAPPINGS),
    ("portmap", "containerPort", PORT_MAPPINGS),
    ("portmap", "hostIP", PORT_MAPPINGS),
    ("portmap", "masquerade", "masqAll"),
    ("portmap", "ipMasq", "snat"),
    ("portmap", "conditions", "conditionsV4"),
    (
        "bandwidth",
        "bandwidth",
        "ingressRate, egressRate and so on in the entry itself",
    ),
    ("bandwidth", "rate", "ingressRate or egressRate"),
    ("bandwidth", "burst", "ingressBurst or egressBurst"),
    ("bandwidth", "latency", "latencyMs"),
    ("bandwidth", "trafficShaping", BANDWIDTH),
    ("*", "capability", "capabilities"),
    ("*", "cni", "\"args\": {\"cni\": …}"),
];

/// The plugin of ours that a part is for.
pub fn plugin(part: &Node<'_>) -> Option<Plugin> {
    let kind = part.get("type")?;
    super::ours().find(|plugin| Some(plugin.name()) == kind.text())
}

/// The keys of a plugin's own.
pub fn own_keys(plugin: Plugin) -> &'static [&'static [Key]] {
    of!(plugin, P => P::KEYS)
}

/// A plugin's part, and what is found in it.
pub struct Part<'a> {
    /// The document that it is in.
    pub document: &'a Document<'a>,
    /// All of it.
    pub node: Node<'a>,
    /// The plugin.
    pub plugin: Plugin,
    /// The network's name, and the spec version.
    pub network: (&'a str, Version),
}

impl Part<'_> {
    /// Everything but what its capabilities lack: see [`super::capability`].
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = self.refused();
        let keys = self.node.members();
        let keys = keys.filter_map(|(key, at)| self.key(key, &at));
        found.extend(keys.take(MOST));
        found.extend(self.twice());
        found.extend(self.nested(&self.node, own_keys(self.plugin)));
        found
    }

    /// Something that is taken and does something else.
    pub fn warning(&self, at: &Node<'_>, text: String, write: impl Into<String>) -> Finding {
        self.document.finding(Severity::Warning, at, text, write)
    }

    /// What ADD would refuse: the first fault, then those of what is left without it.
    fn refused(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let mut left = self.node.json.clone();
        while found.len() < MOST
            && let Err(error) = self.judge(&left)
        {
            let at = self.node.named(&error.msg);
            let text = format!("{}: {error}", self.plugin.name());
            found.push(
                self.document
                    .finding(Severity::Error, &at, text, self.hint(&error)),
            );
            if !leave_out(&mut left, at.below(&self.node)) {
                break;
            }
        }
        found
    }

    fn judge(&self, part: &Json) -> Result<(), Error> {
        let Part {
            plugin, network, ..
        } = self;
        of!(*plugin, P => {
            let request = request(part, *network)?;
            Settings::parse(request.conf.object())?;
            P::judge(&request)
        })
    }

    /// What a value of the wrong type should be.
    fn hint(&self, error: &Error) -> String {
        let wanted = || {
            let tables = keys::part(own_keys(self.plugin));
            let path = error.msg.split([':', ' ']).next()?;
            let mut keys: Vec<Key> = tables.concat();
            let mut found = None;
            for name in path.split('.') {
                found = keys
                    .iter()
                    .find(|key| key.name.eq_ignore_ascii_case(name))
                    .copied();
                keys = match found?.kind {
                    Kind::Object(inner) | Kind::Objects(inner, _) => inner.to_vec(),
                    _ => Vec::new(),
                };
            }
            found
        };
        match (error.code == Code::Decoding).then(wanted).flatten() {
            Some(key) => written(key.kind),
            None => String::new(),
        }
    }

    fn key(&self, key: &str, at: &Node<'_>) -> Option<Finding> {
        let name = self.plugin.name();
        let ignored = || format!("{key:?} is not a key of {name} and is ignored");
        let tables = keys::part(own_keys(self.plugin));
        if is_known(key, &tables) {
            return of_the_runtime(key)
                .map(|write| self.warning(at, format!("{key} is for the runtime to send"), write));
        }
        if key.starts_with('_') {
            return None;
        }
        if let Some(other) = owner(key) {
            let whose = format!("{key:?} is a key of {}; {name} ignores it", other.name());
            return Some(self.warning(at, whose, format!("it in the entry of {}", other.name())));
        }
        if let Some(known) = keys::meant(key, &tables) {
            return Some(self.warning(at, ignored(), known));
        }
        let mut words = OTHER_WORDS.iter();
        let (_, _, write) = words.find(|(whose, word, _)| {
            [name, "*"].contains(whose) && keys::near(key, word).is_some()
        })?;
        Some(self.warning(at, ignored(), *write))
    }

    fn twice(&self) -> Vec<Finding> {
        let mut seen = HashSet::new();
        let all: Vec<_> = self.node.members().collect();
        let later = all
            .into_iter()
            .rev()
            .filter(|(key, _)| !seen.insert(key.to_ascii_lowercase()));
        later
            .take(MOST)
            .map(|(key, at)| {
                self.warning(
                    &at,
                    format!("{key} appears twice, the last one wins"),
                    "it once",
                )
            })
            .collect()
    }

    /// Misspelt keys within the values of known ones.
    fn nested(&self, node: &Node<'_>, tables: &[&[Key]]) -> Vec<Finding> {
        let mut found = Vec::new();
        for key in tables.iter().flat_map(|table| table.iter()) {
            let (Kind::Object(inner), Some(value)) = (key.kind, node.get(key.name)) else {
                continue;
            };
            for (written, at) in value.members() {
                if let Some(known) = keys::meant(written, &[inner]) {
                    let text = format!("{written:?} is not a key of {} and is ignored", key.name);
                    found.push(self.warning(&at, text, known));
                }
            }
            found.extend(self.nested(&value, &[inner]));
        }
        found
    }
}

fn is_known(key: &str, tables: &[&[Key]]) -> bool {
    let mut all = tables.iter().flat_map(|table| table.iter());
    all.any(|known| known.name.eq_ignore_ascii_case(key))
}

/// The plugin of ours that has a key of its own.
pub fn owner(key: &str) -> Option<Plugin> {
    let shared = is_known(key, &[keys::SHARED]);
    super::ours().find(|plugin| !shared && is_known(key, own_keys(*plugin)))
}

/// What a file should have in the place of a key that runtimes fill.
pub fn of_the_runtime(key: &str) -> Option<&'static str> {
    match key.to_ascii_lowercase().as_str() {
        "runtimeconfig" => Some("\"capabilities\" for it"),
        "prevresult" => Some("nothing"),
        name if name.starts_with("cni.dev/") => Some("nothing"),
        _ => None,
    }
}

/// How a value of a kind is written.
fn written(kind: Kind) -> String {
    match kind {
        Kind::Any => String::new(),
        Kind::Text => "a string in quotes".into(),
        Kind::OneOf(all) => format!("one of {all:?}"),
        Kind::Boolean => "true or false".into(),
        Kind::Integer(least, most) => format!("a number from {least} to {most}"),
        Kind::Amount(..) => "bits as a number, or a string such as \"10M\"".into(),
        Kind::Strings => "a list of strings".into(),
        Kind::Booleans => "an object of booleans".into(),
        Kind::Values => "an object of strings".into(),
        Kind::Object(_) => "an object".into(),
        Kind::Objects(..) => "a list of objects".into(),
    }
}

/// Treats a value as absent, and what is invalid without it; false if nothing was there to take. An
/// item of a list goes with its list.
fn leave_out(part: &mut Json, path: &[usize]) -> bool {
    let (Json::Object(fields), Some((number, rest))) = (part, path.split_first()) else {
        return false;
    };
    let Some((key, value)) = fields.get_mut(*number) else {
        return false;
    };
    if !leave_out(value, rest) {
        if *value == Json::Null {
            return false;
        }
        *value = Json::Null;
        if let Some(direction) = key.to_ascii_lowercase().strip_suffix("rate") {
            let burst = format!("{direction}burst");
            fields.retain(|(key, _)| !key.eq_ignore_ascii_case(&burst));
        }
    }
    true
}

/// The request of an ADD that has a part of a list.
///
/// # Errors
/// What ADD would refuse.
pub fn request(part: &Json, (network, version): (&str, Version)) -> Result<Request, Error> {
    let Json::Object(fields) = part else {
        return Err(Error::new(Code::Decoding, "no object"));
    };
    let is_ours = |(key, _): &&(String, Json)| {
        !["name", "cniversion"].contains(&key.to_ascii_lowercase().as_str())
    };
    let mut fields: Fields = fields.iter().filter(is_ours).cloned().collect();
    fields.push(("name".into(), network.into()));
    fields.push(("cniVersion".into(), version.text().into()));
    request_of(
        Json::Object(fields).to_string().as_bytes(),
        Version::ALL,
        &[
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "lint"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", "/"),
            ("CNI_PATH", "/"),
        ],
    )
}
