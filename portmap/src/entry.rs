//! Several `portmap` entries in one list. Each gets its own ADD, CHECK and DEL for the same attachment, and
//! nothing in its request but its configuration says which one it is.
//!
//! So an entry is what it limits its mappings by: the four keys below. What it makes belongs to an owner of its
//! own, the attachment with the entry's hash behind the interface's name, as in `eth0/0123456789ab`: no
//! interface's name has a slash. An entry without any of the keys is the plain one, whose owner is the
//! attachment itself.

use common::decode::Object;
use common::hash::sha512;
use common::{Attachment, Request};

/// The keys by which the entries of one list differ.
pub const KEYS: [&str; 4] = [
    "conditionsV4",
    "conditionsV6",
    "hostAddresses",
    "hostInterfaces",
];
/// Hexadecimal digits of the hash: a list has a few entries.
const DIGITS: usize = 12;
/// What is between the interface's name and the hash.
const SEPARATOR: char = '/';

/// What a plugin's configuration says of its entry; nothing of the plain one.
fn said(given: Object<'_>) -> String {
    let keys = KEYS.into_iter().filter_map(|key| {
        let text = given.get(key)?.json().to_string();
        (text != "[]").then(|| format!("{key}={text}\n"))
    });
    keys.collect()
}

/// Whether two plugins' configurations are of one entry.
pub fn is_same(one: Object<'_>, other: Object<'_>) -> bool {
    said(one) == said(other)
}

/// Who owns what a request's entry makes. It need not be a valid configuration: DEL does what it can.
pub fn owner(request: &Request) -> Attachment {
    let attachment = request.attachment.clone();
    match said(request.conf.object()) {
        text if text.is_empty() => attachment,
        text => {
            let hash: String = sha512(&[text.as_bytes()]).chars().take(DIGITS).collect();
            owner_of(&attachment, Some(&hash))
        }
    }
}

/// The owner of an attachment's entry; `None` for the plain one.
pub fn owner_of(attachment: &Attachment, entry: Option<&str>) -> Attachment {
    let ifname = &attachment.ifname;
    Attachment {
        ifname: entry.map_or(ifname.clone(), |entry| {
            format!("{ifname}{SEPARATOR}{entry}")
        }),
        ..attachment.clone()
    }
}

/// The entry of an owner; `None` for the plain one.
pub fn of(owner: &Attachment) -> Option<&str> {
    let (_, entry) = owner.ifname.split_once(SEPARATOR)?;
    Some(entry)
}

/// The attachment of an owner.
pub fn attachment(owner: &Attachment) -> Attachment {
    let ifname = owner.ifname.split(SEPARATOR).next().unwrap_or_default();
    Attachment {
        ifname: ifname.to_owned(),
        ..owner.clone()
    }
}

#[cfg(test)]
mod tests {
    use common::netconf::Unversioned;
    use common::request::Environment;
    use common::version::Version;

    use super::*;

    fn owner_by(keys: &str) -> Attachment {
        let conf = format!(r#"{{"name":"net1","cniVersion":"1.0.0"{keys}}}"#);
        let environment = Environment::read(|name| {
            Some(match name {
                "CNI_COMMAND" => "DEL".into(),
                "CNI_IFNAME" => "eth0".into(),
                _ => "x".into(),
            })
        });
        let conf = Unversioned::parse(conf.as_bytes()).unwrap();
        owner(
            &environment
                .unwrap()
                .request(conf.supported(Version::ALL).unwrap()),
        )
    }

    #[test]
    fn the_plain_entry_s_owner_is_the_attachment() {
        for keys in [
            "",
            r#","conditionsV4":null,"conditionsV6":[],"hostAddresses":[]"#,
            r#","snat":false,"backend":"nftables","runtimeConfig":{"portMappings":[]}"#,
        ] {
            let owner = owner_by(keys);
            assert_eq!(
                (owner.ifname.as_str(), of(&owner)),
                ("eth0", None),
                "{keys}"
            );
            assert_eq!(attachment(&owner), owner);
        }
    }

    #[test]
    fn entries_differ_by_what_limits_them_alone() {
        let words = r#"["-s","10.0.0.0/8"]"#;
        let alike = [
            format!(r#","conditionsV4":{words}"#),
            r#","ConditionsV4": ["-s", "10.0.0.0\/8"],"snat":false"#.to_owned(),
            format!(r#","hostInterfaces":[],"masqAll":true,"conditionsV4":{words}"#),
        ];
        let others = [
            format!(r#","conditionsV6":{words}"#),
            format!(r#","conditionsV4":{words},"conditionsV6":{words}"#),
            r#","conditionsV4":["-s 10.0.0.0/8"]"#.to_owned(),
            r#","hostAddresses":["10.0.0.0/8"]"#.to_owned(),
            r#","hostInterfaces":["lo"]"#.to_owned(),
            // DEL of what no ADD would take.
            r#","conditionsV4":"-s 10.0.0.0/8""#.to_owned(),
        ];
        let owners = alike.map(|keys| owner_by(&keys));
        assert!(owners.iter().all(|owner| *owner == owners[0]), "{owners:?}");
        let mut all: Vec<Attachment> = others.iter().map(|keys| owner_by(keys)).collect();
        all.extend([owner_by(""), owners[0].clone()]);
        for (place, owner) in all.iter().enumerate() {
            assert!(!all[..place].contains(owner), "{owner}");
            assert_eq!(attachment(owner), owner_by(""));
            assert_eq!(owner_of(&attachment(owner), of(owner)), *owner);
        }
    }
}
