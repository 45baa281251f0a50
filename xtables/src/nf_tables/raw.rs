//! Rules of the nf_tables variant in the kernel's own bytes.

use common::Family;
use common::error::Error;
use common::sys::netlink::{attribute, each_attribute, text};
use nft::socket::Nft;
use nft::uapi;

use super::Seen;
use super::concern::Concern;
use crate::Table;
use crate::raw::{End, Kind, Raw, Test};

/// `NFTA_MATCH_NAME`, `NFTA_MATCH_REV` and `NFTA_MATCH_INFO`.
const MATCH_NAME: u16 = 1;
const MATCH_REVISION: u16 = 2;
const MATCH_INFO: u16 = 3;
/// `NFT_RETURN`
const RETURN: i32 = -5;

/// The rules of a chain of the nat table, as far as they matter; none without such a chain.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn rules(family: Family, chain: &str, concern: &Concern) -> Result<Vec<Raw>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(Vec::new());
    };
    let seen = Seen::chains(&mut nft, family, &[(Table::Nat, chain)], concern)?;
    let rules = seen.rules(Table::Nat, chain).iter();
    Ok(rules.map(|rule| raw(&rule.expressions)).collect())
}

/// Tests and verdict of `NFTA_RULE_EXPRESSIONS`.
pub fn raw(expressions: &[u8]) -> Raw {
    let mut raw = Raw {
        tests: Vec::new(),
        end: End::Next,
        expressions: expressions.to_vec(),
    };
    for (_, element) in each_attribute(expressions) {
        let name = attribute(element, uapi::EXPR_NAME).map(text);
        let data = attribute(element, uapi::EXPR_DATA).unwrap_or(&[]);
        match name.as_deref().unwrap_or_default() {
            "counter" => {}
            "match" => raw.tests.push(matched(data)),
            "target" => raw.end = End::Other,
            name => match verdict(data).filter(|_| name == "immediate") {
                Some(end) => raw.end = end,
                None => raw.tests.push(Test {
                    name: name.to_owned(),
                    kind: Kind::Expression,
                    data: data.to_vec(),
                    revision: Vec::new(),
                }),
            },
        }
    }
    raw
}

fn matched(data: &[u8]) -> Test {
    let bytes = |kind| attribute(data, kind).unwrap_or(&[]);
    Test {
        name: text(bytes(MATCH_NAME)),
        kind: Kind::Match,
        data: bytes(MATCH_INFO).to_vec(),
        revision: bytes(MATCH_REVISION).to_vec(),
    }
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
