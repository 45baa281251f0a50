//! Which notifications of traffic control are news. The kernel also sends the answers to whoever asks for
//! one qdisc (RTM_GETQDISC) to everybody, and they look like a qdisc that was made. CHECK asks: a look
//! would end in another one.

use std::collections::HashMap;

use common::sys::netlink::{Message, attribute, u32_at};
use nix::libc;

/// `struct tcmsg`: bytes, and where the link's index, the handle and the parent are.
const HEADER: usize = 20;
const IFINDEX: usize = 4;
const HANDLE: usize = 8;
const PARENT: usize = 12;
/// `TCA_KIND` and `TCA_OPTIONS`
const KIND: u16 = 1;
const OPTIONS: u16 = 2;

/// Kind and options of qdiscs, by link, handle and parent, as far as they were seen.
#[derive(Debug, Default)]
pub struct Qdiscs(HashMap<[u32; 3], [Vec<u8>; 2]>);

impl Qdiscs {
    /// Whether a message of a qdisc, a filter or a link says something new.
    pub fn is_news(&mut self, message: &Message) -> bool {
        let number = |at| u32_at(&message.body, at).unwrap_or_default();
        let key = [number(IFINDEX), number(HANDLE), number(PARENT)];
        match message.kind {
            libc::RTM_NEWQDISC => {
                let attributes = message.body.get(HEADER..).unwrap_or_default();
                let value = |kind| attribute(attributes, kind).unwrap_or_default().to_vec();
                let now = [value(KIND), value(OPTIONS)];
                self.0.insert(key, now.clone()) != Some(now)
            }
            libc::RTM_DELQDISC => {
                self.0.remove(&key);
                true
            }
            // `struct ifinfomsg` has the index at the same place.
            libc::RTM_DELLINK => {
                self.0.retain(|[index, ..], _| *index != number(IFINDEX));
                true
            }
            _ => true,
        }
    }

    /// Forgets everything: something was not seen.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::sys::nla::{Nla, body};

    fn message(kind: u16, index: u32, options: u32) -> Message {
        let header: Vec<u8> = [0, index, 1 << 16, u32::MAX, 0]
            .iter()
            .flat_map(|number| number.to_ne_bytes())
            .collect();
        let attributes = [Nla::text(KIND, "tbf"), Nla::u32(OPTIONS, options)];
        Message {
            kind,
            sequence: 0,
            body: body(&header, &attributes).unwrap(),
        }
    }

    #[test]
    fn an_answer_to_somebody_is_no_news() {
        let mut qdiscs = Qdiscs::default();
        for (kind, index, options, expected) in [
            (libc::RTM_NEWQDISC, 2, 1, true),
            (libc::RTM_NEWQDISC, 2, 1, false),
            (libc::RTM_NEWQDISC, 3, 1, true),
            // Changed.
            (libc::RTM_NEWQDISC, 2, 2, true),
            (libc::RTM_NEWQDISC, 2, 2, false),
            // Deleted, and made again.
            (libc::RTM_DELQDISC, 2, 2, true),
            (libc::RTM_NEWQDISC, 2, 2, true),
            // Gone with its link.
            (libc::RTM_DELLINK, 2, 0, true),
            (libc::RTM_NEWQDISC, 2, 2, true),
            (libc::RTM_NEWQDISC, 3, 1, false),
            (libc::RTM_NEWTFILTER, 3, 1, true),
        ] {
            let news = qdiscs.is_news(&message(kind, index, options));
            assert_eq!(news, expected, "{kind} {index} {options}");
        }
        qdiscs.forget();
        assert!(qdiscs.is_news(&message(libc::RTM_NEWQDISC, 3, 1)));
    }
}
