//! `hostAddresses` and `hostInterfaces`: on which of the node's addresses a network's ports are mapped.
//!
//! What they say is a set of addresses, kept as prefixes that do not meet. An interface stands for the
//! addresses that the kernel takes for local because of it, so that what comes to a left-out interface
//! later is left out, too.

mod prefixes;

use std::fmt;
use std::net::IpAddr;

use common::decode::{Object, Value};
use common::error::{Code, Error};
use common::result::Prefix;
use common::{Attachment, Family, attachment};

use crate::address::{self, Local};
use crate::mapping::PortMapping;

pub use prefixes::end;

/// The keys.
const ADDRESSES: &str = "hostAddresses";
const INTERFACES: &str = "hostInterfaces";

/// What the two keys say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    addresses: Vec<Listed<Prefix>>,
    interfaces: Vec<Listed<String>>,
}

/// One item of a list; `!` leaves it out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listed<T> {
    is_left_out: bool,
    what: T,
}

/// The name of what the keys say, by which attachments with the same limits share what the kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u32);

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The addresses of one IP version on which ports are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The name of the limits.
    pub scope: Scope,
    /// The addresses, in their order; none where no address of this IP version is left.
    pub prefixes: Vec<Prefix>,
}

impl Limits {
    /// Reads both lists. An empty one limits nothing.
    ///
    /// # Errors
    /// Code 6 for anything but lists of strings, code 7 for what is no address, prefix or interface's name.
    pub fn parse(raw: Object<'_>) -> Result<Limits, Error> {
        Ok(Limits {
            addresses: listed(raw, ADDRESSES, prefix)?,
            interfaces: listed(raw, INTERFACES, interface)?,
        })
    }

    /// Whether it depends on the node's interfaces.
    pub fn has_interfaces(&self) -> bool {
        !self.interfaces.is_empty()
    }

    /// The name of the limits, if there are any.
    pub fn scope(&self) -> Option<Scope> {
        if *self == Limits::default() {
            return None;
        }
        let text = Attachment {
            network: self.to_string(),
            ..Attachment::default()
        };
        u32::from_str_radix(&text.exact_name("", 8), 16)
            .ok()
            .map(Scope)
    }

    /// The addresses of an IP version on which ports are mapped, by what is local to the node now; `None`
    /// for all of them.
    pub fn allowed(&self, family: Family, local: &[Local]) -> Option<Allowed> {
        let scope = self.scope()?;
        let mut all = self.by_address(family);
        if self.has_interfaces() {
            let theirs = self.by_interface(family, local);
            all = prefixes::common(family, &all, &theirs);
        }
        let is_everything = all.iter().any(|prefix| prefix.len == 0);
        (!is_everything).then_some(Allowed {
            scope,
            prefixes: all,
        })
    }

    fn by_address(&self, family: Family) -> Vec<Prefix> {
        let of = |is_left_out| {
            let some = self.addresses.iter();
            let some = some.filter(move |one| one.is_left_out == is_left_out);
            some.map(|one| one.what)
        };
        let mine = |prefix: &Prefix| Family::of(prefix.addr) == family;
        let named: Vec<Prefix> = match of(false).next() {
            Some(_) => of(false).filter(mine).collect(),
            None => vec![prefixes::everything(family)],
        };
        let left_out: Vec<Prefix> = of(true).filter(mine).collect();
        prefixes::without(family, &named, &left_out)
    }

    fn by_interface(&self, family: Family, local: &[Local]) -> Vec<Prefix> {
        let is_positive = self.interfaces.iter().any(|one| !one.is_left_out);
        let counts = |interface: &str| {
            let mut named = self.interfaces.iter().filter(|one| one.what == interface);
            match named.next() {
                Some(one) => !one.is_left_out,
                None => !is_positive,
            }
        };
        // Those of one link come and go with every veth, and reach no further than that.
        let is_of_link =
            |addr: IpAddr| matches!(addr, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let some = local.iter().filter(|local| counts(&local.interface));
        let some = some.filter(|local| !is_of_link(local.prefix.addr));
        let some = some.map(|local| local.prefix);
        let some: Vec<Prefix> = some
            .filter(|prefix| Family::of(prefix.addr) == family)
            .collect();
        prefixes::without(family, &some, &[])
    }

    /// What is local to the node, where that matters.
    ///
    /// # Errors
    /// Code 100 for an interface that is not there, or when the kernel does not say.
    pub fn look(&self) -> Result<Vec<Local>, Error> {
        if !self.has_interfaces() {
            return Ok(Vec::new());
        }
        for Listed { is_left_out, what } in &self.interfaces {
            if !is_left_out && address::interface_index(what)?.is_none() {
                let msg = format!("{INTERFACES} {what:?}: the node has no such interface");
                let remedy = "make it, or take its name out of the list";
                return Err(Error::new(Code::System, msg).with_details(remedy));
            }
        }
        let mut all = Vec::new();
        for family in Family::ALL {
            all.extend(address::local_prefixes(family)?);
        }
        Ok(all)
    }

    /// Refuses a mapping of an address that the limits leave out. One that is on no interface now may come.
    ///
    /// # Errors
    /// Code 7 with the address and the key.
    pub fn accept(&self, mapping: &PortMapping, local: &[Local]) -> Result<(), Error> {
        let Some(addr) = mapping.host_port().address else {
            return Ok(());
        };
        let family = Family::of(addr);
        let refuse = |key: &str| {
            let msg = format!("hostIP {addr} of {mapping} is not among {key} ({self})");
            let remedy = format!("list it in {key}, or map a port of another address");
            Err(Error::new(Code::InvalidConfig, msg).with_details(remedy))
        };
        let holds = |prefix: &Prefix| prefix.has(addr);
        if !self.by_address(family).iter().any(holds) {
            return refuse(ADDRESSES);
        }
        let is_local = local.iter().any(|local| holds(&local.prefix));
        if is_local && !self.by_interface(family, local).iter().any(holds) {
            return refuse(INTERFACES);
        }
        Ok(())
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |is_left_out: bool| if is_left_out { "!" } else { "" };
        let mut words: Vec<String> = Vec::new();
        let addresses = self.addresses.iter();
        words.extend(addresses.map(|one| format!("{}{}", mark(one.is_left_out), one.what)));
        let interfaces = self.interfaces.iter();
        words.extend(interfaces.map(|one| format!("{}{}", mark(one.is_left_out), one.what)));
        f.write_str(&words.join(", "))
    }
}

/// The items of a list, sorted, each once.
fn listed<T: Ord>(
    raw: Object<'_>,
    key: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<Listed<T>>, Error> {
    let one = |value: Value<'_>| {
        let text = value.string()?;
        let what = text.strip_prefix('!').unwrap_or(&text);
        Ok(Listed {
            is_left_out: text.starts_with('!'),
            what: read(what).map_err(|why| value.refuse(why))?,
        })
    };
    let mut all: Vec<Listed<T>> = raw
        .list(key)?
        .into_iter()
        .map(one)
        .collect::<Result<_, Error>>()?;
    all.sort();
    all.dedup();
    Ok(all)
}

fn prefix(text: &str) -> Result<Prefix, String> {
    let whole = text
        .parse()
        .ok()
        .map(|addr: IpAddr| Prefix::whole(addr.to_canonical()));
    whole
        .or_else(|| Prefix::from_text(text))
        .map(prefixes::network)
        .ok_or_else(|| {
            "expected an address or a prefix such as 192.0.2.0/24, with ! before it to leave it out"
                .to_owned()
        })
}

fn interface(text: &str) -> Result<String, String> {
    match attachment::ifname_fault(text) {
        None => Ok(text.to_owned()),
        Some(why) => Err(format!(
            "{why}: expected an interface's name, with ! before it to leave it out"
        )),
    }
}

#[cfg(test)]
mod tests {
    use common::json::Json;

    use super::*;

    fn read(json: &str) -> Result<Limits, Error> {
        let Ok(Json::Object(fields)) = Json::parse(json.as_bytes()) else {
            panic!("{json}");
        };
        Limits::parse(Object::root(&fields))
    }

    fn local() -> Vec<Local> {
        let on = |interface: &str, text: &str| Local {
            interface: interface.to_owned(),
            prefix: Prefix::from_text(text).unwrap(),
        };
        vec![
            on("lo", "127.0.0.0/8"),
            on("lo", "::1/128"),
            on("eth0", "192.0.2.1/32"),
            on("eth0", "2001:db8::1/128"),
            on("eth0", "fe80::1/128"),
            on("kube-ipvs0", "10.96.0.1/32"),
            on("kube-ipvs0", "192.0.2.1/32"),
            on("eth1", "10.0.0.1/32"),
        ]
    }

    fn allowed(json: &str, family: Family) -> Option<String> {
        let allowed = read(json).unwrap().allowed(family, &local())?;
        let texts: Vec<String> = allowed.prefixes.iter().map(ToString::to_string).collect();
        Some(texts.join(" "))
    }

    #[test]
    fn prefixes_and_interfaces_become_the_addresses_that_are_mapped() {
        for (json, v4, v6) in [
            ("{}", None, None),
            (r#"{"hostAddresses":[],"hostInterfaces":[]}"#, None, None),
            (
                r#"{"hostAddresses":["10.1.2.3/8"]}"#,
                Some("10.0.0.0/8"),
                Some(""),
            ),
            (
                r#"{"hostAddresses":["!fd00::/8"]}"#,
                None,
                Some("::/1 8000::/2 c000::/3 e000::/4 f000::/5 f800::/6 fc00::/8 fe00::/7"),
            ),
            (
                r#"{"hostAddresses":["10.0.0.0/8","!10.0.0.0/9","2001:db8::1"]}"#,
                Some("10.128.0.0/9"),
                Some("2001:db8::1/128"),
            ),
            (
                r#"{"hostInterfaces":["eth0"]}"#,
                Some("192.0.2.1/32"),
                Some("2001:db8::1/128"),
            ),
            (
                r#"{"hostInterfaces":["!kube-ipvs0"]}"#,
                Some("10.0.0.1/32 127.0.0.0/8 192.0.2.1/32"),
                Some("::1/128 2001:db8::1/128"),
            ),
            (
                r#"{"hostInterfaces":["eth0","eth1"],"hostAddresses":["!192.0.2.0/24"]}"#,
                Some("10.0.0.1/32"),
                Some("2001:db8::1/128"),
            ),
            (r#"{"hostInterfaces":["none"]}"#, Some(""), Some("")),
        ] {
            assert_eq!(allowed(json, Family::V4).as_deref(), v4, "{json}");
            assert_eq!(allowed(json, Family::V6).as_deref(), v6, "{json}");
        }
    }

    #[test]
    fn the_order_of_a_list_makes_no_other_limits() {
        let one = read(r#"{"hostAddresses":["10.0.0.0/8","!10.1.0.0/16","10.0.0.0/8"]}"#);
        let other = read(r#"{"hostAddresses":["!10.1.0.0/16","10.0.0.0/8"]}"#);
        assert_eq!(one.unwrap().scope(), other.unwrap().scope());
        assert_eq!(read("{}").unwrap().scope(), None);
    }

    #[test]
    fn what_is_no_address_and_no_name_is_refused_with_its_place() {
        for (json, place) in [
            (r#"{"hostAddresses":["10.0.0.0/33"]}"#, "hostAddresses[0]"),
            (
                r#"{"hostAddresses":["10.0.0.1","eth0"]}"#,
                "hostAddresses[1]",
            ),
            (r#"{"hostAddresses":["!"]}"#, "hostAddresses[0]"),
            (r#"{"hostAddresses":"10.0.0.1"}"#, "hostAddresses"),
            (r#"{"hostInterfaces":["a/b"]}"#, "hostInterfaces[0]"),
            (
                r#"{"hostInterfaces":["!1234567890123456"]}"#,
                "hostInterfaces[0]",
            ),
            (r#"{"hostInterfaces":[7]}"#, "hostInterfaces[0]"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(place), "{json}: {error}");
        }
    }
}
