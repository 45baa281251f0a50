//! The keys of this plugin, for warnings, `cnictl lint` and the schema.

use common::keys::{Key, Kind, key};

const MAPPING: &[Key] = &[
    key("hostPort", Kind::Integer(1, 65535)),
    key("containerPort", Kind::Integer(1, 65535)),
    key("protocol", Kind::Text),
    key("hostIP", Kind::Text),
];

const OWN: &[Key] = &[
    key("backend", Kind::OneOf(&["iptables", "nftables"])),
    key("snat", Kind::Boolean),
    key("masqAll", Kind::Boolean),
    key("markMasqBit", Kind::Integer(0, 31)),
    key("externalSetMarkChain", Kind::Text),
    key("conditionsV4", Kind::Strings),
    key("conditionsV6", Kind::Strings),
    key("hostAddresses", Kind::Strings),
    key("hostInterfaces", Kind::Strings),
    key("onConflict", Kind::OneOf(&["replace", "error"])),
    key(
        "runtimeConfig",
        Kind::Object(&[key("portMappings", Kind::Objects(MAPPING, 3))]),
    ),
];

/// All of them.
pub const KEYS: &[&[Key]] = &[OWN];
