//! A rule that looks up a set or map, as rules that compare: one for each element.
//!
//! So a verdict map, such as that of kube-proxy's NodePorts, reads as the rules that it replaces.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use common::sys::netlink::{Refusal, attribute, each_attribute, text};
use common::sys::nla::{Nla, emit_all};
use nft::expr::{Expr, FIRST, Register};
use nft::object;
use nft::socket::Nft;
use nft::uapi;
use nix::errno::Errno;

use crate::nftables::layout::TABLE;

/// The most elements of a set that a rule only tests, to be read for it; of more, whether a packet matches
/// stays unknown.
const MOST: usize = 1000;
/// The most rules that one becomes: a map has room for all ports. Of more, there is a rule for each verdict of
/// the map, with tests that are not known.
const MOST_RULES: usize = 1 << 16;
/// The most that all rules of a family become.
const MOST_OF_ALL: usize = 4 * MOST_RULES;
/// Bytes of an interface's name (`IFNAMSIZ`).
const NAME: usize = 16;

/// The sets of one family of nf_tables, by table and name.
pub struct Sets {
    number: u8,
    /// Their `NFT_SET_*`.
    flags: HashMap<(String, String), u32>,
    /// What those have that were read.
    read: HashMap<(String, String), Rc<Content>>,
    /// How many rules there may be besides.
    left: usize,
}

/// How many expressions before a lookup load its key, and what replaces them and the lookup, for each
/// element of the set.
type Unrolled = (usize, Vec<Vec<Nla>>);

/// What a set has.
struct Content {
    /// Its elements; `None` of more than one rule may become.
    elements: Option<Vec<Element>>,
    /// What its elements lead to, each once.
    verdicts: BTreeSet<Vec<u8>>,
}

/// An element: its key, where it is one value, and what a map has for it.
struct Element {
    key: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
}

impl Sets {
    /// Every set of a family (`NFPROTO_*`).
    pub fn read(nft: &mut Nft, number: u8) -> Result<Sets, Refusal> {
        let all = nft.list_of(uapi::GETSET, number, &[], |attributes| {
            let object::Set { name, flags, .. } = object::Set::decode(attributes);
            ((named(attributes, uapi::SET_TABLE), name), flags)
        })?;
        Ok(Sets {
            number,
            flags: all.into_iter().collect(),
            read: HashMap::new(),
            left: MOST_OF_ALL,
        })
    }

    /// The expressions of the rules that a rule becomes.
    pub fn resolve(
        &mut self,
        nft: &mut Nft,
        table: &str,
        expressions: &[u8],
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let elements: Vec<&[u8]> = each_attribute(expressions).map(|(_, e)| e).collect();
        let decoded: Vec<Expr> = elements.iter().map(|e| Expr::decode(e)).collect();
        let decides = |(expr, element): (&Expr, &&[u8])| match expr {
            Expr::Dnat { .. } => true,
            Expr::Other(name) => name == "nat" || name == "redir",
            _ => is_verdict(element),
        };
        if table == TABLE || !decoded.iter().zip(&elements).any(decides) {
            return Ok(vec![expressions.to_vec()]);
        }
        let mut rules: Vec<Vec<Nla>> = vec![Vec::new()];
        for (place, (element, expr)) in elements.iter().zip(&decoded).enumerate() {
            let before = decoded.get(..place).unwrap_or_default();
            let found = match expr {
                Expr::Lookup { set, from, .. } => {
                    let most = self.left.min(MOST_RULES) / rules.len().max(1);
                    self.looked_up(nft, (table, set), element, (before, *from), most)?
                }
                _ => None,
            };
            let (loads, ways) =
                found.unwrap_or_else(|| (0, vec![vec![Nla::value(uapi::LIST_ELEM, *element)]]));
            for rule in &mut rules {
                rule.truncate(rule.len().saturating_sub(loads));
            }
            let with = |rule: &Vec<Nla>| {
                let rule = rule.clone();
                ways.iter()
                    .map(move |way| [rule.as_slice(), way.as_slice()].concat())
                    .collect::<Vec<_>>()
            };
            rules = rules.iter().flat_map(with).collect();
        }
        self.left = self.left.saturating_sub(rules.len());
        let bytes = |rule: &Vec<Nla>| {
            let mut bytes = Vec::new();
            emit_all(rule, &mut bytes).map(|()| bytes)
        };
        rules.iter().map(bytes).collect()
    }

    /// What replaces a lookup, at most so many ways; `None` where it is left as it is.
    fn looked_up(
        &mut self,
        nft: &mut Nft,
        (table, set): (&str, &str),
        lookup: &[u8],
        (before, from): (&[Expr], Register),
        most: usize,
    ) -> Result<Option<Unrolled>, Refusal> {
        let is_verdict = is_verdict(lookup);
        let flags = self.flags.get(&(table.to_owned(), set.to_owned()));
        let is_exact = flags.is_some_and(|flags| flags & uapi::SET_FLAG_INTERVAL == 0);
        if !is_verdict && !is_exact {
            return Ok(None);
        }
        let content = self.content(nft, table, set)?;
        let most_tested = if is_verdict { most } else { most.min(MOST) };
        let elements = content.elements.as_ref();
        let elements = elements.filter(|all| is_exact && all.len() <= most_tested);
        let elements = elements.filter(|all| all.iter().all(|element| element.key.is_some()));
        if let (Some(elements), Some(key)) = (elements, key(before, from)) {
            let way = |element: &Element| {
                let mut way = compared(&key, element.key.as_deref().unwrap_or_default());
                let data = element.data.as_ref().filter(|_| is_verdict);
                way.extend(data.map(|data| verdict(data)));
                way
            };
            return Ok(Some((key.len(), elements.iter().map(way).collect())));
        }
        if !is_verdict {
            return Ok(None);
        }
        if content.verdicts.len() > most {
            // Where packets go would be left out.
            return Err(Refusal {
                text: format!("map {set} of table {table} has too many verdicts"),
                ..Errno::E2BIG.into()
            });
        }
        let lookup = || Nla::value(uapi::LIST_ELEM, lookup);
        let verdicts = content.verdicts.iter();
        let ways = verdicts.map(|data| vec![lookup(), verdict(data)]);
        Ok(Some((0, ways.collect())))
    }

    /// What a set has, read once.
    fn content(&mut self, nft: &mut Nft, table: &str, set: &str) -> Result<Rc<Content>, Refusal> {
        let of = (table.to_owned(), set.to_owned());
        if let Some(known) = self.read.get(&of) {
            return Ok(Rc::clone(known));
        }
        let names = [
            Nla::text(uapi::ELEM_LIST_TABLE, table),
            Nla::text(uapi::ELEM_LIST_SET, set),
        ];
        // A list may be begun again, so nothing is kept from one part for the next.
        let parts = nft.list_of(uapi::GETSETELEM, self.number, &names, |attributes| {
            let list = attribute(attributes, uapi::ELEM_LIST_ELEMENTS).unwrap_or(&[]);
            let elements = each_attribute(list).map(|(_, element)| Element::of(element));
            elements.collect::<Vec<_>>()
        })?;
        let content = Rc::new(Content::of(parts.into_iter().flatten()));
        self.read.insert(of, Rc::clone(&content));
        Ok(content)
    }
}

impl Content {
    fn of(elements: impl Iterator<Item = Element>) -> Content {
        let mut content = Content {
            elements: Some(Vec::new()),
            verdicts: BTreeSet::new(),
        };
        for element in elements {
            content.verdicts.extend(element.data.clone());
            let has_room = |all: &Vec<Element>| all.len() < MOST_RULES;
            content.elements = content.elements.take().filter(has_room);
            if let Some(all) = &mut content.elements {
                all.push(element);
            }
        }
        content
    }
}

impl Element {
    fn of(element: &[u8]) -> Element {
        let is_one = [uapi::ELEM_FLAGS, uapi::ELEM_KEY_END]
            .iter()
            .all(|kind| attribute(element, *kind).is_none());
        let key = attribute(element, uapi::ELEM_KEY).filter(|_| is_one);
        let key = key.and_then(|key| attribute(key, uapi::DATA_VALUE));
        Element {
            key: key.map(<[u8]>::to_vec),
            data: attribute(element, uapi::ELEM_DATA).map(<[u8]>::to_vec),
        }
    }
}

/// A name among attributes.
pub fn named(attributes: &[u8], kind: u16) -> String {
    attribute(attributes, kind).map(text).unwrap_or_default()
}

/// Whether an expression is a lookup that decides where packets go.
fn is_verdict(element: &[u8]) -> bool {
    let is_lookup = attribute(element, uapi::EXPR_NAME).is_some_and(|name| name == b"lookup\0");
    let data = attribute(element, uapi::EXPR_DATA).unwrap_or(&[]);
    let into = attribute(data, uapi::LOOKUP_DREG);
    is_lookup && into.is_some_and(|into| into == uapi::REG_VERDICT.to_be_bytes())
}

/// The expressions that load a lookup's key, each with its bytes; `None` where something else is done with
/// it, or is not known.
fn key(before: &[Expr], from: Register) -> Option<Vec<(&Expr, usize)>> {
    let is_first = |expr: &Expr| load(expr).is_some_and(|(into, _)| into == from);
    let start = before.iter().rposition(is_first)?;
    let mut next = from;
    let mut parts = Vec::new();
    for expr in before.get(start..)? {
        let (into, length) = load(expr).filter(|(into, _)| *into == next)?;
        next = Register(into.0 + u32::try_from(length.div_ceil(4)).ok()?);
        parts.push((expr, length));
    }
    Some(parts)
}

/// Where an expression loads how many bytes.
fn load(expr: &Expr) -> Option<(Register, usize)> {
    match expr {
        Expr::Payload { len, into, .. } => Some((*into, usize::try_from(*len).ok()?)),
        Expr::Ct { key, into } if *key == uapi::CT_STATE => Some((*into, 4)),
        Expr::Meta { key, into } => match *key {
            uapi::META_L4PROTO => Some((*into, 1)),
            uapi::META_MARK => Some((*into, 4)),
            uapi::META_IIFNAME | uapi::META_OIFNAME => Some((*into, NAME)),
            _ => None,
        },
        _ => None,
    }
}

/// The parts of a key, compared one by one.
fn compared(parts: &[(&Expr, usize)], mut key: &[u8]) -> Vec<Nla> {
    let mut all = Vec::new();
    for (load, length) in parts {
        let (value, rest) = key.split_at_checked(*length).unwrap_or((key, &[]));
        key = rest
            .get(length.next_multiple_of(4) - length..)
            .unwrap_or(&[]);
        let compare = Expr::Compare {
            from: FIRST,
            op: uapi::CMP_EQ,
            value: value.to_vec(),
        };
        all.extend([load.encode(), compare.encode()]);
    }
    all
}

/// What a map has for a key, as a rule has it.
fn verdict(data: &[u8]) -> Nla {
    let data = [
        Nla::be32(uapi::IMMEDIATE_DREG, uapi::REG_VERDICT),
        Nla::value(uapi::IMMEDIATE_DATA, data),
    ];
    Nla::nested(
        uapi::LIST_ELEM,
        [
            Nla::text(uapi::EXPR_NAME, "immediate"),
            Nla::nested(uapi::EXPR_DATA, data),
        ],
    )
}
