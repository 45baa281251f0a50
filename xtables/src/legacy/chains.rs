//! A table as chains, of which some go and others come back.

use std::collections::{BTreeMap, BTreeSet};

use common::sys::netlink::u16_at;
use common::sys::xtables::XTable;

use super::entry::{Layout, PART};
use super::{HOOKS, Reader};

/// Earlier rules, in the kernel's own bytes, to be restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Former {
    /// Names, each with the entry that begins the chain and the one that ends it.
    chains: Vec<(String, Vec<u8>, Vec<u8>)>,
    rules: Vec<FormerRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FormerRule {
    chain: String,
    /// Counted from 0, with the earlier others before it.
    place: usize,
    bytes: Vec<u8>,
    to: To<String>,
}

impl Former {
    /// Whether there was nothing.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.rules.is_empty()
    }
}

/// Where an entry's standard target leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To<Name> {
    /// Nowhere: it ends, returns, or is another target.
    Nowhere,
    /// To the next entry, as a rule without a target.
    Next,
    Chain(Name),
}

#[derive(Clone, Copy)]
struct Item<'a> {
    /// Where it is in the table, and as which entry; `None` for one that comes back.
    old: Option<(usize, usize)>,
    bytes: &'a [u8],
    to: To<&'a str>,
}

struct Chain<'a> {
    name: &'a str,
    /// `None` for a chain of the kernel's.
    head: Option<Item<'a>>,
    rules: Vec<Item<'a>>,
    end: Item<'a>,
}

impl<'a> Chain<'a> {
    fn items(&self) -> impl Iterator<Item = &Item<'a>> {
        let head = self.head.iter();
        head.chain(&self.rules).chain([&self.end])
    }
}

/// A table's chains in their order, and the entry that ends the table.
pub struct Chains<'a> {
    layout: &'static Layout,
    chains: Vec<Chain<'a>>,
    last: Item<'a>,
}

impl<'a> Chains<'a> {
    /// Those of a table; `None` where an entry leads to no chain.
    pub fn of(reader: &'a Reader) -> Option<Chains<'a>> {
        let mut groups: Vec<(&str, Vec<Item>)> = Vec::new();
        for (index, (at, next)) in reader.spans().enumerate() {
            let is_head = reader.heads.binary_search(&at).is_ok();
            let begins = if is_head { next } else { at };
            let to = match reader.jump(at) {
                None => To::Nowhere,
                Some(to) if to == next => To::Next,
                Some(to) => To::Chain(reader.names.get(&to)?.as_str()),
            };
            let item = Item {
                old: Some((at, index)),
                bytes: reader.table.entries.get(at..next)?,
                to,
            };
            let begun = reader
                .names
                .get(&begins)
                .filter(|_| is_head || reader.table.hooks.contains(&Some(at)));
            match begun {
                Some(name) => groups.push((name, vec![item])),
                None => groups.last_mut()?.1.push(item),
            }
        }
        let (_, last) = groups.pop()?;
        let chain = |(name, mut items): (&'a str, Vec<Item<'a>>)| {
            let end = items.pop()?;
            let is_builtin = HOOKS.contains(&name);
            let head = (!is_builtin && !items.is_empty()).then(|| items.remove(0));
            (is_builtin || head.is_some()).then_some(Chain {
                name,
                head,
                rules: items,
                end,
            })
        };
        Some(Chains {
            layout: reader.layout,
            chains: groups.into_iter().map(chain).collect::<Option<_>>()?,
            last: *last.first()?,
        })
    }

    /// Takes out chains and rules, and gives what they were.
    pub fn take(&mut self, doomed: &[String], gone: &BTreeSet<usize>) -> Former {
        let mut former = Former::default();
        let layout = self.layout;
        let is_gone = |item: &Item| item.old.is_some_and(|(at, _)| gone.contains(&at));
        self.chains.retain_mut(|chain| {
            let is_doomed = chain.head.is_some() && doomed.iter().any(|name| name == chain.name);
            let taken = chain.rules.iter().enumerate();
            let taken = taken.filter(|(_, item)| is_doomed || is_gone(item));
            former.rules.extend(taken.map(|(place, item)| FormerRule {
                chain: chain.name.to_owned(),
                place,
                bytes: plain(layout, item.bytes),
                to: match item.to {
                    To::Nowhere => To::Nowhere,
                    To::Next => To::Next,
                    To::Chain(name) => To::Chain(name.to_owned()),
                },
            }));
            chain.rules.retain(|item| !is_gone(item));
            match chain.head.filter(|_| is_doomed) {
                Some(head) => {
                    let name = chain.name.to_owned();
                    let [head, end] = [head, chain.end].map(|item| plain(layout, item.bytes));
                    former.chains.push((name, head, end));
                    false
                }
                None => true,
            }
        });
        former
    }

    /// Puts back what was taken out, each rule at its place; the name of a chain that is in the way, or
    /// missing, where that cannot be.
    pub fn put(&mut self, former: &'a Former) -> Result<(), &'a str> {
        let come_back = |bytes| Item {
            old: None,
            bytes,
            to: To::Nowhere,
        };
        for (name, head, end) in &former.chains {
            if self.chains.iter().any(|chain| chain.name == name) {
                return Err(name);
            }
            // iptables keeps them in the order of their names.
            let is_later = |chain: &Chain| chain.head.is_some() && chain.name > name.as_str();
            let place = self.chains.iter().position(is_later);
            let chain = Chain {
                name,
                head: Some(come_back(head)),
                rules: Vec::new(),
                end: come_back(end),
            };
            self.chains
                .insert(place.unwrap_or(self.chains.len()), chain);
        }
        for rule in &former.rules {
            let to = match &rule.to {
                To::Nowhere => To::Nowhere,
                To::Next => To::Next,
                To::Chain(name) => To::Chain(name.as_str()),
            };
            let chain = self
                .chains
                .iter_mut()
                .find(|chain| chain.name == rule.chain);
            let rules = &mut chain.ok_or(rule.chain.as_str())?.rules;
            let item = Item {
                to,
                ..come_back(&rule.bytes)
            };
            rules.insert(rule.place.min(rules.len()), item);
        }
        Ok(())
    }

    /// The table, and which entry of the old one each of its is; the name of a chain to which a rule leads
    /// and that is not there.
    pub fn table(&self) -> Result<(XTable, Vec<Option<usize>>), &'a str> {
        let (mut begins, mut ends, mut size) = (BTreeMap::new(), BTreeMap::new(), 0);
        for chain in &self.chains {
            begins.insert(
                chain.name,
                size + chain.head.map_or(0, |head| head.bytes.len()),
            );
            size += chain.items().map(|item| item.bytes.len()).sum::<usize>();
            ends.insert(chain.name, size - chain.end.bytes.len());
        }
        let items = self
            .chains
            .iter()
            .flat_map(Chain::items)
            .chain([&self.last]);
        let (mut entries, mut origins) = (Vec::with_capacity(size), Vec::new());
        for item in items {
            let at = entries.len();
            entries.extend(item.bytes);
            origins.push(item.old.map(|(_, index)| index));
            let to = match item.to {
                To::Nowhere => continue,
                To::Next => entries.len(),
                To::Chain(name) => *begins.get(name).ok_or(name)?,
            };
            let target = u16_at(item.bytes, self.layout.target).unwrap_or(0);
            let field = at + usize::from(target) + PART;
            let verdict = u32::try_from(to).unwrap_or(u32::MAX).to_ne_bytes();
            let places = entries.iter_mut().skip(field);
            places.zip(verdict).for_each(|(byte, new)| *byte = new);
        }
        let of = |places: &BTreeMap<&str, usize>| HOOKS.map(|hook| places.get(hook).copied());
        let table = XTable {
            hooks: of(&begins),
            policies: of(&ends).map(|end| end.unwrap_or(0)),
            count: origins.len(),
            entries,
        };
        Ok((table, origins))
    }
}

/// An entry without what it counted and where it is reached from, which the kernel keeps between the
/// offset of the next entry and the matches.
fn plain(layout: &Layout, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let kept = layout.length.saturating_sub(layout.next + 2);
    let places = bytes.iter_mut().skip(layout.next + 2).take(kept);
    places.for_each(|byte| *byte = 0);
    bytes
}
