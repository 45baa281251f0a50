//! The keys of this plugin, for warnings, `cnictl lint` and the schema.

use common::keys::{Key, Kind, key};

/// What `args.cni` may have, too.
const ATTRIBUTES: &[Key] = &[
    key("sysctl", Kind::Values),
    key("mac", Kind::Text),
    key("mtu", Kind::Integer(0, u32::MAX as u64)),
    key("promisc", Kind::Boolean),
    key("allmulti", Kind::Boolean),
    key("txQLen", Kind::Integer(0, u32::MAX as u64)),
];

const OWN: &[Key] = &[
    key("offload", Kind::Booleans),
    key("hostOffload", Kind::Booleans),
    key("requireAllowlist", Kind::Boolean),
    key("dataDir", Kind::Text),
    key("runtimeConfig", Kind::Object(&[key("mac", Kind::Text)])),
    key(
        "args",
        Kind::Object(&[key("cni", Kind::Object(ATTRIBUTES))]),
    ),
];

/// All of them.
pub const KEYS: &[&[Key]] = &[ATTRIBUTES, OWN];
