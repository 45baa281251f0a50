//! A rule as nft compiled it, with the sets that it has for itself: read whole, judged, and written
//! again elsewhere. What we do not know in it is kept as it is.

use common::error::{Code, Error};
use common::sys::netlink::{Refusal, attribute, each_attribute, text};
use common::sys::nla::Nla;
use nix::libc;

use crate::command::{Action, Command, PER_LIST};
use crate::expr::Expr;
use crate::object::{Place, Rule, number, userdata};
use crate::socket::Nft;
use crate::uapi;

/// What one test of packets is made of: everything of a rule before its last expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    tests: Vec<Test>,
    sets: Vec<Set>,
}

/// A rule of which all is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// As far as we understand it.
    pub rule: Rule,
    /// All of it.
    pub compiled: Compiled,
}

/// One expression: attributes by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Test {
    name: String,
    attributes: Attributes,
    /// The set that it looks into, of those that the rule has for itself.
    set: Option<usize>,
}

/// A set without a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    attributes: Attributes,
    elements: Vec<Attributes>,
}

type Attributes = Vec<(u16, Vec<u8>)>;

/// What a set is made of again.
const SET: [u16; 5] = [
    uapi::SET_FLAGS,
    uapi::SET_KEY_TYPE,
    uapi::SET_KEY_LEN,
    uapi::SET_DESC,
    uapi::SET_USERDATA,
];
/// The same of an element, in the order in which intervals must be written: by key, ends first.
const ELEMENT: [u16; 3] = [uapi::ELEM_KEY, uapi::ELEM_KEY_END, uapi::ELEM_FLAGS];

/// Expressions that load something of a packet, its connection or the time into a register: with the
/// number of the attribute that says into which. Without it, they would write.
const LOADS: [(&str, u16); 11] = [
    ("meta", uapi::META_DREG),
    ("ct", uapi::CT_DREG),
    ("payload", uapi::PAYLOAD_DREG),
    ("exthdr", uapi::EXTHDR_DREG),
    ("fib", uapi::FIB_DREG),
    ("rt", uapi::RT_DREG),
    ("socket", uapi::SOCKET_DREG),
    ("osf", uapi::OSF_DREG),
    ("xfrm", uapi::XFRM_DREG),
    ("hash", uapi::HASH_DREG),
    ("tunnel", uapi::TUNNEL_DREG),
];
/// Expressions that only compute with registers.
const COMPUTES: [&str; 5] = ["cmp", "bitwise", "range", "byteorder", "lookup"];

/// The rules of a chain, whole.
///
/// # Errors
/// What the kernel refused.
pub fn rules(nft: &mut Nft, place: Place, chain: &str) -> Result<Vec<Whole>, Refusal> {
    let filter = [
        Nla::text(uapi::RULE_TABLE, place.table),
        Nla::text(uapi::RULE_CHAIN, chain),
    ];
    let listed = nft.list(uapi::GETRULE, place.family, &filter, <[u8]>::to_vec)?;
    listed.iter().map(|rule| whole(nft, place, rule)).collect()
}

fn whole(nft: &mut Nft, place: Place, attributes: &[u8]) -> Result<Whole, Refusal> {
    let list = attribute(attributes, uapi::RULE_EXPRESSIONS).unwrap_or(&[]);
    let mut tests: Vec<Test> = each_attribute(list).map(|(_, e)| Test::decode(e)).collect();
    tests.pop();
    let mut sets = Vec::new();
    for test in &mut tests {
        let Some(name) = test.looks_into() else {
            continue;
        };
        if let Some(set) = Set::read(nft, place, &name)? {
            test.set = Some(sets.len());
            test.attributes
                .retain(|(kind, _)| *kind != uapi::LOOKUP_SET);
            sets.push(set);
        }
    }
    Ok(Whole {
        rule: Rule::decode(attributes),
        compiled: Compiled { tests, sets },
    })
}

fn copied(attributes: &[u8]) -> Attributes {
    each_attribute(attributes)
        .map(|(kind, value)| (kind, value.to_vec()))
        .collect()
}

/// Those of some kinds, in their order.
fn picked(attributes: &[u8], kinds: &[u16]) -> Attributes {
    let pick = |kind: &u16| Some((*kind, attribute(attributes, *kind)?.to_vec()));
    kinds.iter().filter_map(pick).collect()
}

fn encoded(attributes: &Attributes) -> impl Iterator<Item = Nla> + '_ {
    let nla = |(kind, value): &(u16, Vec<u8>)| Nla::value(*kind, value.clone());
    attributes.iter().map(nla)
}

impl Test {
    fn decode(element: &[u8]) -> Test {
        Test {
            name: attribute(element, uapi::EXPR_NAME)
                .map(text)
                .unwrap_or_default(),
            attributes: attribute(element, uapi::EXPR_DATA)
                .map(copied)
                .unwrap_or_default(),
            set: None,
        }
    }

    fn has(&self, wanted: u16) -> bool {
        self.attributes.iter().any(|(kind, _)| *kind == wanted)
    }

    fn looks_into(&self) -> Option<String> {
        let mut attributes = self.attributes.iter();
        let is_set = |(kind, _): &&(u16, Vec<u8>)| *kind == uapi::LOOKUP_SET;
        (self.name == "lookup").then_some(())?;
        attributes.find(is_set).map(|(_, name)| text(name))
    }

    /// Whether it only reads.
    fn only_looks(&self) -> bool {
        let loads = LOADS.iter().find(|(name, _)| *name == self.name);
        match loads {
            Some((_, into)) => self.has(*into),
            None if self.name == "lookup" => self.set.is_some() && !self.has(uapi::LOOKUP_DREG),
            None => COMPUTES.contains(&self.name.as_str()),
        }
    }

    fn encode(&self, first_set: u32) -> Nla {
        let mut attributes: Vec<Nla> = encoded(&self.attributes).collect();
        if let Some(id) = self.set.map(|set| set_id(first_set, set)) {
            attributes.push(Nla::text(uapi::LOOKUP_SET, UNNAMED));
            attributes.push(Nla::be32(uapi::LOOKUP_SET_ID, id));
        }
        Nla::nested(
            uapi::LIST_ELEM,
            [
                Nla::text(uapi::EXPR_NAME, &self.name),
                Nla::nested(uapi::EXPR_DATA, attributes),
            ],
        )
    }
}

/// The kernel puts a number in place of `%d`.
const UNNAMED: &str = "__set%d";

fn set_id(first: u32, index: usize) -> u32 {
    first.saturating_add(u32::try_from(index).unwrap_or(u32::MAX))
}

impl Set {
    /// A set that a rule has for itself and that nothing changes; `None` for any other.
    fn read(nft: &mut Nft, place: Place, name: &str) -> Result<Option<Set>, Refusal> {
        let table = [Nla::text(uapi::SET_TABLE, place.table)];
        let sets = nft.list(uapi::GETSET, place.family, &table, <[u8]>::to_vec)?;
        let is_it =
            |set: &&Vec<u8>| attribute(set, uapi::SET_NAME).map(text).as_deref() == Some(name);
        let Some(set) = sets.iter().find(is_it) else {
            return Ok(None);
        };
        let fixed = uapi::SET_FLAG_ANONYMOUS | uapi::SET_FLAG_CONSTANT;
        let may_have = fixed | uapi::SET_FLAG_INTERVAL | uapi::SET_FLAG_CONCAT;
        let flags = number(set, uapi::SET_FLAGS).unwrap_or(0);
        if flags & fixed != fixed || flags & !may_have != 0 {
            return Ok(None);
        }
        let filter = [
            Nla::text(uapi::ELEM_LIST_TABLE, place.table),
            Nla::text(uapi::ELEM_LIST_SET, name),
        ];
        let lists = nft.list(uapi::GETSETELEM, place.family, &filter, |part| {
            let list = attribute(part, uapi::ELEM_LIST_ELEMENTS).unwrap_or(&[]);
            let elements = each_attribute(list).map(|(_, element)| Set::element(element));
            elements.collect::<Vec<_>>()
        })?;
        let elements = lists.into_iter().flatten().collect::<Option<Vec<_>>>();
        let Some(mut elements) = elements else {
            return Ok(None);
        };
        // An interval's end that is the next one's beginning comes before it.
        elements.sort_by(|a, b| (a.first(), b.len()).cmp(&(b.first(), a.len())));
        Ok(Some(Set {
            attributes: picked(set, &SET),
            elements,
        }))
    }

    /// An element without its comment; `None` for one that does more than be in the set. It may count or limit
    /// the packets that it matches.
    fn element(element: &[u8]) -> Option<Attributes> {
        let is_known = |kind: u16| ELEMENT.contains(&kind) || kind == uapi::ELEM_USERDATA;
        let mut attributes = each_attribute(element);
        let is_plain = attributes.all(|(kind, _)| is_known(kind));
        is_plain.then(|| picked(element, &ELEMENT))
    }

    fn messages(&self, id: u32) -> Vec<(u16, Vec<Nla>, &'static str)> {
        let mut set = vec![Nla::text(uapi::SET_NAME, UNNAMED)];
        set.extend(encoded(&self.attributes));
        set.push(Nla::be32(uapi::SET_ID, id));
        let mut messages = vec![(uapi::NEWSET, set, "add the set of a condition")];
        for part in self.elements.chunks(PER_LIST) {
            let element =
                |element| Nla::nested(uapi::LIST_ELEM, encoded(element).collect::<Vec<_>>());
            let list: Vec<Nla> = part.iter().map(element).collect();
            let attributes = vec![
                Nla::text(uapi::ELEM_LIST_SET, UNNAMED),
                Nla::nested(uapi::ELEM_LIST_ELEMENTS, list),
                Nla::be32(uapi::ELEM_LIST_SET_ID, id),
            ];
            messages.push((uapi::NEWSETELEM, attributes, "add elements of a condition"));
        }
        messages
    }
}

impl Compiled {
    /// Refuses what does more than match packets.
    ///
    /// # Errors
    /// The name of the last such expression: what loads for it comes before it.
    pub fn judge(&self) -> Result<(), &str> {
        let bad = self.tests.iter().rfind(|test| !test.only_looks());
        bad.map_or(Ok(()), |test| Err(test.name.as_str()))
    }

    /// Writes it into a chain, followed by a jump: behind the rule with the handle `behind`, or in front of all
    /// rules. `number` distinguishes its sets from the batch's others.
    pub fn commands(
        &self,
        place: Place,
        (chain, behind): (&str, Option<u64>),
        jump: &str,
        comment: &str,
        number: u32,
    ) -> Vec<Command> {
        let mut messages = Vec::new();
        for (index, set) in self.sets.iter().enumerate() {
            messages.extend(set.messages(set_id(number, index)));
        }
        let tests = self.tests.iter().map(|test| test.encode(number));
        let exprs: Vec<Nla> = tests
            .chain([Expr::Jump(jump.to_owned()).encode()])
            .collect();
        let mut rule = vec![
            Nla::text(uapi::RULE_CHAIN, chain),
            Nla::nested(uapi::RULE_EXPRESSIONS, exprs),
            userdata(uapi::RULE_USERDATA, comment),
        ];
        rule.extend(behind.map(|handle| Nla::be64(uapi::RULE_POSITION, handle)));
        messages.push((uapi::NEWRULE, rule, "add the rule of a condition"));
        // With a position, a rule that is appended goes directly behind it.
        let append = behind.map_or(0, |_| libc::NLM_F_APPEND);
        let command = |(kind, attributes, words): (u16, Vec<Nla>, &str)| Command {
            place,
            action: Action::Message {
                kind,
                flags: libc::NLM_F_CREATE
                    | match kind {
                        uapi::NEWRULE => append,
                        _ => 0,
                    },
                attributes,
                words: words.to_owned(),
            },
        };
        messages.into_iter().map(command).collect()
    }
}

/// The only rule of a chain, with what comes before its jump to another.
///
/// # Errors
/// Code 7 with what it is instead.
pub fn only_test(rules: Vec<Whole>, jump: &str) -> Result<Compiled, Error> {
    let refuse = |why: String| Err(Error::new(Code::InvalidConfig, why));
    let [Whole { rule, compiled }] = <[Whole; 1]>::try_from(rules).map_err(|rules| {
        let why = format!("they result in {} rules instead of one", rules.len());
        Error::new(Code::InvalidConfig, why)
    })?;
    if let Err(name) = compiled.judge() {
        return refuse(format!("{name} does more than match packets"));
    }
    match rule.leads_to(jump) {
        true => Ok(compiled),
        false => refuse("they do not lead to the attachment's chain".to_owned()),
    }
}
