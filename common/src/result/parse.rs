//! Reads `prevResult` in the shape of its configuration's version.

use std::net::IpAddr;

use super::{CniResult, Dns, Interface, IpConfig, Prefix, Route};
use crate::decode::{Object, Value};
use crate::error::{Code, Error, short};
use crate::json::Json;
use crate::version::{Family, Version};

impl CniResult {
    /// Reads a result that came with a configuration of `version`.
    ///
    /// The result may name another version of the same family (a 1.0.0 result in a 1.1.0
    /// configuration); without one it counts as the configuration's.
    ///
    /// # Errors
    /// Code 6 for values of the wrong type and for malformed addresses, code 1 for a result of
    /// another family.
    pub fn parse(raw: Object<'_>, version: Version) -> Result<CniResult, Error> {
        if let Some(own) = raw.nonempty("cniVersion")?
            && Version::from_text(&own).map(Version::family) != Some(version.family())
        {
            return Err(Error::new(
                Code::IncompatibleVersion,
                format!(
                    "prevResult has cniVersion {:?}, which a configuration of version {version} cannot carry",
                    short(&own)
                ),
            ));
        }
        match version.family() {
            Family::Ip4Ip6 => ip4_ip6(raw),
            Family::Lists | Family::One => lists(raw),
        }
    }
}

fn lists(raw: Object<'_>) -> Result<CniResult, Error> {
    Ok(CniResult {
        interfaces: each(raw, "interfaces", interface)?,
        ips: each(raw, "ips", ip_config)?,
        routes: each(raw, "routes", route)?,
        dns: dns(raw)?,
        extra: raw.unknown(&["cniVersion", "interfaces", "ips", "routes", "dns"]),
    })
}

fn each<'a, T>(
    raw: Object<'a>,
    key: &'static str,
    read: impl Fn(Value<'a>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    raw.list(key)?.into_iter().map(read).collect()
}

fn interface(value: Value<'_>) -> Result<Interface, Error> {
    let raw = value.object()?;
    Ok(Interface {
        name: raw.string("name")?.unwrap_or_default(),
        mac: raw.string("mac")?.unwrap_or_default(),
        mtu: raw.integer("mtu")?.filter(|mtu| *mtu != 0),
        sandbox: raw.string("sandbox")?.unwrap_or_default(),
        socket_path: raw.string("socketPath")?.unwrap_or_default(),
        pci_id: raw.string("pciID")?.unwrap_or_default(),
        extra: raw.unknown(&["name", "mac", "mtu", "sandbox", "socketPath", "pciID"]),
    })
}

fn ip_config(value: Value<'_>) -> Result<IpConfig, Error> {
    let raw = value.object()?;
    // `version` follows from the address; it is checked for its type and printed again.
    raw.string("version")?;
    Ok(IpConfig {
        address: prefix(raw, "address", value)?,
        gateway: address(raw, "gateway")?,
        interface: raw.integer("interface")?,
        extra: raw.unknown(&["version", "address", "gateway", "interface"]),
    })
}

fn route(value: Value<'_>) -> Result<Route, Error> {
    let raw = value.object()?;
    for key in ["mtu", "advmss", "priority", "table", "scope"] {
        raw.integer(key)?;
    }
    Ok(Route {
        dst: prefix(raw, "dst", value)?,
        gw: address(raw, "gw")?,
        rest: raw.unknown(&["dst", "gw"]),
    })
}

fn dns(raw: Object<'_>) -> Result<Dns, Error> {
    let Some(raw) = raw.object("dns")? else {
        return Ok(Dns::default());
    };
    Ok(Dns {
        nameservers: raw.strings("nameservers")?,
        domain: raw.string("domain")?.unwrap_or_default(),
        search: raw.strings("search")?,
        options: raw.strings("options")?,
        extra: raw.unknown(&["nameservers", "domain", "search", "options"]),
    })
}

fn ip4_ip6(raw: Object<'_>) -> Result<CniResult, Error> {
    let mut result = CniResult {
        dns: dns(raw)?,
        extra: raw.unknown(&["cniVersion", "ip4", "ip6", "dns"]),
        ..CniResult::default()
    };
    for key in ["ip4", "ip6"] {
        let Some(value) = raw.get(key) else { continue };
        let raw = value.object()?;
        let address_of = prefix(raw, "ip", value)?;
        if address_of.addr.is_ipv4() != (key == "ip4") {
            return Err(value.refuse(format!("{address_of} is of the other address family")));
        }
        result.ips.push(IpConfig {
            address: address_of,
            gateway: address(raw, "gateway")?,
            interface: None,
            extra: raw.unknown(&["ip", "gateway", "routes"]),
        });
        result.routes.extend(each(raw, "routes", route)?);
    }
    Ok(result)
}

fn prefix(raw: Object<'_>, key: &'static str, of: Value<'_>) -> Result<Prefix, Error> {
    let expected = "an address and prefix length such as 10.0.0.1/24";
    match raw.get(key) {
        Some(value) => value.parse(expected, |json| match json {
            Json::String(text) => Prefix::from_text(text),
            _ => None,
        }),
        None => Err(of.refuse(format!("{key} is missing"))),
    }
}

fn address(raw: Object<'_>, key: &'static str) -> Result<Option<IpAddr>, Error> {
    let Some(value) = raw.get(key) else {
        return Ok(None);
    };
    value.parse("an IP address", |json| match json {
        Json::String(text) if text.is_empty() => Some(None),
        Json::String(text) => text.parse().ok().map(Some),
        _ => None,
    })
}
