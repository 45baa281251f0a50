//! Questions about tables, chains, rules, sets and their elements.

use std::ops::ControlFlow;

use common::sys::netlink::Message;
use common::sys::nla::Nla;

use super::{Answer, Nft, UNREADABLE, content};
use crate::object::{Chain, Counters, Element, Place, Rule, Set, Table, attributes};
use crate::uapi;

impl Nft {
    /// A table, or `None`.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn table(&mut self, place: Place) -> Answer<Option<Table>> {
        let request = attributes(
            place.family.nf_number(),
            &[Nla::text(uapi::TABLE_NAME, place.table)],
        )?;
        let answers = self.ask(uapi::GETTABLE, &[request])?;
        Ok(answers
            .iter()
            .flatten()
            .map(|m| Table::decode(content(m)))
            .next())
    }

    /// Chains by their names, `None` for each that is missing.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn chains(&mut self, place: Place, names: &[&str]) -> Answer<Vec<Option<Chain>>> {
        let name = |name: &&str| {
            vec![
                Nla::text(uapi::CHAIN_TABLE, place.table),
                Nla::text(uapi::CHAIN_NAME, name),
            ]
        };
        let names: Vec<Vec<Nla>> = names.iter().map(name).collect();
        self.each(uapi::GETCHAIN, place.family, &names, Chain::decode)
    }

    /// Every set of a table; none for a missing one.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn sets(&mut self, place: Place) -> Answer<Vec<Set>> {
        let table = [Nla::text(uapi::SET_TABLE, place.table)];
        self.list(uapi::GETSET, place.family, &table, Set::decode)
    }

    /// The rules of a chain in order; none for a missing one.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn rules(&mut self, place: Place, chain: &str) -> Answer<Vec<Rule>> {
        let names = [
            Nla::text(uapi::RULE_TABLE, place.table),
            Nla::text(uapi::RULE_CHAIN, chain),
        ];
        self.list(uapi::GETRULE, place.family, &names, Rule::decode)
    }

    /// Every element of a set; none for a missing one.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn elements(&mut self, place: Place, set: &str) -> Answer<Vec<Element>> {
        self.elements_as(place, set, Element::decode_list)
    }

    /// Every element of a set that has hardly more than so many; `None` where it has, or could not be read at
    /// once. The answer comes to a socket of its own, as what is left of a longer one is not read.
    pub fn elements_of_few(&self, place: Place, set: &str, most: usize) -> Option<Vec<Element>> {
        let names = [
            Nla::text(uapi::ELEM_LIST_TABLE, place.table),
            Nla::text(uapi::ELEM_LIST_SET, set),
        ];
        let mut all = Vec::new();
        let take = |list: &[u8]| {
            all.extend(Element::decode_list(list));
            match all.len() > most {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let own = Nft::open().ok()?;
        let is_whole = own.until(uapi::GETSETELEM, place.family, &names, take);
        is_whole.is_ok_and(|is_whole| is_whole).then_some(all)
    }

    /// Every element of a set, each with what it has counted; none where there is no such set.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn counted_elements(
        &mut self,
        place: Place,
        set: &str,
    ) -> Answer<Vec<(Element, Option<Counters>)>> {
        self.elements_as(place, set, Element::decode_counted)
    }

    fn elements_as<T>(
        &mut self,
        place: Place,
        set: &str,
        decode: fn(&[u8]) -> Vec<T>,
    ) -> Answer<Vec<T>> {
        let names = [
            Nla::text(uapi::ELEM_LIST_TABLE, place.table),
            Nla::text(uapi::ELEM_LIST_SET, set),
        ];
        let lists = self.list(uapi::GETSETELEM, place.family, &names, decode)?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Elements by set and key, `None` for each that is missing.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn lookup(
        &mut self,
        place: Place,
        keys: &[(String, Vec<u8>)],
    ) -> Answer<Vec<Option<Element>>> {
        let requests: Vec<Vec<u8>> = keys
            .iter()
            .map(|(set, key)| {
                let one = [
                    Nla::text(uapi::ELEM_LIST_TABLE, place.table),
                    Nla::text(uapi::ELEM_LIST_SET, set),
                    Nla::nested(uapi::ELEM_LIST_ELEMENTS, [Element::encode_key(key)]),
                ];
                attributes(place.family.nf_number(), &one)
            })
            .collect::<Answer<_>>()?;
        let answers = self.ask(uapi::GETSETELEM, &requests)?;
        let decode = |answer: &Option<Message>| match answer {
            None => Ok(None),
            Some(answer) => {
                let element = Element::decode_list(content(answer)).into_iter().next();
                element.map(Some).ok_or(UNREADABLE.into())
            }
        };
        answers.iter().map(decode).collect()
    }
}
