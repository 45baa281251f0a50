//! Offloads as a configuration names them: the kernel's names, or those of ethtool(8) for several.

pub mod ends;

use common::decode::Object;
use common::error::short;
use common::sys::ethtool::Feature;
use common::{Code, Error};

/// ethtool's names, short and long, and the kernel's features behind them. What an interface cannot
/// switch of a group is left alone, as by ethtool.
const GROUPS: [(&[&str], &[&str]); 11] = [
    (&["rx", "rx-checksumming"], &["rx-checksum"]),
    (
        &["tx", "tx-checksumming"],
        &[
            "tx-checksum-ipv4",
            "tx-checksum-ip-generic",
            "tx-checksum-ipv6",
            "tx-checksum-fcoe-crc",
            "tx-checksum-sctp",
        ],
    ),
    (
        &["sg", "scatter-gather"],
        &["tx-scatter-gather", "tx-scatter-gather-fraglist"],
    ),
    (
        &["tso", "tcp-segmentation-offload"],
        &[
            "tx-tcp-segmentation",
            "tx-tcp-ecn-segmentation",
            "tx-tcp-mangleid-segmentation",
            "tx-tcp6-segmentation",
        ],
    ),
    (
        &["gso", "generic-segmentation-offload"],
        &["tx-generic-segmentation"],
    ),
    (&["gro", "generic-receive-offload"], &["rx-gro"]),
    (&["lro", "large-receive-offload"], &["rx-lro"]),
    (&["rxvlan", "rx-vlan-offload"], &["rx-vlan-hw-parse"]),
    (&["txvlan", "tx-vlan-offload"], &["tx-vlan-hw-insert"]),
    (&["ntuple", "ntuple-filters"], &["rx-ntuple-filter"]),
    (&["rxhash", "receive-hashing"], &["rx-hashing"]),
];

/// The longest name in bytes (`ETH_GSTRING_LEN` in include/uapi/linux/ethtool.h, with its NUL).
const LONGEST: usize = 31;

/// Whose offloads they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The container's interface.
    Container,
    /// Its peer on the node.
    Host,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Container, Side::Host];

    /// The key in a configuration and in a backup.
    pub fn key(self) -> &'static str {
        match self {
            Side::Container => "offload",
            Side::Host => "hostOffload",
        }
    }
}

/// An offload that a configuration switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The interface's end.
    pub side: Side,
    /// The name as written.
    pub written: String,
    /// On or off.
    pub on: bool,
}

/// The value of one feature of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Value {
    /// The kernel's name.
    pub name: String,
    /// On or off.
    pub on: bool,
}

/// Reads the key of one side.
///
/// # Errors
/// Code 6 for values of the wrong type, code 7 for names that cannot be and features switched twice.
pub fn parse(conf: Object<'_>, side: Side) -> Result<Vec<Wish>, Error> {
    let mut wishes: Vec<Wish> = Vec::new();
    let Some(object) = conf.object(side.key())? else {
        return Ok(wishes);
    };
    for (written, _) in object.fields() {
        let refused = |why: &str| {
            let key = side.key();
            Error::new(
                Code::InvalidConfig,
                format!("{key}.{:?}: {why}", short(written)),
            )
        };
        if !is_name(written) {
            return Err(refused(
                "not the name of an offload: use one that ethtool -k prints",
            ));
        }
        let Some(on) = object.boolean(written)? else {
            continue;
        };
        let wish = Wish {
            side,
            written: written.clone(),
            on,
        };
        if let Some(other) = wishes.iter().find(|other| other.overlaps(&wish)) {
            return Err(refused(&format!("{} sets the same feature", other.written)));
        }
        wishes.push(wish);
    }
    Ok(wishes)
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_part)
}

impl Wish {
    /// The kernel's names for it, and whether it is one of ethtool's names for several.
    fn features(&self) -> (Vec<&str>, bool) {
        let is_of = |(names, _): &&(&[&str], &[&str])| names.contains(&self.written.as_str());
        match GROUPS.iter().find(is_of) {
            Some((_, features)) => (features.to_vec(), true),
            None => (vec![self.written.as_str()], false),
        }
    }

    /// Whether the kernel has it, on whatever interface.
    pub fn is_known(&self, features: &[Feature]) -> bool {
        let names = self.features().0;
        features.iter().any(|f| names.contains(&f.name.as_str()))
    }

    fn overlaps(&self, other: &Wish) -> bool {
        let features = other.features().0;
        self.features().0.iter().any(|name| features.contains(name))
    }

    /// The features of an interface that this switches; none where they are fixed as wanted.
    ///
    /// # Errors
    /// Code 7 when the kernel has no such feature, or the interface cannot change it.
    pub fn values(&self, link: &str, known: &[Feature]) -> Result<Vec<Value>, Error> {
        let (names, is_group) = self.features();
        let found: Vec<&Feature> = known
            .iter()
            .filter(|feature| names.contains(&feature.name.as_str()))
            .collect();
        let refused = |why: &str| {
            let what = format!("{}.{} of {link}: {why}", self.side.key(), self.written);
            Err(Error::new(Code::InvalidConfig, what))
        };
        let changeable = found.iter().filter(|feature| feature.is_changeable);
        let values: Vec<Value> = changeable
            .map(|feature| Value {
                name: feature.name.clone(),
                on: self.on,
            })
            .collect();
        let is_fixed_otherwise = |feature: &&Feature| feature.active != self.on;
        match (found.is_empty(), values.is_empty()) {
            (true, _) => refused("this kernel has no such offload"),
            // Of a group it is enough that one can be switched, or one is as wanted.
            (_, true) if is_group && !found.iter().all(&is_fixed_otherwise) => Ok(values),
            (_, true) if found.iter().any(is_fixed_otherwise) => {
                refused("the interface cannot change it")
            }
            _ => Ok(values),
        }
    }
}

/// The values of one side.
pub fn of_side(values: &[(Side, Value)], side: Side) -> Vec<Value> {
    let own = values.iter().filter(|(of, _)| *of == side);
    own.map(|(_, value)| value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::json::Json;

    fn parsed(text: &str) -> Result<Vec<Wish>, Code> {
        let text = format!("{{\"offload\":{text}}}");
        match Json::parse(text.as_bytes()).unwrap() {
            Json::Object(fields) => {
                parse(Object::root(&fields), Side::Container).map_err(|error| error.code)
            }
            other => panic!("{other:?}"),
        }
    }

    fn feature(name: &str, is_changeable: bool, on: bool) -> Feature {
        Feature {
            name: name.into(),
            is_changeable,
            wanted: on,
            active: on,
        }
    }

    #[test]
    fn names_are_ethtool_s_and_none_is_switched_twice() {
        assert_eq!(
            parsed(r#"{"tso":false,"gso":true,"rx-gro":null}"#)
                .unwrap()
                .len(),
            2
        );
        for (text, code) in [
            ("5", Code::Decoding),
            (r#"{"tso":1}"#, Code::Decoding),
            (r#"{"TSO":true}"#, Code::InvalidConfig),
            (r#"{"":true}"#, Code::InvalidConfig),
            (r#"{"a b":true}"#, Code::InvalidConfig),
            (
                r#"{"tso":true,"tcp-segmentation-offload":true}"#,
                Code::InvalidConfig,
            ),
            (
                r#"{"tso":true,"tx-tcp-segmentation":false}"#,
                Code::InvalidConfig,
            ),
            (r#"{"lro":true,"lro":true}"#, Code::InvalidConfig),
        ] {
            assert_eq!(parsed(text), Err(code), "{text}");
        }
    }

    #[test]
    fn of_a_group_what_can_be_switched_is_and_a_name_must_be_one_that_can() {
        let known = [
            feature("tx-tcp-segmentation", true, true),
            feature("tx-tcp6-segmentation", false, false),
            feature("rx-lro", false, false),
            feature("highdma", false, true),
        ];
        let values = |written: &str, on: bool| {
            let wish = Wish {
                side: Side::Container,
                written: written.into(),
                on,
            };
            let values = wish.values("eth0", &known).map_err(|error| error.code)?;
            Ok(values
                .into_iter()
                .map(|value| value.name)
                .collect::<Vec<_>>())
        };
        assert_eq!(
            values("tso", false),
            Ok(vec!["tx-tcp-segmentation".to_owned()])
        );
        assert_eq!(values("lro", false), Ok(vec![]));
        assert_eq!(values("highdma", true), Ok(vec![]));
        for (written, on) in [
            ("lro", true),
            ("highdma", false),
            ("gro", true),
            ("none", true),
        ] {
            assert_eq!(values(written, on), Err(Code::InvalidConfig), "{written}");
        }
    }
}
