//! Rules of the nf_tables variant, as iptables writes them: expressions of nf_tables, and matches and
//! targets of xtables among them.

use common::error::{Code, Context, Error};
use common::sys::netlink::{DUMP, GET, Message, Netlink, attribute, each_attribute, text};
use common::sys::nla::{self, Nla};
use nix::errno::Errno;

use super::super::rules::Table;
use super::super::state::State;
use super::raw::{End, Kind, Raw, Test};
use super::{Glimpse, xt};
use crate::mapping::Family;
use crate::nftables::expr::Expr;
use crate::nftables::uapi;

/// Bytes of `struct nfgenmsg`.
const HEADER: usize = 4;
/// `NFTA_MATCH_NAME`, `NFTA_MATCH_REV` and `NFTA_MATCH_INFO`; the same for targets.
const XT_NAME: u16 = 1;
const XT_REVISION: u16 = 2;
const XT_INFO: u16 = 3;
/// Where source and destination are in a header, in bytes, and the protocol of IPv4.
const V4: [u32; 2] = [12, 16];
const V6: [u32; 2] = [8, 24];
const V4_PROTOCOL: u32 = 9;
/// `NFT_RETURN`
const RETURN: i32 = -5;
/// Where the destination port is, in all protocols that have one.
const TO_PORT: u32 = 2;

/// Which of the named chains of the nat table exist.
pub fn chains(family: Family, names: &[String]) -> Vec<String> {
    // Without nf_tables there are no chains of its own.
    let Ok(mut socket) = Netlink::netfilter() else {
        return Vec::new();
    };
    let mut names = names.to_vec();
    names.retain(|name| exists(&mut socket, family, Table::Nat, name));
    names
}

fn exists(socket: &mut Netlink, family: Family, table: Table, chain: &str) -> bool {
    get(socket, family, table, chain).is_some()
}

/// A chain as the kernel describes it.
fn get(socket: &mut Netlink, family: Family, table: Table, chain: &str) -> Option<Message> {
    let attributes = [
        Nla::text(uapi::CHAIN_TABLE, table.name()),
        Nla::text(uapi::CHAIN_NAME, chain),
    ];
    let body = nla::body(&header(family), &attributes).ok()?;
    let mut replies = socket.request_bytes(uapi::GETCHAIN, GET, &body).ok()?;
    (!replies.is_empty()).then(|| replies.swap_remove(0))
}

/// Whether one of an attachment's own chains exists, and the shared ones.
pub fn glimpse(family: Family, own: &[String], shared: &[(Table, &str)]) -> Glimpse {
    let Ok(mut socket) = Netlink::netfilter() else {
        return Glimpse::default();
    };
    Glimpse {
        has_own: own
            .iter()
            .any(|name| exists(&mut socket, family, Table::Nat, name)),
        shared: rules(&mut socket, family, shared),
    }
}

fn rules(socket: &mut Netlink, family: Family, chains: &[(Table, &str)]) -> State {
    let mut state = State::default();
    for (table, chain) in chains {
        let rules = list(socket, family, *table, chain).unwrap_or_default();
        state.insert(
            *table,
            chain,
            rules.into_iter().map_while(|rule| rule).collect(),
        );
    }
    state
}

/// The named chains that exist, if all their rules can be read.
pub fn read(family: Family, chains: &[(Table, &str)]) -> Option<State> {
    let mut state = State::default();
    let mut socket = Netlink::netfilter().ok()?;
    for (table, chain) in chains {
        let rules = list(&mut socket, family, *table, chain)?;
        let is_base = !chain.starts_with("CNI-");
        // Of a chain that is not there the kernel lists nothing.
        if rules.is_empty() || is_base {
            let Some(found) = get(&mut socket, family, *table, chain) else {
                continue;
            };
            // One that no packet meets: iptables refuses such a table.
            let attributes = found.body.get(HEADER..)?;
            (!is_base || attribute(attributes, uapi::CHAIN_HOOK).is_some()).then_some(())?;
        }
        state.insert(*table, chain, rules.into_iter().collect::<Option<_>>()?);
    }
    Some(state)
}

/// The rules of a chain, each of which may be one that cannot be read.
fn list(
    socket: &mut Netlink,
    family: Family,
    table: Table,
    chain: &str,
) -> Option<Vec<Option<String>>> {
    let attributes = [
        Nla::text(uapi::RULE_TABLE, table.name()),
        Nla::text(uapi::RULE_CHAIN, chain),
    ];
    let body = nla::body(&header(family), &attributes).ok()?;
    let replies = match socket.request_bytes(uapi::GETRULE, DUMP, &body) {
        Err(refusal) if refusal.errno == Errno::ENOENT => Vec::new(),
        replies => replies.ok()?,
    };
    let read = |reply: &Message| {
        let attributes = reply.body.get(HEADER..)?;
        rule(family, attribute(attributes, uapi::RULE_EXPRESSIONS)?)
    };
    Some(replies.iter().map(read).collect())
}

/// The rules of a chain of the nat table in the kernel's own bytes; none without such a chain.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn raw(family: Family, chain: &str) -> Result<Vec<Raw>, Error> {
    let tried = || format!("read chain {chain} of table nat ({family})");
    let attributes = [
        Nla::text(uapi::RULE_TABLE, Table::Nat.name()),
        Nla::text(uapi::RULE_CHAIN, chain),
    ];
    let body = nla::body(&header(family), &attributes).map_err(|_| Errno::EMSGSIZE);
    let body = body.context(Code::System, tried)?;
    let replies = match Netlink::netfilter()?.request_bytes(uapi::GETRULE, DUMP, &body) {
        Err(refusal) if refusal.errno == Errno::ENOENT => Vec::new(),
        replies => replies.context(Code::System, tried)?,
    };
    let read = |reply: &Message| {
        let attributes = reply.body.get(HEADER..)?;
        Some(raw_rule(attribute(attributes, uapi::RULE_EXPRESSIONS)?))
    };
    let rules = replies.iter().map(read).collect::<Option<_>>();
    rules
        .ok_or_else(|| Error::new(Code::System, tried()).with_details("a rule without expressions"))
}

/// Tests and verdict of `NFTA_RULE_EXPRESSIONS`.
fn raw_rule(expressions: &[u8]) -> Raw {
    let mut raw = Raw {
        tests: Vec::new(),
        end: End::Next,
    };
    for (_, element) in each_attribute(expressions) {
        let name = attribute(element, uapi::EXPR_NAME)
            .map(text)
            .unwrap_or_default();
        let data = attribute(element, uapi::EXPR_DATA).unwrap_or(&[]);
        match name.as_str() {
            "counter" => {}
            "match" => raw.tests.push(Test {
                name: attribute(data, XT_NAME).map(text).unwrap_or_default(),
                kind: Kind::Match,
                data: attribute(data, XT_INFO).unwrap_or(&[]).to_vec(),
                revision: attribute(data, XT_REVISION)
                    .map(<[u8]>::to_vec)
                    .unwrap_or_default(),
            }),
            "target" => raw.end = End::Other,
            "immediate" if verdict(data).is_some() => raw.end = verdict(data).unwrap_or(End::Other),
            _ => raw.tests.push(Test {
                name,
                kind: Kind::Expression,
                data: data.to_vec(),
                revision: Vec::new(),
            }),
        }
    }
    raw
}

/// The verdict of an `immediate`, if it is one.
fn verdict(data: &[u8]) -> Option<End> {
    let verdict = attribute(attribute(data, uapi::EXPR_DATA)?, uapi::DATA_VERDICT)?;
    let code = attribute(verdict, uapi::VERDICT_CODE)?.try_into().ok()?;
    let chain = || Some(text(attribute(verdict, uapi::VERDICT_CHAIN)?));
    Some(match i32::from_be_bytes(code) {
        RETURN => End::Return,
        uapi::VERDICT_JUMP => chain().map_or(End::Other, End::Chain),
        _ => End::Other,
    })
}

fn header(family: Family) -> [u8; HEADER] {
    let number = match family {
        Family::V4 => uapi::IPV4,
        Family::V6 => uapi::IPV6,
    };
    [number, 0, 0, 0]
}

/// What a comparison is about.
enum Loaded {
    Meta(u32),
    Network { offset: u32, len: u32 },
    ToPort,
}

/// One rule in the words of iptables, from `NFTA_RULE_EXPRESSIONS`.
pub fn rule(family: Family, expressions: &[u8]) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let mut loaded = None;
    let mut masked: Option<Vec<u8>> = None;
    for (_, element) in each_attribute(expressions) {
        let name = attribute(element, uapi::EXPR_NAME).map(text)?;
        let data = attribute(element, uapi::EXPR_DATA).unwrap_or(&[]);
        match name.as_str() {
            "counter" => continue,
            "match" => words.push(extension(data, xt::matched)?),
            "target" => {
                let target =
                    |name: &str, revision, info: &[u8]| xt::target(family, name, revision, info);
                words.push(extension(data, target)?);
            }
            _ => match Expr::decode(element) {
                Expr::Meta { key, into: _ } => loaded = Some(Loaded::Meta(key)),
                Expr::Payload {
                    base: uapi::PAYLOAD_NETWORK_HEADER,
                    offset,
                    len,
                    into: _,
                } => loaded = Some(Loaded::Network { offset, len }),
                Expr::Payload {
                    base: uapi::PAYLOAD_TRANSPORT_HEADER,
                    offset: TO_PORT,
                    len: 2,
                    into: _,
                } => loaded = Some(Loaded::ToPort),
                Expr::Bitwise { mask, xor, .. } if xor.iter().all(|byte| *byte == 0) => {
                    masked = Some(mask);
                }
                Expr::Compare { op, value, .. } => {
                    let is_inverted = match op {
                        uapi::CMP_EQ => false,
                        uapi::CMP_NEQ => true,
                        _ => return None,
                    };
                    let mask = masked.take();
                    words.push(match (loaded.take()?, &mask, is_inverted) {
                        (Loaded::ToPort, None, false) => to_port(&words, &value)?,
                        (loaded, _, _) => compared(family, &loaded, mask, &value, is_inverted)?,
                    });
                }
                Expr::Jump(chain) => words.push(format!("-j {chain}")),
                Expr::Drop => words.push("-j DROP".into()),
                Expr::Masquerade => words.push("-j MASQUERADE".into()),
                _ => return None,
            },
        }
    }
    Some(words.join(" "))
}

fn extension(data: &[u8], read: impl Fn(&str, u32, &[u8]) -> Option<String>) -> Option<String> {
    let name = attribute(data, XT_NAME).map(text)?;
    let revision = attribute(data, XT_REVISION)?.try_into().ok()?;
    read(
        &name,
        u32::from_be_bytes(revision),
        attribute(data, XT_INFO)?,
    )
}

fn compared(
    family: Family,
    loaded: &Loaded,
    mask: Option<Vec<u8>>,
    value: &[u8],
    is_inverted: bool,
) -> Option<String> {
    match (loaded, mask) {
        (Loaded::Meta(uapi::META_MARK), mask) => {
            let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_ne_bytes);
            let mask = mask.map_or(Some(u32::MAX), |mask| number(&mask))?;
            Some(xt::mark(number(value)?, mask, is_inverted))
        }
        // A name is compared with its closing NUL, its beginning (`eth+`) without.
        (Loaded::Meta(uapi::META_IIFNAME), None) if value.ends_with(&[0]) => {
            Some(xt::interface("-i", &text(value), is_inverted))
        }
        (Loaded::Meta(uapi::META_L4PROTO), None) if !is_inverted => protocol(value),
        (Loaded::Network { offset, len: 1 }, None)
            if family == Family::V4 && *offset == V4_PROTOCOL && !is_inverted =>
        {
            protocol(value)
        }
        (Loaded::Network { offset, len }, mask) => {
            let [source, destination] = match family {
                Family::V4 => V4,
                Family::V6 => V6,
            };
            let option = match *offset {
                offset if offset == source => "-s",
                offset if offset == destination => "-d",
                _ => return None,
            };
            // Of whole bytes only those are loaded that count.
            let len = usize::try_from(*len).ok()?;
            let mut mask = mask.unwrap_or_else(|| vec![u8::MAX; len]);
            let mut addr = value.to_vec();
            let bytes = match family {
                Family::V4 => 4,
                Family::V6 => 16,
            };
            if addr.len() != len || mask.len() != len || len > bytes {
                return None;
            }
            mask.resize(bytes, 0);
            addr.resize(bytes, 0);
            xt::network(option, xt::prefix(&addr, &mask)?, is_inverted)
        }
        _ => None,
    }
}

/// The match of a protocol that was asked for before.
fn to_port(words: &[String], value: &[u8]) -> Option<String> {
    let protocol = words.iter().find_map(|word| word.strip_prefix("-p "))?;
    let port = u16::from_be_bytes(value.try_into().ok()?);
    Some(format!("-m {protocol} --dport {port}"))
}

fn protocol(value: &[u8]) -> Option<String> {
    match value {
        [number] => xt::protocol(u16::from(*number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
