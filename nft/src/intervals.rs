//! Sets of intervals: the kernel keeps a mark where one begins, and one just behind its end.

use common::sys::netlink::{Refusal, attribute, each_attribute};
use common::sys::nla::Nla;
use nix::libc;

use crate::command::{Action, Command, PER_LIST};
use crate::object::{Place, number};
use crate::socket::Nft;
use crate::uapi;

/// The flag of the mark of an end (`NFT_SET_ELEM_INTERVAL_END`).
const END: u32 = 1;

/// Intervals in order, none meeting another: the first key of each, and the first one behind it, if any is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intervals(Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// One mark; an end that is also a beginning comes before it.
type Mark = (Vec<u8>, bool);

impl Intervals {
    /// Those of a list in order; where one ends at the next one's beginning, they are one.
    pub fn of(list: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Intervals {
        let mut all: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for (first, end) in list {
            match all.last_mut() {
                Some((_, last)) if last.as_ref() == Some(&first) => *last = end,
                _ => all.push((first, end)),
            }
        }
        Intervals(all)
    }

    /// Those of a set.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn read(nft: &mut Nft, place: Place, set: &str) -> Result<Intervals, Refusal> {
        let filter = [
            Nla::text(uapi::ELEM_LIST_TABLE, place.table),
            Nla::text(uapi::ELEM_LIST_SET, set),
        ];
        let take = |part: &[u8]| marks(part).collect::<Vec<Mark>>();
        let listed = nft.list(uapi::GETSETELEM, place.family, &filter, take)?;
        Ok(Intervals::of_marks(listed.into_iter().flatten()))
    }

    /// nft puts an end before the first beginning, which means nothing.
    fn of_marks(marks: impl Iterator<Item = Mark>) -> Intervals {
        let mut sorted: Vec<Mark> = marks.map(|(key, is_end)| (key, !is_end)).collect();
        sorted.sort();
        let mut all: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for (key, is_beginning) in sorted {
            match (is_beginning, all.last_mut()) {
                (true, _) => all.push((key, None)),
                (false, Some((_, end))) if end.is_none() => *end = Some(key),
                (false, _) => {}
            }
        }
        Intervals::of(all)
    }

    /// Each, from its first key to the first one behind it.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(first, end)| (first.as_slice(), end.as_deref()))
    }

    /// Whether some key is in one of these and in one of the others.
    pub fn meets(&self, others: &Intervals) -> bool {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), others.0.iter().peekable());
        let is_past = |end: &Option<Vec<u8>>, first: &Vec<u8>| {
            let end = end.as_ref();
            end.is_some_and(|end| end <= first)
        };
        while let (Some((first, end)), Some((from, to))) = (ours.peek(), theirs.peek()) {
            if is_past(end, from) {
                ours.next();
            } else if is_past(to, first) {
                theirs.next();
            } else {
                return true;
            }
        }
        false
    }

    /// Puts them into a set, in the place of what is in it, if anything is.
    pub fn commands(&self, place: Place, set: &str, is_empty: bool) -> Vec<Command> {
        let message = |kind, flags, attributes, words: String| Command {
            place,
            action: Action::Message {
                kind,
                flags,
                attributes,
                words,
            },
        };
        let named = || vec![Nla::text(uapi::ELEM_LIST_SET, set)];
        let mut commands = Vec::new();
        if !is_empty {
            let words = format!("flush set {set}");
            commands.push(message(uapi::DELSETELEM, 0, named(), words));
        }
        let elements: Vec<Nla> = self.0.iter().flat_map(encoded).collect();
        for part in elements.chunks(PER_LIST) {
            let mut attributes = named();
            attributes.push(Nla::nested(uapi::ELEM_LIST_ELEMENTS, part));
            let words = format!("add intervals to set {set}");
            let flags = libc::NLM_F_CREATE;
            commands.push(message(uapi::NEWSETELEM, flags, attributes, words));
        }
        commands
    }
}

fn encoded((first, end): &(Vec<u8>, Option<Vec<u8>>)) -> Vec<Nla> {
    let mark = |key: &Vec<u8>, flags: Option<u32>| {
        let value = Nla::nested(uapi::ELEM_KEY, [Nla::value(uapi::DATA_VALUE, key.clone())]);
        let flags = flags.map(|flags| Nla::be32(uapi::ELEM_FLAGS, flags));
        let attributes: Vec<Nla> = [value].into_iter().chain(flags).collect();
        Nla::nested(uapi::LIST_ELEM, attributes)
    };
    let end = end.as_ref().map(|key| mark(key, Some(END)));
    [mark(first, None)].into_iter().chain(end).collect()
}

fn marks(attributes: &[u8]) -> impl Iterator<Item = Mark> {
    let list = attribute(attributes, uapi::ELEM_LIST_ELEMENTS).unwrap_or(&[]);
    each_attribute(list).filter_map(|(_, element)| {
        let key = attribute(attribute(element, uapi::ELEM_KEY)?, uapi::DATA_VALUE)?;
        let flags = number(element, uapi::ELEM_FLAGS).unwrap_or(0);
        Some((key.to_vec(), flags & END != 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(u8, Option<u8>)]) -> Intervals {
        let key = |key: u8| vec![key];
        Intervals::of(list.iter().map(|(first, end)| (key(*first), end.map(key))))
    }

    #[test]
    fn marks_are_read_in_any_order_and_an_end_before_all_means_nothing() {
        let marks = [
            (9, true),
            (0, true),
            (5, false),
            (9, false),
            (12, true),
            (20, false),
        ];
        let marks = marks.map(|(key, is_end)| (vec![key], is_end));
        let read = Intervals::of_marks(marks.into_iter());
        assert_eq!(read, of(&[(5, Some(12)), (20, None)]));
    }

    #[test]
    fn intervals_meet_where_they_have_a_key_in_common() {
        let intervals = of(&[(5, Some(9)), (20, None)]);
        for (others, meets) in [
            (&[][..], false),
            (&[(0, Some(5))], false),
            (&[(0, Some(6))], true),
            (&[(8, Some(9))], true),
            (&[(0, Some(2)), (9, Some(20))], false),
            (&[(0, Some(2)), (9, Some(21))], true),
            (&[(30, Some(40))], true),
            (&[(9, Some(12)), (30, None)], true),
        ] {
            assert_eq!(intervals.meets(&of(others)), meets, "{others:?}");
            assert_eq!(of(others).meets(&intervals), meets, "{others:?}");
        }
    }
}
