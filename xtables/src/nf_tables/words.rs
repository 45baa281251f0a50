//! A rule of nf_tables in the words of iptables, from what the kernel holds of it.
//!
//! What iptables would not write, or only iptables knows, becomes a match or a target of which the name
//! is all that is known: `-m ?NAME`, `-j NAME ?`. So every rule has its words, a rule with such a part is
//! unlike any of ours, and its destination can be read all the same.

use common::Family;
use common::sys::netlink::{attribute, each_attribute, text};
use nft::expr::Expr;
use nft::uapi;

use crate::meaning::{LOGS, SETS_MARK, VERDICT_MAP};
use crate::xt;

/// `NFTA_MATCH_NAME`, `NFTA_MATCH_REV` and `NFTA_MATCH_INFO`; the same for targets.
pub(super) const XT_NAME: u16 = 1;
pub(super) const XT_REVISION: u16 = 2;
pub(super) const XT_INFO: u16 = 3;
/// `NFTA_RANGE_OP`, `NFTA_RANGE_FROM_DATA` and `NFTA_RANGE_TO_DATA`
pub(super) const RANGE_OP: u16 = 2;
pub(super) const RANGE_FROM: u16 = 3;
pub(super) const RANGE_TO: u16 = 4;
/// `RTN_LOCAL` of linux/rtnetlink.h, as `fib` gives it.
const LOCAL: u32 = 2;
/// Where the protocol is in a header of IPv4, in bytes.
const V4_PROTOCOL: u32 = 9;

/// Where ports are, in all protocols that have them, and the options that name them.
const PORTS: [(u32, &str); 2] = [(0, "--sport"), (2, "--dport")];

/// What a comparison is about.
#[derive(Clone, Copy)]
enum Loaded {
    Meta(u32),
    Network {
        offset: u32,
        len: u32,
    },
    Port(&'static str),
    /// The kind of the destination, of what the routing table says.
    Destination,
}

/// One rule, from `NFTA_RULE_EXPRESSIONS`.
pub fn rule(family: Family, expressions: &[u8]) -> String {
    let mut reader = Reader {
        family,
        words: Vec::new(),
        loaded: None,
        mask: None,
        mark: None,
    };
    let mut elements = each_attribute(expressions).peekable();
    while let Some((_, element)) = elements.next() {
        reader.take(element, elements.peek().is_none());
    }
    reader.words.retain(|word| !word.is_empty());
    reader.words.join(" ")
}

/// Packets and bytes that a rule counted, if it does.
pub fn counters(expressions: &[u8]) -> Option<(u64, u64)> {
    let counter = each_attribute(expressions)
        .map(|(_, element)| element)
        .find(|element| name_of(element) == "counter")?;
    let data = attribute(counter, uapi::EXPR_DATA)?;
    let number = |kind| Some(u64::from_be_bytes(attribute(data, kind)?.try_into().ok()?));
    // `NFTA_COUNTER_BYTES`, `NFTA_COUNTER_PACKETS`
    Some((number(2)?, number(1)?))
}

fn name_of(element: &[u8]) -> String {
    attribute(element, uapi::EXPR_NAME)
        .map(text)
        .unwrap_or_default()
}

struct Reader {
    family: Family,
    words: Vec<String>,
    loaded: Option<Loaded>,
    mask: Option<Vec<u8>>,
    /// The value and the mask of a mark, as `-j MARK --set-xmark` has them, that a register holds.
    mark: Option<(u32, u32)>,
}

impl Reader {
    fn take(&mut self, element: &[u8], is_last: bool) {
        let name = name_of(element);
        let data = attribute(element, uapi::EXPR_DATA).unwrap_or(&[]);
        let family = self.family;
        let word = match name.as_str() {
            "counter" => return,
            "match" => extension(data, xt::matched).unwrap_or_else(|| opaque(&xt_name(data))),
            "target" => {
                let read =
                    |name: &str, revision, info: &[u8]| xt::target(family, name, revision, info);
                extension(data, read).unwrap_or_else(|| opaque_target(&xt_name(data)))
            }
            "immediate" => match is_load(data) {
                // It tests nothing: a translation or another expression uses what it loads.
                true => {
                    self.mark = number(value_of(data)).map(|value| (value, u32::MAX));
                    return;
                }
                false => verdict(data).unwrap_or_else(|| opaque(&name)),
            },
            "lookup" if decides(data) => without_words(VERDICT_MAP),
            "log" => without_words(LOGS),
            "range" => self.range(data).unwrap_or_else(|| opaque(&name)),
            _ => return self.expression(&name, &Expr::decode(element), is_last),
        };
        self.words.push(word);
    }

    fn expression(&mut self, name: &str, expr: &Expr, is_last: bool) {
        let mark = self.mark.take().filter(|_| is_last);
        match expr {
            Expr::Meta { key, into: _ } => self.loaded = Some(Loaded::Meta(*key)),
            Expr::Fib {
                result: uapi::FIB_RESULT_ADDRTYPE,
                flags: uapi::FIB_DADDR,
                into: _,
            } => self.loaded = Some(Loaded::Destination),
            Expr::SetMeta {
                key: uapi::META_MARK,
                from: _,
            } => {
                (self.loaded, self.mask) = (None, None);
                // A target comes last in the words of iptables.
                self.words.push(match mark {
                    Some((value, mask)) => format!("-j MARK --set-xmark {value:#x}/{mask:#x}"),
                    None => without_words(SETS_MARK),
                });
            }
            Expr::Bitwise { mask, xor, .. }
                if matches!(self.loaded, Some(Loaded::Meta(uapi::META_MARK))) =>
            {
                let kept = number(Some(mask)).zip(number(Some(xor)));
                self.mark = kept.map(|(kept, value)| (value, !kept));
                let is_mask = xor.iter().all(|byte| *byte == 0);
                self.loaded = self.loaded.take().filter(|_| is_mask);
                self.mask = is_mask.then(|| mask.clone());
            }
            Expr::Payload {
                base: uapi::PAYLOAD_NETWORK_HEADER,
                offset,
                len,
                into: _,
            } => {
                self.loaded = Some(Loaded::Network {
                    offset: *offset,
                    len: *len,
                });
            }
            Expr::Payload {
                base: uapi::PAYLOAD_TRANSPORT_HEADER,
                offset,
                len: 2,
                into: _,
            } => {
                let port = PORTS.iter().find(|(at, _)| at == offset);
                self.loaded = port.map(|(_, option)| Loaded::Port(option));
            }
            Expr::Bitwise { mask, xor, .. } if xor.iter().all(|byte| *byte == 0) => {
                self.mask = Some(mask.clone());
            }
            Expr::Compare { op, value, .. } => {
                let word = self.compared(*op, value);
                self.words.push(word.unwrap_or_else(|| opaque(name)));
            }
            Expr::Masquerade => self.words.push("-j MASQUERADE".into()),
            other => {
                (self.loaded, self.mask) = (None, None);
                self.words.push(match native_target(other, name) {
                    Some(target) => opaque_target(target),
                    None => opaque(name),
                });
            }
        }
    }

    fn compared(&mut self, op: u32, value: &[u8]) -> Option<String> {
        let (loaded, mask) = (self.loaded.take()?, self.mask.take());
        let is_inverted = match (op, loaded) {
            (uapi::CMP_EQ, _) => false,
            (uapi::CMP_NEQ, _) => true,
            (uapi::CMP_LTE, Loaded::Port(option)) if mask.is_none() => {
                return self.port(option, false, &format!("0:{}", port(value)?));
            }
            (uapi::CMP_GTE, Loaded::Port(option)) if mask.is_none() => {
                return self.port(option, false, &format!("{}:65535", port(value)?));
            }
            _ => return None,
        };
        match (loaded, &mask) {
            (Loaded::Port(option), None) => {
                self.port(option, is_inverted, &port(value)?.to_string())
            }
            _ => compared(self.family, loaded, mask, value, is_inverted),
        }
    }

    fn range(&mut self, data: &[u8]) -> Option<String> {
        let Some(Loaded::Port(option)) = self.loaded.take() else {
            return None;
        };
        let end = |kind| port(attribute(attribute(data, kind)?, uapi::DATA_VALUE)?);
        // `NFT_RANGE_EQ` and `NFT_RANGE_NEQ`, as a comparison's.
        let op = u32::from_be_bytes(attribute(data, RANGE_OP)?.try_into().ok()?);
        let text = format!("{}:{}", end(RANGE_FROM)?, end(RANGE_TO)?);
        self.port(option, op != uapi::CMP_EQ, &text)
    }

    /// The match of a port, of a protocol that was matched before.
    fn port(&self, option: &str, is_inverted: bool, text: &str) -> Option<String> {
        let protocol = self
            .words
            .iter()
            .find_map(|word| word.strip_prefix("-p "))?;
        let not = if is_inverted { "! " } else { "" };
        Some(format!("-m {protocol} {not}{option} {text}"))
    }
}

fn value_of(data: &[u8]) -> Option<&[u8]> {
    attribute(attribute(data, uapi::IMMEDIATE_DATA)?, uapi::DATA_VALUE)
}

/// A number that the kernel compares.
fn number(bytes: Option<&[u8]>) -> Option<u32> {
    bytes?.try_into().ok().map(u32::from_ne_bytes)
}

/// A part of which only the name is known.
fn opaque(name: &str) -> String {
    without_words(&format!("?{name}"))
}

fn without_words(name: &str) -> String {
    format!("-m {}", crate::words::quoted(name))
}

fn opaque_target(name: &str) -> String {
    format!("-j {} ?", crate::words::quoted(name))
}

/// The target of iptables that does what an expression of nft's own does.
fn native_target(expr: &Expr, name: &str) -> Option<&'static str> {
    match (expr, name) {
        (Expr::Dnat { .. }, _) | (_, "nat") => Some("DNAT"),
        (_, "redir") => Some("REDIRECT"),
        (_, "masq") => Some("MASQUERADE"),
        (_, "reject") => Some("REJECT"),
        (_, "queue") => Some("NFQUEUE"),
        _ => None,
    }
}

/// Whether a lookup in a map decides where packets go.
fn decides(data: &[u8]) -> bool {
    attribute(data, uapi::LOOKUP_DREG).is_some_and(|into| into == uapi::REG_VERDICT.to_be_bytes())
}

/// Whether an immediate puts a value into a register, and decides nothing.
fn is_load(data: &[u8]) -> bool {
    value_of(data).is_some()
}

fn verdict(data: &[u8]) -> Option<String> {
    let verdict = attribute(attribute(data, uapi::IMMEDIATE_DATA)?, uapi::DATA_VERDICT)?;
    let code = u32::from_be_bytes(attribute(verdict, uapi::VERDICT_CODE)?.try_into().ok()?);
    let chain = || {
        let name = attribute(verdict, uapi::VERDICT_CHAIN).map(text)?;
        Some(crate::words::quoted(&name))
    };
    Some(match code.cast_signed() {
        uapi::VERDICT_JUMP => format!("-j {}", chain()?),
        uapi::VERDICT_GOTO => format!("-g {}", chain()?),
        uapi::VERDICT_DROP => "-j DROP".into(),
        uapi::VERDICT_RETURN => "-j RETURN".into(),
        uapi::VERDICT_QUEUE => "-j QUEUE".into(),
        code if code.cast_unsigned() == uapi::ACCEPT => "-j ACCEPT".into(),
        _ => return None,
    })
}

fn xt_name(data: &[u8]) -> String {
    attribute(data, XT_NAME).map(text).unwrap_or_default()
}

fn extension(data: &[u8], read: impl Fn(&str, u32, &[u8]) -> Option<String>) -> Option<String> {
    let revision = attribute(data, XT_REVISION)?.try_into().ok()?;
    let info = attribute(data, XT_INFO)?;
    read(&xt_name(data), u32::from_be_bytes(revision), info)
}

fn compared(
    family: Family,
    loaded: Loaded,
    mask: Option<Vec<u8>>,
    value: &[u8],
    is_inverted: bool,
) -> Option<String> {
    match (loaded, mask) {
        (Loaded::Meta(uapi::META_MARK), mask) => {
            let mask = mask.map_or(Some(u32::MAX), |mask| number(Some(&mask)))?;
            Some(xt::mark(number(Some(value))?, mask, is_inverted))
        }
        (Loaded::Destination, None) if number(Some(value)) == Some(LOCAL) => {
            let not = if is_inverted { "! " } else { "" };
            Some(format!("-m addrtype {not}--dst-type LOCAL"))
        }
        (Loaded::Meta(uapi::META_IIFNAME), None) => Some(interface("-i", value, is_inverted)),
        (Loaded::Meta(uapi::META_OIFNAME), None) => Some(interface("-o", value, is_inverted)),
        (Loaded::Meta(uapi::META_L4PROTO), None) => protocol(value, is_inverted),
        // As iptables 1.8.11 writes it.
        (Loaded::Network { offset, len: 1 }, None)
            if family == Family::V4 && offset == V4_PROTOCOL =>
        {
            protocol(value, is_inverted)
        }
        (Loaded::Network { offset, len }, mask) => {
            let option = match offset {
                offset if offset == family.source_offset() => "-s",
                offset if offset == family.destination_offset() => "-d",
                _ => return None,
            };
            // Of whole bytes only those are loaded that count.
            let len = usize::try_from(len).ok()?;
            let mut mask = mask.unwrap_or_else(|| vec![u8::MAX; len]);
            let mut addr = value.to_vec();
            let bytes = usize::from(family.address_len());
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

/// A name is compared with its closing NUL, its beginning (`eth+`) without.
fn interface(option: &str, value: &[u8], is_inverted: bool) -> String {
    let mut name = text(value);
    if !value.ends_with(&[0]) {
        name.push('+');
    }
    xt::interface(option, &name, is_inverted)
}

fn port(value: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(value.try_into().ok()?))
}

fn protocol(value: &[u8], is_inverted: bool) -> Option<String> {
    let [number] = value else {
        return None;
    };
    let not = if is_inverted { "! " } else { "" };
    xt::protocol(u16::from(*number)).map(|words| format!("{not}{words}"))
}
