//! `hostAddresses` and `hostInterfaces`: on which of the node's addresses a network's ports are mapped.
//!
//! What they say is a set of addresses, kept as prefixes that do not meet. An interface means the
//! addresses that the kernel takes for local because of it, so that what comes to a left-out interface
//! later is left out, too. Which those are is looked up when rules are compared or made: [`located`].

pub mod located;
pub mod prefixes;
pub mod scope;

use std::fmt;
use std::net::IpAddr;

use common::decode::{Object, Value};
use common::error::{Code, Error};
use common::result::Prefix;
use common::{Attachment, Family, attachment};

use crate::mapping::PortMapping;

pub use located::{Allowed, Node};
pub use prefixes::end;
pub use scope::Scope;

/// The keys.
const ADDRESSES: &str = "hostAddresses";
const INTERFACES: &str = "hostInterfaces";

/// How many items of the lists a message shows.
const SHOWN: usize = 10;

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

impl Limits {
    /// Reads both lists. An empty one limits nothing.
    ///
    /// # Errors
    /// Code 6 for anything but lists of strings, code 7 for what is not an address, prefix or interface's name.
    pub fn parse(raw: Object<'_>) -> Result<Limits, Error> {
        Ok(Limits {
            addresses: listed(raw, ADDRESSES, prefix)?,
            interfaces: listed(raw, INTERFACES, interface)?,
        })
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
        Scope::from_text(&text.exact_name("", Scope::DIGITS))
    }

    /// The addresses that `hostAddresses` leaves of an IP version.
    pub fn by_address(&self, family: Family) -> Vec<Prefix> {
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

    /// Both lists as far as a message has room for them.
    pub fn shown(&self) -> String {
        let all = [words(&self.addresses), words(&self.interfaces)].concat();
        let some = all.get(..SHOWN).unwrap_or(&all).join(", ");
        match all.len().checked_sub(SHOWN) {
            Some(more @ 1..) => format!("{some} and {more} more"),
            _ => some,
        }
    }

    /// `hostInterfaces` in words.
    pub fn interfaces(&self) -> String {
        words(&self.interfaces).join(", ")
    }

    /// Refuses mappings of addresses that `hostAddresses` leaves out.
    ///
    /// # Errors
    /// Code 7 with the address and the key.
    pub fn accept(&self, mappings: &[PortMapping]) -> Result<(), Error> {
        let allowed = Family::ALL.map(|family| self.by_address(family)).concat();
        self.refuse_others(mappings, ADDRESSES, &allowed, |_| true)
    }

    /// Refuses mappings of addresses that count and that a key does not allow.
    fn refuse_others(
        &self,
        mappings: &[PortMapping],
        key: &str,
        allowed: &[Prefix],
        counts: impl Fn(IpAddr) -> bool,
    ) -> Result<(), Error> {
        let is_refused = |addr: &IpAddr| counts(*addr) && !prefixes::have(allowed, *addr);
        for mapping in mappings {
            if let Some(addr) = mapping.host_port().address.filter(is_refused) {
                let limits = self.shown();
                let msg = format!("hostIP {addr} of {mapping} is not among {key} ({limits})");
                let remedy =
                    format!("list it in {key} or remove its exclusion, or use another hostIP");
                return Err(Error::new(Code::InvalidConfig, msg).with_details(remedy));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [words(&self.addresses), words(&self.interfaces)];
        f.write_str(&all.concat().join(", "))
    }
}

fn words<T: fmt::Display>(list: &[Listed<T>]) -> Vec<String> {
    let mark = |one: &Listed<T>| if one.is_left_out { "!" } else { "" };
    list.iter()
        .map(|one| format!("{}{}", mark(one), one.what))
        .collect()
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
        .map(Prefix::network)
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
