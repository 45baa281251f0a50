//! The plugin's own keys.
//!
//! ```json
//! { "type": "veth",
//!   "addresses": [ { "address": "10.9.0.2/24", "gateway": "10.9.0.1" },
//!                  { "address": "fd09::2/64", "gateway": "fd09::1" } ],
//!   "mac": "02:00:00:00:00:02",
//!   "capabilities": { "ips": true, "mac": true } }
//! ```
//!
//! Only `addresses` must be there, unless addresses come by the capability `ips`, which replaces
//! them and keeps the gateway of their family. There is a default route for each family that has a gateway.

use std::net::IpAddr;

use common::decode::{Object, Value};
use common::json::Json;
use common::mac::Mac;
use common::result::Prefix;
use common::{Code, Error};

/// The configuration, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// At least one.
    pub addresses: Vec<Address>,
    /// Of the container's end.
    pub mac: Option<Mac>,
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
    pub fn read(object: Object<'_>) -> Result<Self, Error> {
        let runtime = object.object("runtimeConfig")?;
        let listed: Vec<Address> = each(object.list("addresses")?, address)?;
        let asked = runtime.map_or_else(|| Ok(Vec::new()), |runtime| runtime.list("ips"))?;
        let asked: Vec<Prefix> = each(asked, prefix)?;
        let with_gateway = |prefix: Prefix| {
            let is_same = |known: &&Address| known.prefix.addr.is_ipv4() == prefix.addr.is_ipv4();
            let gateway = listed.iter().find(is_same).and_then(|known| known.gateway);
            let gateway = gateway.filter(|gateway| *gateway != prefix.addr);
            Address { prefix, gateway }
        };
        let addresses = match asked.is_empty() {
            true => listed,
            false => asked.into_iter().map(with_gateway).collect(),
        };
        if addresses.is_empty() {
            let problem =
                "veth needs addresses: [{\"address\": \"10.9.0.2/24\"}], or the capability ips";
            return Err(Error::new(Code::InvalidConfig, problem));
        }
        let mac = runtime.and_then(|runtime| runtime.get("mac"));
        let mac = mac.or_else(|| object.get("mac")).map(|value| {
            let read = |json: &Json| Mac::from_text(text(json)?);
            value.parse("a 6-byte hardware address", read)
        });
        Ok(Self {
            addresses,
            mac: mac.transpose()?,
        })
    }
}

fn each<T>(
    values: Vec<Value<'_>>,
    read: impl Fn(&Value<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    values.iter().map(read).collect()
}

fn address(value: &Value<'_>) -> Result<Address, Error> {
    let object = value.object()?;
    let Some(address) = object.get("address") else {
        return Err(value.refuse("has no address"));
    };
    let prefix = prefix(&address)?;
    let Some(value) = object.get("gateway") else {
        let gateway = None;
        return Ok(Address { prefix, gateway });
    };
    let gateway: IpAddr = value.parse("an IP address", |json| text(json)?.parse().ok())?;
    if gateway.is_ipv4() != prefix.addr.is_ipv4() {
        return Err(value.refuse(format!("is of another family than {prefix}")));
    }
    if gateway == prefix.addr {
        return Err(value.refuse("is the container's own address"));
    }
    let gateway = Some(gateway);
    Ok(Address { prefix, gateway })
}

fn prefix(value: &Value<'_>) -> Result<Prefix, Error> {
    value.parse("ADDRESS/LENGTH", |json| Prefix::from_text(text(json)?))
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
        Config::read(Object::root(&fields))
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
        ];
        for (json, problem) in table {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(problem), "{json}: {error}");
        }
    }
}
