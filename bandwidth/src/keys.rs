//! The keys of this plugin, for warnings, `cnictl lint` and the schema.

use common::keys::{Key, Kind, key};

/// The most that a burst may be, in bits.
const MOST_BURST: u64 = 8 * (u32::MAX as u64) - 1;

/// Keys of the configuration, and of `runtimeConfig.bandwidth`.
pub const LIMITS: &[Key] = &[
    key("ingressRate", Kind::Amount(0, u64::MAX)),
    key("ingressBurst", Kind::Amount(0, MOST_BURST)),
    key("egressRate", Kind::Amount(0, u64::MAX)),
    key("egressBurst", Kind::Amount(0, MOST_BURST)),
    key("unshapedSubnets", Kind::Strings),
    key("shapedSubnets", Kind::Strings),
];

const OWN: &[Key] = &[
    key("burstPolicy", Kind::Text),
    key("queue", Kind::OneOf(&["fq_codel", "fifo"])),
    key("latencyMs", Kind::Integer(1, 10_000)),
    key("filterPriority", Kind::Integer(1, 65_530)),
    key(
        "runtimeConfig",
        Kind::Object(&[key("bandwidth", Kind::Object(LIMITS))]),
    ),
];

/// All of them.
pub const KEYS: &[&[Key]] = &[LIMITS, OWN];
