//! The kernel's notifications of traffic control and links: which of them are news, for the tool for people.
//!
//! The kernel sends its reply to a request for one qdisc (`RTM_GETQDISC`) to every listener, and there it
//! looks like a new qdisc. CHECK sends such requests, so each check would be followed by another one.

use std::collections::HashMap;

use common::sys::netlink::{Message, attribute, u32_at};
use nix::libc;

use super::{Handle, Header, TCA_KIND, TCA_OPTIONS, header};

/// Where `struct ifinfomsg` has the index of the link.
const IFINDEX: usize = 4;

/// Kind and options of qdiscs, by link, handle and parent, as far as they were seen.
#[derive(Debug, Default)]
pub struct Qdiscs(HashMap<(u32, Handle, Handle), [Vec<u8>; 2]>);

impl Qdiscs {
    /// Whether a message about a qdisc, a filter or a link says something new.
    pub fn is_news(&mut self, message: &Message) -> bool {
        let key = |head: Header| (head.index, head.handle, head.parent);
        let key = header(&message.body).map(key);
        match (message.kind, key) {
            (libc::RTM_NEWQDISC, Some(key)) => {
                let attributes = message.body.get(super::HEADER..).unwrap_or_default();
                let value = |kind| attribute(attributes, kind).unwrap_or_default().to_vec();
                let now = [value(TCA_KIND), value(TCA_OPTIONS)];
                self.0.insert(key, now.clone()) != Some(now)
            }
            (libc::RTM_DELQDISC, Some(key)) => {
                self.0.remove(&key);
                true
            }
            (libc::RTM_DELLINK, _) => {
                let link = u32_at(&message.body, IFINDEX);
                self.0.retain(|(index, ..), _| Some(*index) != link);
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
    use common::sys::nla::Nla;

    fn message(kind: u16, index: u32, options: u32) -> Message {
        let head = Header {
            index,
            handle: super::super::BUCKET,
            parent: super::super::ROOT,
            info: 0,
        };
        let attributes = [Nla::text(TCA_KIND, "tbf"), Nla::u32(TCA_OPTIONS, options)];
        Message {
            kind,
            sequence: 0,
            body: head.body(&attributes).unwrap(),
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
