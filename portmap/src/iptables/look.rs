//! A cheap look for chains, without running a program.

use std::fs;

use common::sys::netlink::{GET, Netlink};
use common::sys::nla::{self, Nla};

use super::tool::Variant;
use crate::mapping::Family;

/// `NFNL_SUBSYS_NFTABLES` (include/uapi/linux/netfilter/nfnetlink.h) and `NFT_MSG_GETCHAIN`
/// (include/uapi/linux/netfilter/nf_tables.h).
const GETCHAIN: u16 = 10 << 8 | 4;
/// `NFTA_CHAIN_TABLE`
const TABLE: u16 = 1;
/// `NFTA_CHAIN_NAME`
const NAME: u16 = 3;

/// Which of the named chains of the nat table may exist in a variant. Where it cannot be found out
/// cheaply, all of them may.
pub fn chains(variant: Variant, family: Family, names: &[String]) -> Vec<String> {
    match variant {
        Variant::Nft => nft_chains(family, names),
        Variant::Legacy if has_legacy_nat(family) => names.to_vec(),
        Variant::Legacy => Vec::new(),
    }
}

fn nft_chains(family: Family, names: &[String]) -> Vec<String> {
    // Without nf_tables there are no chains of its own.
    let Ok(mut socket) = Netlink::netfilter() else {
        return Vec::new();
    };
    let number = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    let mut exists = |name: &&String| {
        let attributes = [Nla::text(TABLE, "nat"), Nla::text(NAME, name)];
        nla::body(&[number, 0, 0, 0], &attributes)
            .and_then(|body| socket.request_bytes(GETCHAIN, GET, &body))
            .is_ok()
    };
    names.iter().filter(|name| exists(name)).cloned().collect()
}

/// Whether the legacy nat table is there: it is made, for each namespace, by its first use.
fn has_legacy_nat(family: Family) -> bool {
    let file = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    fs::read_to_string(file).is_ok_and(|names| names.lines().any(|name| name == "nat"))
}
