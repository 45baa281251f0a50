//! Capabilities: what a runtime passes to plugins in `runtimeConfig`, from the command line.
//!
//! The shapes are those of the CNI conventions (CONVENTIONS.md, "Dynamic Plugin specific fields").

use std::net::IpAddr;
use std::num::NonZeroU16;

use common::error::short;
use serde_json::{Map, Value, json};

use crate::cli::network::Attach;
use crate::runner::{Error, Network, Result};

/// The burst that goes with a rate, if none is given: what comes in 10 ms ...
const BURST_PER_SECOND: u64 = 100;
/// ... but at least three of the largest packets that the kernel hands to a device (64 KiB each), in bits.
const SMALLEST_BURST: u64 = 3 * 65536 * 8;

/// What the options ask for, as one object: added to `json`, an object as in `CAP_ARGS`, or in the place of what
/// that has under the same name.
///
/// # Errors
/// What is wrong with one of them.
pub fn collect(attach: &Attach, json: Option<&str>) -> Result<Map<String, Value>> {
    let mut all = json.map_or_else(|| Ok(Map::new()), object)?;
    for pair in &attach.capabilities {
        let (name, value) = named(pair)?;
        all.insert(name, value);
    }
    for mapping in &attach.publish {
        let list = all.entry("portMappings").or_insert_with(|| json!([]));
        let list = list.as_array_mut();
        let list = list.ok_or_else(|| usage("portMappings is not a list", mapping))?;
        list.push(port_mapping(mapping)?);
    }
    for (direction, limit) in [("ingress", &attach.ingress), ("egress", &attach.egress)] {
        let Some(limit) = limit else { continue };
        let (rate, burst) = rate_and_burst(limit)?;
        let bandwidth = all.entry("bandwidth").or_insert_with(|| json!({}));
        let bandwidth = bandwidth.as_object_mut();
        let bandwidth = bandwidth.ok_or_else(|| usage("bandwidth is not an object", limit))?;
        bandwidth.insert(format!("{direction}Rate"), rate.into());
        bandwidth.insert(format!("{direction}Burst"), burst.into());
    }
    if let Some(mac) = &attach.mac {
        all.insert("mac".into(), mac.as_str().into());
    }
    if !attach.ips.is_empty() {
        all.insert("ips".into(), json!(attach.ips));
    }
    Ok(all)
}

/// The capabilities that no plugin of the chain declares: no plugin gets them.
pub fn unclaimed<'a>(network: &Network, capabilities: &'a Map<String, Value>) -> Vec<&'a str> {
    let plugins = &network.plugins;
    let is_claimed = |name: &&str| plugins.iter().any(|plugin| plugin.has_capability(name));
    let names = capabilities.keys().map(String::as_str);
    names.filter(|name| !is_claimed(name)).collect()
}

fn object(text: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(usage("CAP_ARGS is not a JSON object", text)),
        Err(error) => Err(usage(&format!("CAP_ARGS is not JSON ({error})"), text)),
    }
}

fn named(pair: &str) -> Result<(String, Value)> {
    let expected = "--capability expects NAME=JSON, such as mac='\"02:00:00:00:00:01\"'";
    let parts = pair.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, json) = parts.ok_or_else(|| usage(expected, pair))?;
    let value = serde_json::from_str(json).map_err(|error| {
        let problem = format!("--capability {}: not JSON ({error})", short(name));
        usage(&problem, json)
    })?;
    Ok((name.to_owned(), value))
}

/// `[IP:]HOSTPORT:CONTAINERPORT[/PROTOCOL]`, an IPv6 address in brackets, the protocol tcp if left out.
fn port_mapping(text: &str) -> Result<Value> {
    let expected = "--publish expects [IP:]HOSTPORT:CONTAINERPORT[/tcp|udp|sctp]";
    let wrong = || usage(expected, text);
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !["tcp", "udp", "sctp"].contains(&protocol) {
        return Err(wrong());
    }
    let (rest, container) = ports.rsplit_once(':').ok_or_else(wrong)?;
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (Some(ip), host),
        None => (None, rest),
    };
    let port = |port: &str| port.parse::<NonZeroU16>().map_err(|_| wrong());
    let mut mapping = json!({
        "hostPort": port(host)?, "containerPort": port(container)?, "protocol": protocol,
    });
    if let Some(ip) = ip {
        let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(ip).parse().map_err(|_| wrong())?;
        if address.is_ipv6() != bare.is_some() {
            return Err(wrong());
        }
        mapping["hostIP"] = address.to_string().into();
    }
    Ok(mapping)
}

/// `RATE[:BURST]`: bits per second and bits.
fn rate_and_burst(text: &str) -> Result<(u64, u64)> {
    if let Some((rate, burst)) = text.split_once(':') {
        return Ok((bits(rate)?, bits(burst)?));
    }
    let rate = bits(text)?;
    Ok((rate, (rate / BURST_PER_SECOND).max(SMALLEST_BURST)))
}

/// A number of bits as the configuration of bandwidth takes it: `800k`, `1.5Gbit`, `1MB`.
///
/// # Errors
/// What is wrong with it.
pub fn bits(text: &str) -> Result<u64> {
    let bits = bandwidth::text_in_bits(text).filter(|bits| *bits > 0);
    let expected = "expected a number of bits such as 10M, 1.5Gbit or 1MB";
    bits.ok_or_else(|| usage(expected, text))
}

fn usage(problem: &str, text: &str) -> Error {
    Error::Own(format!("{problem}: {:?}", short(text)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn attach(options: &[&str]) -> Attach {
        let line = [&["cnictl", "check", "net", "netns"], options].concat();
        match Cli::try_parse_from(line).unwrap().command {
            Command::Check(attach) => attach,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn published_ports_become_port_mappings() {
        let table = [
            (
                "8080:80",
                r#"{"hostPort":8080,"containerPort":80,"protocol":"tcp"}"#,
            ),
            (
                "53:53/udp",
                r#"{"hostPort":53,"containerPort":53,"protocol":"udp"}"#,
            ),
            (
                "10.0.0.1:1:2/sctp",
                r#"{"hostPort":1,"containerPort":2,"protocol":"sctp","hostIP":"10.0.0.1"}"#,
            ),
            (
                "[::1]:1:2",
                r#"{"hostPort":1,"containerPort":2,"protocol":"tcp","hostIP":"::1"}"#,
            ),
        ];
        for (text, expected) in table {
            assert_eq!(port_mapping(text).unwrap().to_string(), expected);
        }
        for bad in [
            "",
            "80",
            "0:80",
            "8080:",
            "8080:65536",
            "8080:80/icmp",
            "::1:1:2",
            "[1.2.3.4]:1:2",
            "x:1:2",
        ] {
            assert!(port_mapping(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_written_as_in_the_configuration_of_bandwidth() {
        let table = [
            ("1", 1),
            ("800k", 800_000),
            ("10M", 10_000_000),
            ("2.5G", 2_500_000_000),
            ("1.5Gbit", 1_500_000_000),
            ("1MB", 8_000_000),
            ("10Mi", 10 << 20),
            ("1e7", 10_000_000),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, expected) in table {
            assert_eq!(bits(text).unwrap(), expected, "{text}");
        }
        for bad in [
            "",
            "k",
            "0",
            "-1",
            "1.5",
            ".5M",
            "10m",
            "10Mb",
            "18446744073709551615k",
            "1 M",
            "µ",
            "+1",
        ] {
            assert!(bits(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_without_a_burst_gets_one_that_follows_it() {
        assert_eq!(rate_and_burst("10M").unwrap(), (10_000_000, SMALLEST_BURST));
        assert_eq!(
            rate_and_burst("10G").unwrap(),
            (10_000_000_000, 100_000_000)
        );
        assert_eq!(rate_and_burst("10M:2M").unwrap(), (10_000_000, 2_000_000));
    }

    #[test]
    fn options_are_added_to_what_the_environment_has() {
        let options = [
            r#"--capability=aliases=["a"]"#,
            "--capability=mac=\"x\"",
            "--publish=2:2",
            "--ingress=1M:2M",
            "--mac=z",
            "--ip=10.0.0.2/24",
        ];
        let json = r#"{"portMappings":[{"hostPort":1}],"mac":"y"}"#;
        let all = collect(&attach(&options), Some(json)).unwrap();
        assert_eq!(
            Value::Object(all),
            json!({
                "portMappings": [{"hostPort": 1}, {"hostPort": 2, "containerPort": 2, "protocol": "tcp"}],
                "mac": "z", "aliases": ["a"], "ips": ["10.0.0.2/24"],
                "bandwidth": {"ingressRate": 1_000_000, "ingressBurst": 2_000_000},
            })
        );
    }

    #[test]
    fn capabilities_that_are_no_json_are_refused() {
        for bad in ["[]", "{", "7"] {
            assert!(collect(&attach(&[]), Some(bad)).is_err(), "{bad}");
        }
        for bad in ["mac", "=1", "mac=02:00"] {
            let option = format!("--capability={bad}");
            assert!(collect(&attach(&[&option]), None).is_err(), "{bad}");
        }
    }
}
