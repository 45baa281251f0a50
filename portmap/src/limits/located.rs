//! What limits mean on this node, as its interfaces are now.

use std::cell::OnceCell;
use std::net::IpAddr;

use common::Family;
use common::error::{Code, Error};
use common::result::Prefix;

use super::{INTERFACES, Limits, Listed, Scope, prefixes};
use crate::address::{self, Interfaces};
use crate::mapping::PortMapping;

/// The node's interfaces, looked up at most once, and only where that matters.
#[derive(Debug, Default)]
pub struct Node(OnceCell<Result<Interfaces, Error>>);

impl Node {
    /// One whose interfaces are known.
    pub fn of(interfaces: Interfaces) -> Node {
        Node(OnceCell::from(Ok(interfaces)))
    }

    fn interfaces(&self) -> Result<&Interfaces, Error> {
        self.0
            .get_or_init(address::interfaces)
            .as_ref()
            .map_err(Error::clone)
    }
}

/// The addresses of one IP version on which ports are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The name of the limits.
    pub scope: Scope,
    /// `hostInterfaces` in words.
    pub interfaces: String,
    /// The addresses, in their order; none where no address of this IP version is left.
    pub prefixes: Vec<Prefix>,
}

/// Those of each IP version, as far as they are limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    v4: Option<Allowed>,
    v6: Option<Allowed>,
}

impl Located {
    /// Those of an IP version; `None` for all.
    pub fn of(&self, family: Family) -> Option<&Allowed> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }
}

impl Limits {
    /// The addresses on which ports are mapped now.
    ///
    /// # Errors
    /// Code 7 for a mapping of an address of an interface that they leave out: one that is on none may come.
    /// Code 100 for an interface that is not there, or when the kernel does not say.
    pub fn locate(&self, node: &Node, mappings: &[PortMapping]) -> Result<Located, Error> {
        let Some(scope) = self.scope() else {
            return Ok(Located::default());
        };
        let theirs = match self.interfaces.is_empty() {
            true => None,
            false => Some(self.by_interface(node.interfaces()?, mappings)?),
        };
        let allowed = |family| {
            let mut prefixes = self.by_address(family);
            if let Some(theirs) = &theirs {
                let is_mine = |prefix: &&Prefix| Family::of(prefix.addr) == family;
                let mine: Vec<Prefix> = theirs.iter().filter(is_mine).copied().collect();
                prefixes = prefixes::common(family, &prefixes, &mine);
            }
            let is_everything = prefixes.iter().any(|prefix| prefix.len == 0);
            (!is_everything).then(|| Allowed {
                scope,
                interfaces: self.interfaces(),
                prefixes,
            })
        };
        Ok(Located {
            v4: allowed(Family::V4),
            v6: allowed(Family::V6),
        })
    }

    /// The addresses that `hostInterfaces` leaves, in their order.
    fn by_interface(
        &self,
        Interfaces { names, local }: &Interfaces,
        mappings: &[PortMapping],
    ) -> Result<Vec<Prefix>, Error> {
        for Listed { is_left_out, what } in &self.interfaces {
            if !is_left_out && !names.contains(what) {
                let msg = format!("{INTERFACES} {what:?}: the node has no such interface");
                let remedy = "create it, or remove its name from the list; see `ip link`";
                return Err(Error::new(Code::System, msg).with_details(remedy));
            }
        }
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
        let of = |family, counts: &dyn Fn(&str) -> bool| {
            let some = local.iter().filter(|local| counts(&local.interface));
            let some = some.map(|local| local.prefix);
            let some: Vec<Prefix> = some
                .filter(|prefix| Family::of(prefix.addr) == family && !is_of_link(prefix.addr))
                .collect();
            prefixes::without(family, &some, &[])
        };
        let allowed = Family::ALL.map(|family| of(family, &counts)).concat();
        let all = Family::ALL.map(|family| of(family, &|_| true)).concat();
        let is_local = |addr| prefixes::have(&all, addr);
        self.refuse_others(mappings, INTERFACES, &allowed, is_local)?;
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use common::decode::Object;
    use common::json::Json;

    use super::*;
    use crate::address::Local;

    fn limits(json: &str) -> Limits {
        let Ok(Json::Object(fields)) = Json::parse(json.as_bytes()) else {
            panic!("{json}");
        };
        Limits::parse(Object::root(&fields)).unwrap()
    }

    fn node() -> Node {
        let on = |interface: &str, text: &str| Local {
            interface: interface.to_owned(),
            prefix: Prefix::from_text(text).unwrap(),
        };
        let local = vec![
            on("lo", "127.0.0.0/8"),
            on("lo", "::1/128"),
            on("eth0", "192.0.2.1/32"),
            on("eth0", "2001:db8::1/128"),
            on("eth0", "fe80::1/128"),
            on("kube-ipvs0", "10.96.0.1/32"),
            on("kube-ipvs0", "192.0.2.1/32"),
            on("eth1", "10.0.0.1/32"),
        ];
        let names = ["lo", "eth0", "kube-ipvs0", "eth1", "none"]
            .map(str::to_owned)
            .to_vec();
        Node::of(Interfaces { names, local })
    }

    fn allowed(json: &str, family: Family) -> Option<String> {
        let located = limits(json).locate(&node(), &[]).unwrap();
        let allowed = located.of(family)?;
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
    fn an_interface_is_looked_up_only_where_one_is_named() {
        let lost = || Node(OnceCell::from(Err(Error::new(Code::System, "no look"))));
        let of_addresses = limits(r#"{"hostAddresses":["192.0.2.1"]}"#);
        assert!(of_addresses.locate(&lost(), &[]).is_ok());
        let of_interfaces = limits(r#"{"hostInterfaces":["!eth0"]}"#);
        assert!(of_interfaces.locate(&lost(), &[]).is_err());
        let missing = limits(r#"{"hostInterfaces":["eth7"]}"#).locate(&node(), &[]);
        assert!(missing.unwrap_err().to_string().contains("eth7"));
    }
}
