//! Prints results in the shape and with the key order of each spec version.

use super::{CniResult, Dns, Interface, IpConfig, Route, text};
use crate::json::{Fields, Json};
use crate::version::{Family, Version};

impl CniResult {
    /// The result as a document of `version`.
    ///
    /// Key order is the reference's: alphabetical from 1.0.0 on, before that as the Go structures
    /// list them, with `dns` always there. What a version cannot say is left out: interfaces and all
    /// but the first address of each family before 0.3.0; `mtu`, `socketPath` and `pciID` before
    /// 1.0.0.
    pub fn to_json(&self, version: Version) -> Json {
        let mut fields: Fields = vec![("cniVersion".into(), version.text().into())];
        match version.family() {
            Family::Ip4Ip6 => fields.extend(self.ip4_ip6()),
            Family::Lists | Family::One => fields.extend(self.lists(version)),
        }
        let dns = dns(&self.dns);
        if version.family() != Family::One || !dns.is_empty() {
            fields.push(("dns".into(), Json::Object(dns)));
        }
        fields.extend(self.extra.iter().cloned());
        let document = Json::Object(fields);
        match version.family() {
            Family::One => document.sorted(),
            Family::Ip4Ip6 | Family::Lists => document,
        }
    }

    fn lists(&self, version: Version) -> Fields {
        let interfaces = self.interfaces.iter().map(|i| interface(i, version));
        let ips = self.ips.iter().map(|ip| ip_config(ip, version));
        let lists = [
            list("interfaces", interfaces.collect()),
            list("ips", ips.collect()),
            list("routes", self.routes.iter().map(route).collect()),
        ];
        lists.into_iter().flatten().collect()
    }

    fn ip4_ip6(&self) -> Fields {
        ["ip4", "ip6"]
            .into_iter()
            .filter_map(|key| {
                let v4 = key == "ip4";
                let ip = self.ips.iter().find(|ip| ip.address.addr.is_ipv4() == v4)?;
                let routes = self.routes.iter().filter(|r| r.dst.addr.is_ipv4() == v4);
                Some((key.to_owned(), family(ip, routes.map(route).collect())))
            })
            .collect()
    }
}

fn family(ip: &IpConfig, routes: Vec<Json>) -> Json {
    let mut fields: Fields = vec![("ip".into(), ip.address.to_string().into())];
    fields.extend(
        ip.gateway
            .map(|gw| ("gateway".into(), gw.to_string().into())),
    );
    if !routes.is_empty() {
        fields.push(("routes".into(), Json::Array(routes)));
    }
    fields.extend(ip.extra.iter().cloned());
    Json::Object(fields)
}

fn interface(interface: &Interface, version: Version) -> Json {
    let Interface {
        name,
        mac,
        mtu,
        sandbox,
        socket_path,
        pci_id,
        extra,
    } = interface;
    let mut fields: Fields = vec![("name".into(), name.as_str().into())];
    fields.extend(text("mac", mac));
    if version.family() == Family::One {
        fields.extend(mtu.map(|mtu| ("mtu".into(), mtu.into())));
        fields.extend(text("socketPath", socket_path));
        fields.extend(text("pciID", pci_id));
    }
    fields.extend(text("sandbox", sandbox));
    fields.extend(extra.iter().cloned());
    Json::Object(fields)
}

fn ip_config(ip: &IpConfig, version: Version) -> Json {
    let IpConfig {
        address,
        gateway,
        interface,
        extra,
    } = ip;
    let mut fields = Fields::new();
    if version.family() == Family::Lists {
        let version = if address.addr.is_ipv4() { "4" } else { "6" };
        fields.push(("version".into(), version.into()));
    }
    fields.extend(interface.map(|index| ("interface".into(), index.into())));
    fields.push(("address".into(), address.to_string().into()));
    fields.extend(gateway.map(|gw| ("gateway".into(), gw.to_string().into())));
    fields.extend(extra.iter().cloned());
    Json::Object(fields)
}

fn route(route: &Route) -> Json {
    let Route { dst, gw, rest } = route;
    let mut fields: Fields = vec![("dst".into(), dst.to_string().into())];
    fields.extend(gw.map(|gw| ("gw".into(), gw.to_string().into())));
    fields.extend(rest.iter().cloned());
    Json::Object(fields)
}

fn dns(dns: &Dns) -> Fields {
    let Dns {
        nameservers,
        domain,
        search,
        options,
        extra,
    } = dns;
    let texts = |items: &[String]| items.iter().map(|item| item.as_str().into()).collect();
    let known = [
        list("nameservers", texts(nameservers)),
        text("domain", domain),
        list("search", texts(search)),
        list("options", texts(options)),
    ];
    let known = known.into_iter().flatten();
    known.chain(extra.iter().cloned()).collect()
}

/// A member that is a list, unless it is empty.
fn list(key: &str, items: Vec<Json>) -> Option<(String, Json)> {
    (!items.is_empty()).then(|| (key.to_owned(), Json::Array(items)))
}
