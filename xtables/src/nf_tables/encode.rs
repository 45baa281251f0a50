//! A rule in the words of iptables as iptables-nft 1.8.9 writes it to nf_tables: interfaces, protocol and
//! addresses as expressions, in this order; the port of TCP and UDP and the mark too; other matches and
//! targets as those of xtables; a counter before the target.
//!
//! Only the words of our own rules are known.

use std::net::{IpAddr, SocketAddr};

use common::result::Prefix;
use common::sys::netlink::{Refusal, attribute, each_attribute};
use common::sys::nla::{self, Nla};
use common::{Family, Protocol, family};
use nft::expr::{Expr, FIRST};
use nft::parts::{equal, network};
use nft::uapi;

use super::words::{RANGE_FROM, RANGE_OP, RANGE_TO, XT_INFO, XT_NAME, XT_REVISION};
use crate::words;
use crate::xt::encode::{self as xt, Extension};

/// `NFTA_RULE_COMPAT_PROTO` and `NFTA_RULE_COMPAT_FLAGS`
const COMPAT_PROTOCOL: u16 = 1;
const COMPAT_FLAGS: u16 = 2;
/// `NFTA_RANGE_SREG`, and `NFT_REG_1`, which [`FIRST`] is to the kernel.
const RANGE_FROM_REGISTER: u16 = 1;
const FIRST_REGISTER: u32 = 1;

/// The attributes of a rule beside its table, chain and place.
pub fn rule(family: Family, text: &str) -> Option<Vec<Nla>> {
    let words = words::split(text);
    let mut reader = Reader::new(family);
    let mut rest = words.as_slice();
    while let [word, value, after @ ..] = rest {
        (rest, reader.negated) = match word.as_str() {
            "!" => (rest.get(1..)?, true),
            "-j" => {
                reader.target(value, after)?;
                return Some(reader.finish());
            }
            option => {
                reader.option(option, value)?;
                (after, false)
            }
        };
    }
    None
}

/// The attributes of a rule that the kernel reported.
pub fn reported(expressions: &[u8], protocol: Option<u8>) -> Vec<Nla> {
    let mut attributes = vec![Nla::value(uapi::RULE_EXPRESSIONS, expressions)];
    attributes.extend(protocol.map(compat));
    attributes
}

/// `NFTA_RULE_EXPRESSIONS` of a rule with the same tests that leads to a chain.
///
/// # Errors
/// `EMSGSIZE` for a rule that is too large.
pub fn leading_to(chain: &str, expressions: &[u8]) -> Result<Vec<u8>, Refusal> {
    let is_verdict = |element| attribute(element, uapi::EXPR_NAME) == Some(b"immediate\0");
    let tests = each_attribute(expressions).filter(|(_, element)| !is_verdict(element));
    let tests = tests.map(|(kind, element)| Nla::value(kind, element));
    let all: Vec<Nla> = tests
        .chain([Expr::Jump(chain.to_owned()).encode()])
        .collect();
    nla::body(&[], &all)
}

/// The protocol that matches of xtables may rely on.
fn compat(protocol: u8) -> Nla {
    let attributes = [
        Nla::be32(COMPAT_PROTOCOL, u32::from(protocol)),
        Nla::be32(COMPAT_FLAGS, 0),
    ];
    Nla::nested(uapi::RULE_COMPAT, attributes)
}

struct Reader {
    family: Family,
    negated: bool,
    module: String,
    /// Interfaces, protocol, source and destination: iptables writes them in this order.
    basic: [Vec<Expr>; 4],
    protocol: Option<Protocol>,
    matches: Vec<Nla>,
    target: Option<Nla>,
}

impl Reader {
    fn new(family: Family) -> Reader {
        Reader {
            family,
            negated: false,
            module: String::new(),
            basic: Default::default(),
            protocol: None,
            matches: Vec::new(),
            target: None,
        }
    }

    fn finish(self) -> Vec<Nla> {
        let basic = self.basic.iter().flatten().map(Expr::encode);
        let counter = Nla::nested(
            uapi::LIST_ELEM,
            [
                Nla::text(uapi::EXPR_NAME, "counter"),
                Nla::nested(uapi::EXPR_DATA, []),
            ],
        );
        let all: Vec<Nla> = basic
            .chain(self.matches)
            .chain([counter])
            .chain(self.target)
            .collect();
        let mut attributes = vec![Nla::nested(uapi::RULE_EXPRESSIONS, all)];
        attributes.extend(self.protocol.map(|protocol| compat(protocol.number())));
        attributes
    }

    fn option(&mut self, option: &str, value: &str) -> Option<()> {
        let [interfaces, protocol, source, destination] = &mut self.basic;
        match (option, self.negated) {
            ("-i", not) => interfaces.extend(incoming(value, not)),
            ("-p", false) => {
                let known = Protocol::from_text(value)?;
                let (key, into) = (uapi::META_L4PROTO, FIRST);
                protocol.extend([Expr::Meta { key, into }, equal([known.number()])]);
                self.protocol = Some(known);
            }
            ("-s", false) => {
                source.extend(address(self.family, self.family.source_offset(), value)?);
            }
            ("-d", false) => {
                let offset = self.family.destination_offset();
                destination.extend(address(self.family, offset, value)?);
            }
            ("-m", false) => value.clone_into(&mut self.module),
            (option, false) => self.matched(option, value)?,
            (_, true) => return None,
        }
        Some(())
    }

    fn matched(&mut self, option: &str, value: &str) -> Option<()> {
        let module = self.module.clone();
        match (module.as_str(), option) {
            ("comment", "--comment") => self.extension(&xt::comment(value)),
            ("addrtype", "--dst-type") if value == "LOCAL" => self.extension(&xt::local()),
            ("multiport", "--dports") => {
                let ports: Option<Vec<_>> = value.split(',').map(ports).collect();
                self.extension(&xt::multiport(&ports?)?);
            }
            ("sctp", "--dport") => self.extension(&xt::sctp(ports(value)?)),
            ("tcp" | "udp", "--dport") => {
                let load = Expr::Payload {
                    base: uapi::PAYLOAD_TRANSPORT_HEADER,
                    offset: 2,
                    len: 2,
                    into: FIRST,
                };
                self.native(&[load]);
                self.matches.push(match ports(value)? {
                    (first, last) if first == last => equal(first.to_be_bytes()).encode(),
                    ends => within(ends),
                });
            }
            ("mark", "--mark") => {
                let (value, mask) = value_and_mask(value)?;
                let (from, into) = (FIRST, FIRST);
                let load = Expr::Meta {
                    key: uapi::META_MARK,
                    into,
                };
                let masked = Expr::Bitwise {
                    from,
                    into,
                    mask: mask.to_ne_bytes().to_vec(),
                    xor: vec![0; 4],
                };
                self.native(&[load, masked, equal(value.to_ne_bytes())]);
            }
            _ => return None,
        }
        Some(())
    }

    fn native(&mut self, exprs: &[Expr]) {
        self.matches.extend(exprs.iter().map(Expr::encode));
    }

    fn extension(&mut self, extension: &Extension) {
        self.matches.push(element("match", extension));
    }

    fn target(&mut self, name: &str, options: &[String]) -> Option<()> {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.target = Some(match (name, options.as_slice()) {
            ("MARK", ["--set-xmark", value]) => {
                let (value, mask) = value_and_mask(value)?;
                element("target", &xt::set_mark(value, mask))
            }
            ("MASQUERADE", []) => element("target", &xt::masquerade(self.family)),
            ("DNAT", ["--to-destination", to]) => {
                let (addr, port) = match to.parse::<SocketAddr>() {
                    Ok(to) => (to.ip(), Some(to.port())),
                    Err(_) => (to.parse().ok()?, None),
                };
                element("target", &xt::dnat(addr, port))
            }
            ("DROP", []) => Expr::Drop.encode(),
            ("RETURN", []) => Expr::Return.encode(),
            (chain, []) => Expr::Jump(chain.to_owned()).encode(),
            _ => return None,
        });
        Some(())
    }
}

fn element(kind: &str, extension: &Extension) -> Nla {
    let data = [
        Nla::text(XT_NAME, extension.name),
        Nla::be32(XT_REVISION, extension.revision),
        Nla::value(XT_INFO, extension.info.clone()),
    ];
    Nla::nested(
        uapi::LIST_ELEM,
        [
            Nla::text(uapi::EXPR_NAME, kind),
            Nla::nested(uapi::EXPR_DATA, data),
        ],
    )
}

/// `PORT` or `FIRST:LAST`
fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Continues only if the port that was loaded is one of these.
fn within((first, last): (u16, u16)) -> Nla {
    let end = |kind, port: u16| {
        let value = Nla::value(uapi::DATA_VALUE, port.to_be_bytes());
        Nla::nested(kind, [value])
    };
    let data = [
        Nla::be32(RANGE_FROM_REGISTER, FIRST_REGISTER),
        Nla::be32(RANGE_OP, uapi::CMP_EQ),
        end(RANGE_FROM, first),
        end(RANGE_TO, last),
    ];
    Nla::nested(
        uapi::LIST_ELEM,
        [
            Nla::text(uapi::EXPR_NAME, "range"),
            Nla::nested(uapi::EXPR_DATA, data),
        ],
    )
}

fn incoming(name: &str, negated: bool) -> [Expr; 2] {
    let (key, into) = (uapi::META_IIFNAME, FIRST);
    let mut value = name.as_bytes().to_vec();
    value.push(0);
    let op = match negated {
        true => uapi::CMP_NEQ,
        false => uapi::CMP_EQ,
    };
    let from = FIRST;
    [Expr::Meta { key, into }, Expr::Compare { from, op, value }]
}

fn address(of: Family, offset: u32, text: &str) -> Option<Vec<Expr>> {
    let Prefix { addr, len } = Prefix::from_text(text)?;
    let is_of_family = matches!(
        (of, addr),
        (Family::V4, IpAddr::V4(_)) | (Family::V6, IpAddr::V6(_))
    );
    is_of_family.then(|| network(offset, &family::bytes(addr), len, of))
}

/// `0xVALUE/0xMASK`
fn value_and_mask(text: &str) -> Option<(u32, u32)> {
    let (value, mask) = text.split_once('/')?;
    let number = |text: &str| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    Some((number(value)?, number(mask)?))
}
