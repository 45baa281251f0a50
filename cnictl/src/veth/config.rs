//! The plugin's own keys.
//!
//! ```json
//! { "type": "veth",
//!   "addresses": [ { "address": "10.9.0.2/24", "gateway": "10.9.0.1" },
//!                  { "address": "fd09::2/64", "gateway": "fd09::1" } ],
//!   "routes": [ { "dst": "10.0.0.0/8" } ],
//!   "mac": "02:00:00:00:00:02", "hostMAC": "02:00:00:00:00:01", "mtu": 1500,
//!   "capabilities": { "ips": true, "mac": true } }
//! ```
//!
//! Only `addresses` must be there, unless addresses come by the capability `ips`, which replaces
//! them and keeps the gateway of their family. Without `routes` there is a default route for each
//! family that has a gateway.

use std::net::IpAddr;

use common::decode::{Object, Value};
use common::json::Json;
use common::mac::Mac;
use common::netconf::NetConf;
use common::result::Prefix;
use common::{Code, Error};

/// Destinations, and the gateway of each if one is given.
pub type Routes = Vec<(Prefix, Option<IpAddr>)>;

/// The configuration, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// At least one.
    pub addresses: Vec<Address>,
    /// Destination and gateway; `None`: the family's gateway.
    pub routes: Option<Routes>,
    /// Of the container's end.
    pub mac: Option<Mac>,
    /// Of the host's end.
    pub host_mac: Option<Mac>,
    /// In bytes, of both ends.
    pub mtu: Option<u32>,
}

/// One address of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// With the length of the subnet's prefix.
    pub prefix: Prefix,
    /// The host's end gets this address.
    pub gateway: Option<IpAddr>,
}

impl Config {
    /// Reads and checks the keys.
    pub fn read(conf: &NetConf) -> Result<Self, Error> {
        Self::from_object(&conf.object())
    }

    fn from_object(object: &Object<'_>) -> Result<Self, Error> {
        let runtime = object.object("runtimeConfig")?;
        let listed = object
            .list("addresses")?
            .iter()
            .map(address)
            .collect::<Result<Vec<_>, _>>()?;
        let asked = match &runtime {
            Some(runtime) => runtime
                .list("ips")?
                .iter()
                .map(prefix)
                .collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        let mut addresses: Vec<Address> = asked
            .into_iter()
            .map(|prefix| with_gateway(prefix, &listed))
            .collect();
        if addresses.is_empty() {
            addresses = listed;
        }
        if addresses.is_empty() {
            let problem =
                "veth needs addresses: [{\"address\": \"10.9.0.2/24\"}], or the capability ips";
            return Err(Error::new(Code::InvalidConfig, problem));
        }
        let asked_mac = runtime
            .as_ref()
            .map(|runtime| mac(runtime, "mac"))
            .transpose()?
            .flatten();
        Ok(Self {
            addresses,
            routes: routes(object)?,
            mac: asked_mac.map_or_else(|| mac(object, "mac"), |mac| Ok(Some(mac)))?,
            host_mac: mac(object, "hostMAC")?,
            mtu: mtu(object)?,
        })
    }
}

fn address(value: &Value<'_>) -> Result<Address, Error> {
    let object = value.object()?;
    let Some(address) = object.get("address") else {
        return Err(value.refuse("has no address"));
    };
    let prefix = prefix(&address)?;
    let gateway = object.get("gateway").map(|value| ip(&value)).transpose()?;
    match (gateway, object.get("gateway")) {
        (Some(gateway), Some(value)) if gateway.is_ipv4() != prefix.addr.is_ipv4() => {
            Err(value.refuse(format!("is of another family than {prefix}")))
        }
        (Some(gateway), Some(value)) if gateway == prefix.addr => {
            Err(value.refuse("is the container's own address"))
        }
        _ => Ok(Address { prefix, gateway }),
    }
}

fn with_gateway(prefix: Prefix, listed: &[Address]) -> Address {
    let same = listed
        .iter()
        .find(|known| known.prefix.addr.is_ipv4() == prefix.addr.is_ipv4());
    let gateway = same
        .and_then(|known| known.gateway)
        .filter(|gateway| *gateway != prefix.addr);
    Address { prefix, gateway }
}

fn routes(object: &Object<'_>) -> Result<Option<Routes>, Error> {
    if object.get("routes").is_none() {
        return Ok(None);
    }
    let route = |value: &Value<'_>| {
        let route = value.object()?;
        let dst = route.get("dst").ok_or_else(|| value.refuse("has no dst"))?;
        Ok((
            prefix(&dst)?,
            route.get("gw").map(|value| ip(&value)).transpose()?,
        ))
    };
    object
        .list("routes")?
        .iter()
        .map(route)
        .collect::<Result<_, Error>>()
        .map(Some)
}

fn mtu(object: &Object<'_>) -> Result<Option<u32>, Error> {
    let Some(value) = object.get("mtu") else {
        return Ok(None);
    };
    value
        .parse("an MTU in bytes", |json| match json {
            Json::Number(number) => number.as_u64().and_then(|mtu| u32::try_from(mtu).ok()),
            _ => None,
        })
        .map(Some)
}

fn mac(object: &Object<'_>, key: &str) -> Result<Option<Mac>, Error> {
    let Some(value) = object.get(key) else {
        return Ok(None);
    };
    value
        .parse("a 6-byte hardware address", |json| {
            text(json).and_then(Mac::from_text)
        })
        .map(Some)
}

fn prefix(value: &Value<'_>) -> Result<Prefix, Error> {
    value.parse("ADDRESS/LENGTH", |json| {
        text(json).and_then(Prefix::from_text)
    })
}

fn ip(value: &Value<'_>) -> Result<IpAddr, Error> {
    value.parse("an IP address", |json| text(json)?.parse().ok())
}

fn text(json: &Json) -> Option<&str> {
    match json {
        Json::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, Error> {
        let Ok(Json::Object(fields)) = Json::parse(text.as_bytes()) else {
            panic!("{text}")
        };
        Config::from_object(&Object::root(&fields))
    }

    #[test]
    fn capabilities_replace_addresses_and_keep_the_gateway_of_the_family() {
        let config = read(
            r#"{"addresses":[{"address":"10.0.0.2/24","gateway":"10.0.0.1"}],"mac":"02:00:00:00:00:01",
                "runtimeConfig":{"ips":["10.0.0.7/24","fd00::7/64"],"mac":"02:00:00:00:00:07"}}"#,
        )
        .unwrap();
        let shown: Vec<String> = config
            .addresses
            .iter()
            .map(|a| format!("{} {:?}", a.prefix, a.gateway))
            .collect();
        assert_eq!(shown, ["10.0.0.7/24 Some(10.0.0.1)", "fd00::7/64 None"]);
        assert_eq!(config.mac.unwrap().to_string(), "02:00:00:00:00:07");
        assert_eq!((config.routes, config.mtu), (None, None));
    }

    #[test]
    fn impossible_configurations_are_refused_with_their_place() {
        let table = [
            (r#"{}"#, "veth needs addresses"),
            (r#"{"addresses":[{}]}"#, "has no address"),
            (
                r#"{"addresses":[{"address":"10.0.0.2"}]}"#,
                "addresses[0].address: expected ADDRESS/LENGTH",
            ),
            (
                r#"{"addresses":[{"address":"10.0.0.2/24","gateway":"fd00::1"}]}"#,
                "another family",
            ),
            (
                r#"{"addresses":[{"address":"10.0.0.2/24","gateway":"10.0.0.2"}]}"#,
                "own address",
            ),
            (
                r#"{"addresses":[{"address":"10.0.0.2/24"}],"mac":"x"}"#,
                "mac: expected a 6-byte hardware address",
            ),
            (
                r#"{"addresses":[{"address":"10.0.0.2/24"}],"mtu":-1}"#,
                "mtu: expected an MTU",
            ),
            (
                r#"{"addresses":[{"address":"10.0.0.2/24"}],"routes":[{}]}"#,
                "has no dst",
            ),
        ];
        for (json, problem) in table {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(problem), "{json}: {error}");
        }
    }
}
