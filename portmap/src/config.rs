//! The configuration: port mappings, the container's addresses and options, valid once read.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use common::decode::Object;
use common::error::{Code, Error};
use common::result::{CniResult, Prefix};
use common::{Attachment, Family, Protocol, Request};

use crate::limits::{Limits, Scope};
use crate::mapping::{PortMapping, without_repetitions};
use crate::options::{BackendKind, DEFAULT_MARK_BIT, Mark, Masquerade, OnConflict};
use crate::{conditions, entry};

/// The beginnings of our own chains' names. One that is to mark packets is our own mark.
const OUR_CHAINS: [&str; 2] = ["CNI-HOSTPORT-", "CNI-DN-"];
/// The kernel's own chains of the nat table, to which no rule can jump.
const KERNEL_CHAINS: [&str; 4] = ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"];

/// Everything that ADD and CHECK need from a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who owns what these mappings become: see [`entry`].
    pub attachment: Attachment,
    /// The backend asked for; `None` for whichever is usable.
    pub backend: Option<BackendKind>,
    /// The one that it gets, once that was found out: a verb does not change its backend on the way.
    pub chosen: OnceLock<BackendKind>,
    /// What is masqueraded.
    pub masquerade: Masquerade,
    /// How packets to masquerade are marked.
    pub mark: Mark,
    /// What to do about a taken host port.
    pub on_conflict: OnConflict,
    /// Matches of the backend's syntax that IPv4 packets must fulfil, word by word.
    pub conditions_v4: Vec<String>,
    /// The same for IPv6.
    pub conditions_v6: Vec<String>,
    /// The node's addresses on which ports are mapped.
    pub limits: Limits,
    /// The mappings in the order written, none repeated.
    pub mappings: Vec<PortMapping>,
    /// The container's IPv4 address with its prefix length.
    pub container_v4: Option<Prefix>,
    /// The container's IPv6 address with its prefix length.
    pub container_v6: Option<Prefix>,
}

impl Config {
    /// Reads a request of ADD or CHECK together with the chain's result so far.
    ///
    /// # Errors
    /// Code 6 for values of the wrong type, code 7 for impossible ones, each with path and value.
    pub fn parse(request: &Request) -> Result<(Config, CniResult), Error> {
        let result = request.conf.required_prev_result()?;
        let ifname = &request.attachment.ifname;
        let config = Config {
            container_v4: container_address(&result, ifname, Family::V4),
            container_v6: container_address(&result, ifname, Family::V6),
            ..Config::of_network(request)?
        };
        config.refuse_a_container_without_addresses()?;
        Ok((config, result))
    }

    /// Reads everything but the container's addresses. A network's STATUS has that too, and what ADD refuses
    /// must not be in it.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn of_network(request: &Request) -> Result<Config, Error> {
        let raw = request.conf.object();
        let mappings = without_repetitions(mappings(raw)?, |lost| {
            let text = format!("{lost} is mapped twice, the first mapping wins");
            request.log.warn(text);
        });
        let config = Config {
            backend: backend(raw)?,
            chosen: OnceLock::new(),
            masquerade: masquerade(raw)?,
            mark: mark(raw)?,
            on_conflict: on_conflict(raw)?,
            conditions_v4: conditions::parse(raw, conditions::key(Family::V4))?,
            conditions_v6: conditions::parse(raw, conditions::key(Family::V6))?,
            limits: Limits::parse(raw)?,
            mappings,
            container_v4: None,
            container_v6: None,
            attachment: entry::owner(request),
        };
        config.limits.accept(&config.mappings)?;
        match config.backend {
            Some(backend) => config.accept(backend).map(|()| config),
            None => Ok(config),
        }
    }

    /// The container's address of a family.
    pub fn container(&self, family: Family) -> Option<Prefix> {
        match family {
            Family::V4 => self.container_v4,
            Family::V6 => self.container_v6,
        }
    }

    /// Whether the container can serve a mapping in a family.
    pub fn can_serve(&self, mapping: &PortMapping, family: Family) -> bool {
        self.container(family).is_some() && mapping.serves(family)
    }

    /// The families in which it can serve any.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        let has_some = |family: &Family| {
            let mut mappings = self.mappings.iter();
            mappings.any(|mapping| self.can_serve(mapping, *family))
        };
        Family::ALL.into_iter().filter(has_some)
    }

    /// The conditions of a family.
    pub fn conditions(&self, family: Family) -> &[String] {
        match family {
            Family::V4 => &self.conditions_v4,
            Family::V6 => &self.conditions_v6,
        }
    }

    /// Refuses options that only the other backend knows.
    ///
    /// # Errors
    /// Code 7 with the option.
    pub fn accept(&self, backend: BackendKind) -> Result<(), Error> {
        let chain = matches!(self.mark, Mark::Chain(_)).then_some(BackendKind::Iptables);
        let options = [
            (chain, "externalSetMarkChain"),
            (
                conditions::backend(&self.conditions_v4),
                conditions::key(Family::V4),
            ),
            (
                conditions::backend(&self.conditions_v6),
                conditions::key(Family::V6),
            ),
        ];
        for (owner, key) in options {
            if let Some(owner) = owner.filter(|owner| *owner != backend) {
                let (ours, theirs) = (backend.name(), owner.name());
                return Err(Error::new(
                    Code::InvalidConfig,
                    format!(
                        "{key} is an option of the {theirs} backend, but this is the {ours} backend"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn refuse_a_container_without_addresses(&self) -> Result<(), Error> {
        if self.mappings.is_empty() || self.container_v4.is_some() || self.container_v6.is_some() {
            return Ok(());
        }
        Err(Error::new(
            Code::InvalidConfig,
            format!(
                "prevResult has no address of {}, so its ports cannot be mapped",
                entry::attachment(&self.attachment).ifname
            ),
        ))
    }
}

/// The mappings of a request, as far as they can be understood: DEL does what it can.
pub fn understood_mappings(request: &Request) -> Vec<PortMapping> {
    let Ok(Some(runtime)) = request.conf.object().object("runtimeConfig") else {
        return Vec::new();
    };
    let items = runtime.list("portMappings").unwrap_or_default();
    let read = items.into_iter().filter_map(|v| PortMapping::parse(v).ok());
    without_repetitions(read.collect(), |_| {})
}

/// What a request says of its mappings, as far as it can be understood: DEL does what it can. It
/// decides on rules that do not say for which interface of a container they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The container's addresses.
    pub addresses: Vec<IpAddr>,
    /// The node's ports.
    pub ports: Vec<(Protocol, u16)>,
    /// The limits of the addresses that they are mapped on.
    pub scope: Option<Scope>,
    /// The IP versions with conditions.
    pub conditional: Vec<Family>,
    /// Whether the kernel shows in one of these that the attachment's chains are the reference's, which has one
    /// for all entries.
    pub are_chains_shared: bool,
}

impl Evidence {
    /// That of a valid configuration.
    pub fn of_config(config: &Config) -> Evidence {
        let addresses = Family::ALL
            .into_iter()
            .filter_map(|family| config.container(family));
        Evidence {
            addresses: addresses.map(|prefix| prefix.addr).collect(),
            ports: ports(&config.mappings),
            scope: config.limits.scope(),
            conditional: Family::ALL
                .into_iter()
                .filter(|family| !config.conditions(*family).is_empty())
                .collect(),
            are_chains_shared: false,
        }
    }

    /// That of any request.
    pub fn of_request(request: &Request) -> Evidence {
        let ifname = &request.attachment.ifname;
        let limits = Limits::parse(request.conf.object());
        let addresses = match request.conf.prev_result() {
            Ok(Some(result)) => Family::ALL
                .into_iter()
                .filter_map(|family| container_address(&result, ifname, family))
                .map(|prefix| prefix.addr)
                .collect(),
            _ => Vec::new(),
        };
        Evidence {
            addresses,
            ports: ports(&understood_mappings(request)),
            scope: limits.ok().and_then(|limits| limits.scope()),
            conditional: Family::ALL
                .into_iter()
                .filter(|family| has_conditions(request, *family))
                .collect(),
            are_chains_shared: false,
        }
    }
}

fn has_conditions(request: &Request, family: Family) -> bool {
    let words = request.conf.object().strings(conditions::key(family));
    words.is_ok_and(|words| !words.is_empty())
}

fn ports(mappings: &[PortMapping]) -> Vec<(Protocol, u16)> {
    mappings
        .iter()
        .map(|m| (m.asked.protocol, m.asked.number))
        .collect()
}

fn backend(raw: Object<'_>) -> Result<Option<BackendKind>, Error> {
    let Some(value) = raw.get("backend") else {
        return Ok(None);
    };
    match value.string()?.as_str() {
        "iptables" => Ok(Some(BackendKind::Iptables)),
        "nftables" => Ok(Some(BackendKind::Nftables)),
        _ => Err(value.refuse("expected iptables or nftables")),
    }
}

fn masquerade(raw: Object<'_>) -> Result<Masquerade, Error> {
    let all = raw.boolean("masqAll")?.unwrap_or(false);
    Ok(match raw.boolean("snat")?.unwrap_or(true) {
        false => Masquerade::Nothing,
        true if all => Masquerade::All,
        true => Masquerade::Needed,
    })
}

fn mark(raw: Object<'_>) -> Result<Mark, Error> {
    let bit = raw.get("markMasqBit");
    let chain = raw.get("externalSetMarkChain");
    match (bit, chain) {
        (Some(bit), Some(_)) => {
            Err(bit.refuse("markMasqBit and externalSetMarkChain cannot both be set"))
        }
        (None, None) => Ok(Mark::Bit(DEFAULT_MARK_BIT)),
        (Some(bit), None) => u8::try_from(bit.integer()?)
            .ok()
            .filter(|bit| *bit <= 31)
            .map(Mark::Bit)
            .ok_or_else(|| bit.refuse("expected a bit from 0 to 31")),
        (None, Some(chain)) => {
            let name = chain.string()?;
            // What iptables takes as a chain: XT_EXTENSION_MAXNAMELEN in
            // include/uapi/linux/netfilter/x_tables.h is 29 with the NUL.
            let sound = (1..=28).contains(&name.len())
                && !name.starts_with(['-', '!'])
                && name
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
            let is_ours = OUR_CHAINS.iter().any(|prefix| name.starts_with(prefix));
            if KERNEL_CHAINS.contains(&name.as_str()) {
                let why = "no rule can jump to this chain of the kernel, expected another";
                return Err(chain.refuse(why));
            }
            match sound {
                true if is_ours => Ok(Mark::Bit(DEFAULT_MARK_BIT)),
                true => Ok(Mark::Chain(name)),
                false => Err(chain.refuse("expected the name of a chain, 1 to 28 characters")),
            }
        }
    }
}

fn on_conflict(raw: Object<'_>) -> Result<OnConflict, Error> {
    let Some(value) = raw.get("onConflict") else {
        return Ok(OnConflict::Replace);
    };
    match value.string()?.as_str() {
        "replace" => Ok(OnConflict::Replace),
        "error" => Ok(OnConflict::Error),
        _ => Err(value.refuse("expected replace or error")),
    }
}

/// The mappings of a request, each valid.
///
/// # Errors
/// As [`Config::parse`].
fn mappings(raw: Object<'_>) -> Result<Vec<PortMapping>, Error> {
    match raw.object("runtimeConfig")? {
        Some(runtime) => runtime
            .list("portMappings")?
            .into_iter()
            .map(PortMapping::parse)
            .collect(),
        None => Ok(Vec::new()),
    }
}

/// The first address of a family that is the container's. A link-local IPv6 address, to which no route leads
/// without an interface, counts where there is no other.
fn container_address(result: &CniResult, ifname: &str, family: Family) -> Option<Prefix> {
    let own = result.container_ips(ifname).map(|ip| canonical(ip.address));
    let mut own = own.filter(|prefix| Family::of(prefix.addr) == family && is_of_one(prefix.addr));
    let first = own.next()?;
    match is_routed(first.addr) {
        true => Some(first),
        false => own.find(|prefix| is_routed(prefix.addr)).or(Some(first)),
    }
}

/// Whether an address can be one container's. A port of the node that leads to a loopback address would lead to
/// the node itself.
fn is_of_one(addr: IpAddr) -> bool {
    let is_broadcast = addr == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(addr.is_unspecified() || addr.is_loopback() || addr.is_multicast() || is_broadcast)
}

fn is_routed(addr: IpAddr) -> bool {
    !matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

/// An IPv4 address in IPv6 notation (`::ffff:10.0.0.2/120`) as the IPv4 address it is.
fn canonical(prefix: Prefix) -> Prefix {
    match prefix.addr.to_canonical() {
        addr if addr == prefix.addr => prefix,
        addr => Prefix {
            addr,
            len: prefix.len.saturating_sub(96),
        },
    }
}

#[cfg(test)]
pub mod tests;
