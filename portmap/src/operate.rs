//! What the tool for people needs of this plugin.

use common::cache::Cache;
use common::operate::{Claim, Part};
use common::result::Prefix;
use common::sys::lock::Children;
use common::{Attachment, Drift, Error, Family, Operate, Request};

use crate::backend::Leaving;
use crate::config::Config;
use crate::host_port;
use crate::iptables::Names;
use crate::limits::Node;
use crate::list::row::Row;
use crate::options::BackendKind;
use crate::plan::Plan;
use crate::turn;
use crate::{Portmap, backends, iptables, list, many, moved, nftables, outlook};

impl Operate for Portmap {
    type Row = Row;

    fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
        many::drifts(requests)
    }

    fn missing(requests: &[&Request], found: &[Row]) -> Vec<Result<Vec<Row>, Error>> {
        list::missing(requests, found)
    }

    fn add_all(requests: &[&Request]) -> Vec<Result<(), Error>> {
        many::add(requests)
    }

    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
        list::owners(cache)
    }

    fn plans(requests: &[&Request]) -> Vec<Result<Vec<String>, Error>> {
        let (node, mut names) = (Node::default(), Names::default());
        let plan = |request: &&Request| plan(request, &node, &mut names);
        requests.iter().map(plan).collect()
    }

    fn leftovers(
        parts: &[(&Attachment, &[Request])],
        cache: &Cache,
    ) -> Vec<Result<Vec<Drift>, Error>> {
        moved::leftovers(parts, cache)
    }

    fn retire(former: &[Request], now: &[Request]) -> Result<(), Error> {
        moved::retire(former, now)
    }

    fn remove(request: &Request) -> Result<(), Error> {
        let _turn = turn::of(&request.attachment, Children::DoNotHold)?;
        crate::remove_all(&Leaving::of(request).all(), &request.log)
    }

    fn claims(request: &Request) -> Vec<Claim> {
        let config = Config::parse(request).map(|(config, _)| config);
        config.map_or_else(|_| Vec::new(), |config| claims(&config))
    }

    fn names(request: &Request) -> Vec<String> {
        let Ok((config, _)) = Config::parse(request) else {
            return Vec::new();
        };
        let mappings = config.mappings.iter();
        let served = mappings.filter(|mapping| {
            let mut families = Family::ALL.into_iter();
            families.any(|family| config.can_serve(mapping, family))
        });
        host_port::sorted(served.map(|mapping| mapping.host_port()))
    }

    fn kernel() -> Vec<Part> {
        outlook::kernel()
    }

    fn choice(request: &Request) -> Result<Option<String>, Error> {
        outlook::choice(request)
    }

    fn hazard(request: &Request) -> Result<Option<String>, Error> {
        outlook::hazard(request)
    }

    fn judge(request: &Request) -> Result<(), Error> {
        Config::of_network(request).map(drop)
    }
}

/// What ADD would make, beside chains of the list's other entries.
fn plan(request: &Request, node: &Node, names: &mut Names) -> Result<Vec<String>, Error> {
    let (config, _) = Config::parse(request)?;
    let plan = Plan::of(&config, node)?;
    if plan.families.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = match backends::choose(&config)? {
        BackendKind::Iptables => iptables::shown(&plan, &config, names)?,
        BackendKind::Nftables => nftables::shown(&plan),
    };
    if let Some(container) = crate::reached_from_loopback(&plan) {
        let way = format!("of the interface towards {container}");
        lines.push(format!("sysctl route_localnet {way} = 1"));
    }
    Ok(lines)
}

/// The host ports of a configuration: one claim for each prefix that it is limited to. Which addresses its
/// interfaces have is left open: who names other interfaces claims something else.
fn claims(config: &Config) -> Vec<Claim> {
    let of_family = |family| {
        let limits = &config.limits;
        let only = limits.scope().map(|_| limits.by_address(family));
        let served = config.mappings.iter();
        let served = served.filter(move |mapping| config.can_serve(mapping, family));
        served.flat_map(move |mapping| {
            let port = mapping.host_port();
            let interfaces = only.as_ref().map(|_| limits.interfaces());
            let what = host_port::claimed(family, port, interfaces.as_deref());
            match (port.address, &only) {
                (Some(_), _) | (None, None) => vec![Claim::of(what)],
                (None, Some(prefixes)) => {
                    let at = |prefix: &Prefix| Claim {
                        what: what.clone(),
                        at: Some(*prefix),
                    };
                    prefixes.iter().map(at).collect()
                }
            }
        })
    };
    Family::ALL.into_iter().flat_map(of_family).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::read;

    /// Whether a newer attachment has all that an older one claims.
    fn has_all(newer: &str, older: &str) -> bool {
        let of = |options: &str| {
            let (limits, host_ip) = options.split_once(' ').unwrap_or((options, ""));
            let port = format!(
                r#"{{"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"{host_ip}"}}"#
            );
            let lists = limits.split(';').map(|list| match list.split_once('=') {
                Some((key, items)) => format!(r#""{key}":["{}"],"#, items.replace(',', r#"",""#)),
                None => String::new(),
            });
            let keys: String = lists.collect();
            claims(
                &read(&format!(
                    r#"{keys}"runtimeConfig":{{"portMappings":[{port}]}}"#
                ))
                .unwrap(),
            )
        };
        let (newer, older) = (of(newer), of(older));
        assert!(!older.is_empty());
        let is_taken = |claim: &Claim| newer.iter().any(|newer| newer.covers(claim));
        older.iter().all(is_taken)
    }

    #[test]
    fn claims_are_compared_prefix_by_prefix() {
        let net = "hostAddresses=192.0.2.0/24";
        for (newer, older, expected) in [
            ("", "", true),
            (net, net, true),
            (net, "hostAddresses=192.0.2.9,192.0.2.128/25", true),
            ("hostAddresses=192.0.2.0/25", net, false),
            ("hostAddresses=198.51.100.0/24", net, false),
            (net, "hostAddresses=192.0.2.9,198.51.100.9", false),
            // Who has less comes first.
            ("", net, false),
            (net, "", false),
            (net, "none 192.0.2.9", false),
            ("none 192.0.2.9", "none 192.0.2.9", true),
            ("none 192.0.2.9", "none 192.0.2.8", false),
            ("hostInterfaces=eth0", "hostInterfaces=eth0", true),
            ("hostInterfaces=eth0", "hostInterfaces=eth1", false),
            (
                "hostInterfaces=eth0",
                "hostInterfaces=eth0;hostAddresses=192.0.2.0/24,fd00::/8",
                true,
            ),
        ] {
            assert_eq!(has_all(newer, older), expected, "{newer:?} {older:?}");
        }
    }
}
