//! Links, addresses and routes, as `ip` sees them.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use super::{Link, json};
use crate::namespace::Namespace;

pub(super) fn links_and_addresses(
    namespace: &Namespace,
) -> io::Result<(BTreeMap<String, Link>, Vec<String>)> {
    let (mut links, mut addresses) = (BTreeMap::new(), Vec::new());
    for value in json::list(namespace, &["ip", "-j", "-d", "address", "show"])? {
        let name = json::text(&value, "ifname");
        for address in array(&value, "addr_info") {
            let (ip, length) = (
                json::text(address, "local"),
                json::number(address, "prefixlen"),
            );
            if !is_automatic(&ip) {
                let scope = json::text(address, "scope");
                addresses.push(format!("{ip}/{length} dev {name} scope {scope}"));
            }
        }
        links.insert(name, link(&value));
    }
    addresses.sort();
    Ok((links, addresses))
}

fn link(value: &Value) -> Link {
    let flag = |name: &str| array(value, "flags").iter().any(|flag| flag == name);
    Link {
        kind: value
            .get("linkinfo")
            .map(|info| json::text(info, "info_kind"))
            .unwrap_or_default(),
        mac: json::text(value, "address"),
        mtu: json::number(value, "mtu"),
        up: flag("UP"),
        promisc: flag("PROMISC"),
        promiscuity: json::number(value, "promiscuity"),
        allmulti: flag("ALLMULTI"),
        txqlen: json::number(value, "txqlen"),
        master: json::text(value, "master"),
        alias: json::text(value, "ifalias"),
    }
}

pub(super) fn routes(namespace: &Namespace) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        for mut route in json::list(
            namespace,
            &["ip", "-j", family, "route", "show", "table", "all"],
        )? {
            if !is_automatic(&json::text(&route, "dst")) {
                // Life time, and whether the carrier has been seen.
                json::strip(&mut route, &["expires", "flags"]);
                lines.push(route.to_string());
            }
        }
    }
    lines.sort();
    Ok(lines)
}

/// IPv6 link-local addresses, their routes and the multicast route: the kernel adds them a moment after
/// the link is up, so they would differ by chance.
fn is_automatic(destination: &str) -> bool {
    destination.starts_with("fe80:") || destination == "ff00::/8"
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
