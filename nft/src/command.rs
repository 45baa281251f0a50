//! One change to the ruleset: as messages, and in words for errors.

use std::fmt;

use common::sys::netlink::Refusal;
use common::sys::nla::Nla;
use nix::libc;

use crate::object::{Chain, Element, Place, Rule, Set, attributes, userdata};
use crate::uapi;

/// Bytes of elements in one message: the list's length has 16 bits, and an element less than 400.
const PER_MESSAGE: usize = 60_000;

/// Elements of intervals in one message, for the same reason.
pub const PER_LIST: usize = 400;

/// A change in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The table.
    pub place: Place,
    /// What is done there.
    pub action: Action,
}

/// What is done. Whatever is added must not exist yet: what is there already is left alone, since
/// declaring it again counts as an update, for which closing the socket waits as for a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named for what they hold")]
pub enum Action {
    /// Creates the table, with a comment.
    AddTable { comment: String },
    /// Deletes the table with all that is in it.
    DeleteTable,
    /// Clears the flag that makes a table dormant.
    WakeTable,
    /// Creates a chain.
    AddChain(Chain),
    /// Deletes a chain with its rules.
    DeleteChain(String),
    /// Adds a rule at the end of a chain, or at its beginning.
    AddRule {
        chain: String,
        rule: Rule,
        first: bool,
    },
    /// Deletes the rule of a handle, or all of a chain.
    DeleteRule { chain: String, handle: Option<u64> },
    /// Creates a set or map.
    AddSet {
        /// The set.
        set: Set,
        /// Whether each of its elements counts the packets that it matches (from Linux 5.7 on).
        counted: bool,
    },
    /// Deletes a set or map with its elements.
    DeleteSet(String),
    /// Adds elements to a set or map.
    AddElements { set: String, elements: Vec<Element> },
    /// Deletes elements by their keys.
    DeleteElements { set: String, keys: Vec<Vec<u8>> },
    /// A message of another layout than ours.
    Message {
        /// `nlmsg_type`
        kind: u16,
        /// `NLM_F_*` beside request and acknowledgement.
        flags: i32,
        /// The attributes beside the table's.
        attributes: Vec<Nla>,
        /// What it does.
        words: String,
    },
}

/// A message without its number.
#[derive(Debug)]
pub struct Request {
    /// `nlmsg_type`
    pub kind: u16,
    /// `NLM_F_*` beside request and acknowledgement.
    pub flags: u16,
    /// Everything after the header.
    pub body: Vec<u8>,
}

const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// The messages of all commands, in order, each with the index of its command.
///
/// # Errors
/// `EMSGSIZE` when a single object does not fit.
pub fn encode_all(commands: &[Command]) -> Result<Vec<(usize, Request)>, Refusal> {
    let mut requests = Vec::with_capacity(commands.len());
    for (index, command) in commands.iter().enumerate() {
        let id = u32::try_from(index).unwrap_or(u32::MAX);
        for (kind, flags, content) in messages(command, id) {
            let body = attributes(command.place.family.nf_number(), &content)?;
            let flags = u16::try_from(flags).unwrap_or(0);
            requests.push((index, Request { kind, flags, body }));
        }
    }
    Ok(requests)
}

/// Type, flags and attributes of a command's messages; `id` distinguishes its set from the batch's others.
fn messages(command: &Command, id: u32) -> Vec<(u16, i32, Vec<Nla>)> {
    let table = command.place.table;
    let named = |kind, mut rest: Vec<Nla>| {
        rest.insert(0, Nla::text(kind, table));
        rest
    };
    let one = |kind, flags, content| vec![(kind, flags, content)];
    match &command.action {
        Action::AddTable { comment } => {
            let rest = vec![
                Nla::be32(uapi::TABLE_FLAGS, 0),
                userdata(uapi::TABLE_USERDATA, comment),
            ];
            one(uapi::NEWTABLE, CREATE, named(uapi::TABLE_NAME, rest))
        }
        Action::DeleteTable => one(uapi::DELTABLE, 0, named(uapi::TABLE_NAME, vec![])),
        Action::WakeTable => {
            let rest = vec![Nla::be32(uapi::TABLE_FLAGS, 0)];
            one(uapi::NEWTABLE, 0, named(uapi::TABLE_NAME, rest))
        }
        Action::AddChain(chain) => {
            let content = named(uapi::CHAIN_TABLE, chain.encode());
            one(uapi::NEWCHAIN, CREATE, content)
        }
        Action::DeleteChain(name) => {
            let rest = vec![Nla::text(uapi::CHAIN_NAME, name)];
            one(uapi::DELCHAIN, 0, named(uapi::CHAIN_TABLE, rest))
        }
        Action::AddRule { chain, rule, first } => {
            let mut rest = vec![Nla::text(uapi::RULE_CHAIN, chain)];
            rest.extend(rule.encode());
            let place = if *first { 0 } else { libc::NLM_F_APPEND };
            let flags = libc::NLM_F_CREATE | place;
            one(uapi::NEWRULE, flags, named(uapi::RULE_TABLE, rest))
        }
        Action::DeleteRule { chain, handle } => {
            let mut rest = vec![Nla::text(uapi::RULE_CHAIN, chain)];
            rest.extend(handle.map(|handle| Nla::be64(uapi::RULE_HANDLE, handle)));
            one(uapi::DELRULE, 0, named(uapi::RULE_TABLE, rest))
        }
        Action::AddSet { set, counted } => {
            let mut rest = set.encode(id);
            if *counted {
                rest.push(Nla::nested(
                    uapi::SET_EXPR,
                    [Nla::text(uapi::EXPR_NAME, "counter")],
                ));
            }
            one(uapi::NEWSET, CREATE, named(uapi::SET_TABLE, rest))
        }
        Action::DeleteSet(name) => {
            let rest = vec![Nla::text(uapi::SET_NAME, name)];
            one(uapi::DELSET, 0, named(uapi::SET_TABLE, rest))
        }
        Action::AddElements { set, elements } => {
            let elements = elements.iter().map(|e| (e.encode(), 400)).collect();
            in_parts(uapi::NEWSETELEM, CREATE, table, set, elements)
        }
        Action::DeleteElements { set, keys } => {
            let keys = keys.iter().map(|k| (Element::encode_key(k), 80)).collect();
            in_parts(uapi::DELSETELEM, 0, table, set, keys)
        }
        Action::Message {
            kind,
            flags,
            attributes,
            words: _,
        } => one(*kind, *flags, named(uapi::RULE_TABLE, attributes.clone())),
    }
}

/// Elements in as many messages as they need, by the most bytes that each can have.
fn in_parts(
    kind: u16,
    flags: i32,
    table: &str,
    set: &str,
    elements: Vec<(Nla, usize)>,
) -> Vec<(u16, i32, Vec<Nla>)> {
    let most = elements.first().map_or(1, |(_, size)| PER_MESSAGE / size);
    let elements: Vec<Nla> = elements.into_iter().map(|(nla, _)| nla).collect();
    let message = |part: &[Nla]| {
        let content = vec![
            Nla::text(uapi::ELEM_LIST_TABLE, table),
            Nla::text(uapi::ELEM_LIST_SET, set),
            Nla::nested(uapi::ELEM_LIST_ELEMENTS, part),
        ];
        (kind, flags, content)
    };
    elements.chunks(most).map(message).collect()
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { family, table } = self.place;
        let of = format!("{} {table}", family.nft_name());
        match &self.action {
            Action::AddTable { .. } => write!(f, "add table {of}"),
            Action::DeleteTable => write!(f, "delete table {of}"),
            Action::WakeTable => write!(f, "wake table {of}"),
            Action::AddChain(chain) => write!(f, "add chain {of} {}", chain.name),
            Action::DeleteChain(name) => write!(f, "delete chain {of} {name}"),
            Action::AddRule { chain, rule, .. } => write!(f, "add rule {of} {chain} {rule}"),
            Action::DeleteRule { chain, handle } => match handle {
                Some(handle) => write!(f, "delete rule {of} {chain} handle {handle}"),
                None => write!(f, "flush chain {of} {chain}"),
            },
            Action::AddSet { set, .. } => write!(f, "add set {of} {}", set.name),
            Action::DeleteSet(name) => write!(f, "delete set {of} {name}"),
            Action::AddElements { set, elements } => {
                write!(f, "add {} elements to set {of} {set}", elements.len())
            }
            Action::DeleteElements { set, keys } => {
                write!(f, "delete {} elements of set {of} {set}", keys.len())
            }
            Action::Message { words, .. } => write!(f, "{words}, table {of}"),
        }
    }
}
