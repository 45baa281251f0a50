//! nf_tables, over netlink.

use std::collections::HashMap;

use common::Family;
use common::error::{Code, Error};
use common::sys::netlink::{Refusal, attribute, each_attribute};
use common::sys::nla::{Nla, emit_all};
use nft::expr::Expr;
use nft::object;
use nft::socket::Nft;
use nft::uapi;
use xtables::nf_tables::words;

use super::lookup::{Sets, named};
use super::{Base, Chain, Hook, Rule};

/// `NFPROTO_INET`: tables of both IP versions.
const INET: u8 = 1;
/// The states of connections as `ct state` has them (`NF_CT_STATE_BIT`), and those that iptables calls states
/// of `ct status` (`IPS_SRC_NAT`, `IPS_DST_NAT`).
const STATES: [(u32, &str); 5] = [
    (1, "INVALID"),
    (2, "ESTABLISHED"),
    (4, "RELATED"),
    (8, "NEW"),
    (64, "UNTRACKED"),
];
const STATUSES: [(u32, &str); 2] = [(16, "SNAT"), (32, "DNAT")];

/// The chains of an IP version's tables and of those of both; none without nf_tables.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn chains(family: Family) -> Result<Vec<Chain>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for (number, word) in [(family.nf_number(), family.nft_name()), (INET, "inet")] {
        let read = of_number(&mut nft, number, (family, word));
        all.extend(read.map_err(|refusal| {
            let msg = format!("read the rules of nf_tables ({word})");
            Error::new(Code::System, msg).with_details(refusal)
        })?);
    }
    Ok(all)
}

/// The tables of an IP version that are dormant, as nft names them: no packet meets their rules.
///
/// # Errors
/// As [`chains`].
pub fn dormant(family: Family) -> Result<Vec<String>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(Vec::new());
    };
    let names = dormant_of(&mut nft, family.nf_number()).map_err(|refusal| {
        let msg = format!("read the tables of nf_tables ({})", family.nft_name());
        Error::new(Code::System, msg).with_details(refusal)
    })?;
    let name = |name: &String| format!("{} {name}", family.nft_name());
    Ok(names.iter().map(name).collect())
}

fn dormant_of(nft: &mut Nft, number: u8) -> Result<Vec<String>, Refusal> {
    let tables = nft.list_of(uapi::GETTABLE, number, &[], |attributes| {
        let table = object::Table::decode(attributes);
        table
            .is_dormant()
            .then(|| named(attributes, uapi::TABLE_NAME))
    })?;
    Ok(tables.into_iter().flatten().collect())
}

fn of_number(
    nft: &mut Nft,
    number: u8,
    (family, word): (Family, &str),
) -> Result<Vec<Chain>, Refusal> {
    let mut all = Vec::new();
    let mut places = HashMap::new();
    let dormant = dormant_of(nft, number)?;
    for attributes in nft.list_of(uapi::GETCHAIN, number, &[], <[u8]>::to_vec)? {
        let table = named(&attributes, uapi::CHAIN_TABLE);
        let object::Chain { name, base } = object::Chain::decode(&attributes);
        places.insert((table.clone(), name.clone()), all.len());
        let base = base.filter(|_| !dormant.contains(&table));
        all.push(Chain {
            table: format!("{word} {table}"),
            name,
            base: base.as_ref().and_then(place_of),
            rules: Vec::new(),
        });
    }
    let mut sets = Sets::read(nft, number)?;
    for attributes in nft.list_of(uapi::GETRULE, number, &[], <[u8]>::to_vec)? {
        let of = (
            named(&attributes, uapi::RULE_TABLE),
            named(&attributes, uapi::RULE_CHAIN),
        );
        let chain = places.get(&of).and_then(|place| all.get_mut(*place));
        let Some(chain) = chain else { continue };
        let expressions = attribute(&attributes, uapi::RULE_EXPRESSIONS).unwrap_or(&[]);
        for expressions in sets.resolve(nft, &of.0, expressions)? {
            chain
                .rules
                .extend(in_words(family, &expressions)?.map(Rule::of));
        }
    }
    Ok(all)
}

fn place_of(base: &object::Base) -> Option<Base> {
    Some(Base {
        hook: Hook::of_number(base.hook)?,
        priority: base.priority,
        is_nat: base.kind == "nat",
        drops: base.policy != uapi::ACCEPT,
    })
}

/// A rule in words; `None` for one that packets of the IP version never match.
fn in_words(family: Family, expressions: &[u8]) -> Result<Option<String>, Refusal> {
    let elements: Vec<(u16, &[u8])> = each_attribute(expressions).collect();
    let decoded: Vec<Expr> = elements.iter().map(|(_, e)| Expr::decode(e)).collect();
    let (mut kept, mut states) = (Vec::new(), String::new());
    let mut place = 0;
    while let Some(rest) = decoded.get(place..).filter(|rest| !rest.is_empty()) {
        match own(family, rest) {
            Own::Never => return Ok(None),
            Own::Tested(length, words) => {
                states.push_str(&words);
                place += length;
            }
            Own::Unknown => {
                kept.extend(elements.get(place));
                place += 1;
            }
        }
    }
    let mut bytes = Vec::new();
    let kept: Vec<Nla> = kept.iter().map(|(kind, e)| Nla::value(*kind, *e)).collect();
    emit_all(&kept, &mut bytes)?;
    Ok(Some(states + &words::rule(family, &bytes)))
}

/// What a rule of nft's own tests that iptables tests by a match.
enum Own {
    /// What no packet of the IP version fulfils.
    Never,
    /// So many expressions, in words.
    Tested(usize, String),
    /// Nothing of that kind comes next.
    Unknown,
}

fn own(family: Family, exprs: &[Expr]) -> Own {
    match exprs {
        [
            Expr::Meta {
                key: uapi::META_NFPROTO,
                ..
            },
            Expr::Compare { op, value, .. },
            ..,
        ] => match (*value == [family.nf_number()]) == (*op == uapi::CMP_EQ) {
            true => Own::Tested(2, String::new()),
            false => Own::Never,
        },
        [
            Expr::Ct {
                key: uapi::CT_STATE,
                ..
            },
            Expr::Compare { op, value, .. },
            ..,
        ] if *op == uapi::CMP_EQ => named_states(names(value, &STATES), 2),
        [
            Expr::Ct { key, .. },
            Expr::Bitwise { mask, .. },
            Expr::Compare { op, value, .. },
            ..,
        ] if *op == uapi::CMP_NEQ && value.iter().all(|byte| *byte == 0) => {
            let names = match *key {
                uapi::CT_STATE => names(mask, &STATES),
                uapi::CT_STATUS => names(mask, &STATUSES),
                _ => None,
            };
            named_states(names, 3)
        }
        _ => Own::Unknown,
    }
}

fn named_states(names: Option<String>, length: usize) -> Own {
    names.map_or(Own::Unknown, |names| {
        Own::Tested(length, format!("-m conntrack --ctstate {names} "))
    })
}

fn names(mask: &[u8], known: &[(u32, &str)]) -> Option<String> {
    let mask = u32::from_ne_bytes(mask.try_into().ok()?);
    let chosen: Vec<&(u32, &str)> = known.iter().filter(|(bit, _)| mask & bit != 0).collect();
    let bits: u32 = chosen.iter().map(|(bit, _)| bit).sum();
    let names: Vec<&str> = chosen.iter().map(|(_, name)| *name).collect();
    (bits == mask).then(|| names.join(","))
}
