//! The text of a backup: JSON.

use common::decode::Object;
use common::error::short;
use common::json::{Fields, Json};
use common::mac::Mac;
use common::sys::link::Change;
use common::{Attachment, Error};

use super::{Backup, Shown};
use crate::offload::{self, Side, Value, Wish};
use crate::originals::Originals;
use crate::sysctl::Name;

/// The keys of an owner.
const OWNER: [&str; 3] = ["network", "container", "ifname"];

impl Backup {
    /// Reads a file of ours or of the reference. What does not make sense is reported in words;
    /// the rest is still good.
    pub fn parse(bytes: &[u8]) -> (Backup, Vec<String>) {
        let fields = match Json::parse(bytes) {
            Ok(Json::Object(fields)) => fields,
            Ok(other) => return (Backup::default(), vec![format!("it is {}", other.kind())]),
            Err(cause) => return (Backup::default(), vec![format!("it is not JSON: {cause}")]),
        };
        let mut faults = Vec::new();
        let object = Object::root(&fields);
        let backup = Backup {
            owner: owner(object, &mut faults),
            netns: sound(object.nonempty("netns"), &mut faults),
            originals: Originals {
                sysctls: sysctls(object, &mut faults),
                link: link(object, &mut faults),
                offloads: offloads(object, &mut faults),
            },
            shown: shown(object, &mut faults),
        };
        (backup, faults)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let Backup {
            owner,
            netns,
            originals,
            shown,
        } = self;
        let Originals {
            sysctls,
            link,
            offloads,
        } = originals;
        let mut fields: Fields = link.iter().filter_map(|change| field(*change)).collect();
        if let Some(Attachment {
            network,
            container,
            ifname,
        }) = owner
        {
            let names = [network, container, ifname].map(|name| name.as_str().into());
            fields.extend(OWNER.map(str::to_owned).into_iter().zip(names));
        }
        fields.extend(netns.as_deref().map(|n| ("netns".into(), n.into())));
        if !sysctls.is_empty() {
            let values = sysctls.iter();
            let values = values.map(|(name, value)| (name.text(), value.as_str().into()));
            fields.push(("sysctl".into(), Json::Object(values.collect())));
        }
        for side in originals.sides() {
            let own = offloads.iter().filter(|(of, _)| *of == side);
            let own = own.map(|(_, value)| (value.name.clone(), Json::Bool(value.on)));
            fields.push((side.key().into(), Json::Object(own.collect())));
        }
        if !shown.is_empty() {
            let entries = shown.iter().map(|shown| {
                let texts = [&shown.written, &shown.reads].map(|text| text.as_str().into());
                (shown.name.text(), Json::Array(texts.to_vec()))
            });
            fields.push(("shown".into(), Json::Object(entries.collect())));
        }
        Json::Object(fields).pretty()
    }
}

/// Whose a backup is; `None` unless all of it is said.
fn owner(object: Object<'_>, faults: &mut Vec<String>) -> Option<Attachment> {
    let [network, container, ifname] = OWNER.map(|key| sound(object.nonempty(key), faults));
    Some(Attachment {
        network: network?,
        container: container?,
        ifname: ifname?,
    })
}

fn offloads(object: Object<'_>, faults: &mut Vec<String>) -> Vec<(Side, Value)> {
    let mut all = Vec::new();
    for side in Side::ALL {
        let wishes = offload::parse(object, side);
        let wishes = sound(wishes.map(Some), faults).unwrap_or_default();
        all.extend(
            wishes
                .into_iter()
                .map(|Wish { written, on, .. }| (side, Value { name: written, on })),
        );
    }
    all
}

/// What was read, unless it is a fault.
fn sound<T>(read: Result<Option<T>, Error>, faults: &mut Vec<String>) -> Option<T> {
    read.unwrap_or_else(|error| {
        faults.push(error.to_string());
        None
    })
}

fn field(change: Change) -> Option<(String, Json)> {
    let (key, value) = match change {
        Change::Mac(mac) => ("mac", mac.to_string().into()),
        Change::Promisc(on) => ("promisc", Json::Bool(on)),
        Change::Mtu(mtu) => ("mtu", i64::from(mtu).into()),
        Change::Allmulti(on) => ("allmulti", Json::Bool(on)),
        Change::TxQLen(length) => ("txQLen", i64::from(length).into()),
        Change::Up(_) => return None,
    };
    Some((key.to_owned(), value))
}

fn link(object: Object<'_>, faults: &mut Vec<String>) -> Vec<Change> {
    let mac = |text: String| Mac::from_text(&text).map(Change::Mac);
    let number = |key: &'static str, faults: &mut Vec<String>| {
        let number = sound(object.unsigned(key), faults)?;
        let fits = u32::try_from(number).ok();
        if fits.is_none() {
            faults.push(format!("{key}: {number} is too large"));
        }
        fits
    };
    let mac = sound(object.nonempty("mac"), faults).and_then(|text| {
        let fault = format!("mac: {:?} is not a 6-byte hardware address", short(&text));
        mac(text).or_else(|| {
            faults.push(fault);
            None
        })
    });
    let promisc = sound(object.boolean("promisc"), faults).map(Change::Promisc);
    let mtu = number("mtu", faults)
        .filter(|mtu| *mtu != 0)
        .map(Change::Mtu);
    let allmulti = sound(object.boolean("allmulti"), faults).map(Change::Allmulti);
    let txqlen = number("txQLen", faults).map(Change::TxQLen);
    [mac, promisc, mtu, allmulti, txqlen]
        .into_iter()
        .flatten()
        .collect()
}

fn sysctls(object: Object<'_>, faults: &mut Vec<String>) -> Vec<(Name, String)> {
    named(object, "sysctl", faults, |value| match value {
        Json::String(value) => Some(value.clone()),
        _ => None,
    })
}

fn shown(object: Object<'_>, faults: &mut Vec<String>) -> Vec<Shown> {
    let entries = named(object, "shown", faults, |value| match value {
        Json::Array(texts) => match texts.as_slice() {
            [Json::String(written), Json::String(reads)] => Some((written.clone(), reads.clone())),
            _ => None,
        },
        _ => None,
    });
    let shown = |(name, (written, reads))| Shown {
        name,
        written,
        reads,
    };
    entries.into_iter().map(shown).collect()
}

/// The members of an object whose keys are names of sysctls.
fn named<T>(
    object: Object<'_>,
    key: &'static str,
    faults: &mut Vec<String>,
    read: impl Fn(&Json) -> Option<T>,
) -> Vec<(Name, T)> {
    let object = sound(object.object(key), faults);
    let fields = object.map_or(&[][..], |object| object.fields());
    let mut found = Vec::new();
    for (written, value) in fields {
        match (Name::parse(written, ""), read(value)) {
            (Ok(name), Some(value)) => found.push((name, value)),
            (Err(why), _) => faults.push(format!("{key} {:?}: {why}", short(written))),
            (_, None) => faults.push(format!("{key} {:?} is {}", short(written), value.kind())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Backup {
        let sysctl = |name: &str, value: &str| (Name::parse(name, "").unwrap(), value.to_owned());
        Backup {
            owner: Some(Attachment {
                network: "net1".into(),
                container: "c1".into(),
                ifname: "eth0".into(),
            }),
            netns: Some("a-b/7".into()),
            originals: Originals {
                sysctls: vec![
                    sysctl("net/ipv4/conf/eth0.100/arp_filter", "0"),
                    sysctl("net/core/somaxconn", "4096"),
                ],
                link: vec![
                    Change::Mac(Mac::from_text("02:00:00:00:00:0c").unwrap()),
                    Change::Promisc(false),
                    Change::Mtu(1500),
                    Change::Allmulti(false),
                    Change::TxQLen(1000),
                ],
                offloads: [Side::Container, Side::Host]
                    .map(|side| {
                        let name = "tx-tcp-segmentation".into();
                        (side, Value { name, on: true })
                    })
                    .to_vec(),
            },
            shown: vec![Shown {
                name: Name::parse("net/ipv4/ip_local_reserved_ports", "").unwrap(),
                written: "8080,8081".into(),
                reads: "8080-8081".into(),
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let backup = full();
        assert_eq!(Backup::parse(backup.text().as_bytes()), (backup, vec![]));
    }

    #[test]
    fn the_reference_s_file_is_read() {
        // Recorded: samples 21-tuning-all.
        let text = "{\n \"mac\": \"02:00:00:00:00:0c\",\n \"promisc\": false,\n \"mtu\": 1500,\n \
                    \"allmulti\": false,\n \"txQLen\": 1000\n}";
        let (backup, faults) = Backup::parse(text.as_bytes());
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(backup.originals.link, full().originals.link);
        assert_eq!((backup.owner, backup.netns), (None, None));
    }

    #[test]
    fn what_makes_no_sense_is_reported_and_the_rest_is_kept() {
        for text in ["", "{", "null", "[]", "{\"mtu\": 1500}x", "\0\0\0"] {
            let (backup, faults) = Backup::parse(text.as_bytes());
            assert_eq!((backup, faults.len()), (Backup::default(), 1), "{text:?}");
        }
        let text = r#"{"mac": "x", "mtu": "1500", "txQLen": 4294967296, "promisc": 1,
                       "allmulti": true, "netns": -1, "shown": {"net/a/b": ["1"]},
                       "sysctl": {"net/../kernel/hostname": "x", "net/core/x": 1, "net/a/b": "2"}}"#;
        let (backup, faults) = Backup::parse(text.as_bytes());
        assert_eq!(faults.len(), 8, "{faults:?}");
        assert_eq!(backup.originals.link, [Change::Allmulti(true)]);
        assert_eq!(backup.originals.sysctls.len(), 1);
    }
}
