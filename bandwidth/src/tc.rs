//! Traffic control over netlink: queueing disciplines and filters, as `tc` shows and changes them.
//!
//! Replies are read attribute by attribute, so that what a newer kernel adds cannot make the rest
//! unreadable.

pub mod counters;
pub mod filter;
pub mod notice;
pub mod qdisc;

use std::fmt;

use common::error::{Code, Error};
use common::sys::netlink::{Message, Netlink, Refusal, u32_at};
use common::sys::nla::{self, Nla};
use nix::errno::Errno;

/// What the kernel answers of a qdisc, or of filters below one, that is not there: `EINVAL` for those
/// that it does not show (`qdisc_get_notify` in net/sched/sch_api.c) and, on some kernels, for the
/// hooks; `ENODEV` where the link is gone.
const ABSENT: [Errno; 3] = [Errno::ENOENT, Errno::EINVAL, Errno::ENODEV];

/// A handle `MAJOR:MINOR` as one number.
pub type Handle = u32;

/// `1:`, the handle of every token bucket of ours, as the reference's.
pub const BUCKET: Handle = 0x0001_0000;
/// `ffff:`, the handle of the ingress and the clsact qdisc.
pub const HOOKS: Handle = 0xffff_0000;
/// Parent of a link's root qdisc (`TC_H_ROOT` in include/uapi/linux/pkt_sched.h).
pub const ROOT: Handle = 0xffff_ffff;
/// Parent of a link's ingress or clsact qdisc (`TC_H_INGRESS`).
pub const INGRESS: Handle = 0xffff_fff1;

/// Parent of filters for packets that come in (`TC_H_MIN_INGRESS`), for both hook qdiscs.
pub const HOOK_INGRESS: Handle = 0xffff_fff2;
/// Parent of filters for packets that go out (`TC_H_MIN_EGRESS`), with clsact only.
pub const HOOK_EGRESS: Handle = 0xffff_fff3;

/// The direction in which packets cross a link, as seen by that link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Coming in.
    Ingress,
    /// Going out.
    Egress,
}

impl Hook {
    /// The parent of filters on this hook of a qdisc of that kind. On an ingress qdisc, which has but
    /// one, filters are below the qdisc itself, as the reference puts them.
    pub fn parent(self, kind: &str) -> Handle {
        match self {
            Hook::Ingress if kind == "ingress" => HOOKS,
            Hook::Ingress => HOOK_INGRESS,
            Hook::Egress => HOOK_EGRESS,
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Ingress => "ingress",
            Hook::Egress => "egress",
        })
    }
}

/// `ETH_P_*` numbers, the protocols that filters are for (include/uapi/linux/if_ether.h).
pub const ETH_P_ALL: u16 = 3;
pub const ETH_P_IP: u16 = 0x0800;
pub const ETH_P_IPV6: u16 = 0x86dd;

/// Bytes before the attributes (`struct tcmsg`).
const HEADER: usize = 20;
/// Attribute numbers (include/uapi/linux/rtnetlink.h).
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STAB: u16 = 8;
const TCA_CHAIN: u16 = 11;

/// The fields of a `struct tcmsg`.
#[derive(Debug, Clone, Copy, Default)]
struct Header {
    index: u32,
    handle: Handle,
    parent: Handle,
    info: u32,
}

impl Header {
    fn request(
        self,
        netlink: &mut Netlink,
        (kind, flags): (u16, u16),
        attributes: &[Nla],
    ) -> Result<Vec<Message>, Refusal> {
        netlink.request_bytes(kind, flags, &self.body(attributes)?)
    }

    fn body(self, attributes: &[Nla]) -> Result<Vec<u8>, Refusal> {
        let Header {
            index,
            handle,
            parent,
            info,
        } = self;
        // The family and its padding come first.
        let header = [0, index, handle, parent, info].map(u32::to_ne_bytes);
        nla::body(header.as_flattened(), attributes)
    }
}

fn header(body: &[u8]) -> Option<Header> {
    Some(Header {
        index: u32_at(body, 4)?,
        handle: u32_at(body, 8)?,
        parent: u32_at(body, 12)?,
        info: u32_at(body, 16)?,
    })
}

/// A handle as `tc` prints it.
pub fn handle_text(handle: Handle) -> String {
    let (major, minor) = (handle >> 16, handle & 0xffff);
    match minor {
        0 => format!("{major:x}:"),
        _ => format!("{major:x}:{minor:x}"),
    }
}

/// Whether a refusal says that the kernel lacks a kind: `ENOENT` for a qdisc, filter or action that it
/// does not know, and `EOPNOTSUPP` for a kind of link, but also for filters of a hook that shares them
/// with other links. A qdisc that is gone it does not "find" (`tc_modify_qdisc` in net/sched/sch_api.c).
pub fn is_lacking(refusal: &Refusal) -> bool {
    refusal.says(&[Errno::EOPNOTSUPP, Errno::ENOENT])
        && !["block is shared", "find"]
            .iter()
            .any(|text| refusal.text.contains(text))
}

/// A refusal as an error. `needs` names what the kernel must have for it, module first.
pub fn refused(refusal: &Refusal, tried: String, needs: &str) -> Error {
    if is_lacking(refusal) {
        Error::new(Code::Unsupported, tried)
            .with_details(format!("the kernel has no {needs}: {refusal}"))
    } else {
        Error::new(Code::System, tried).with_details(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_a_module_is_distinguished_from_other_refusals() {
        let error_of = |errno, text: &str| {
            let refusal = Refusal {
                errno,
                text: text.into(),
                is_answer: true,
            };
            refused(&refusal, "add a tbf".into(), "tbf (sch_tbf)")
        };
        let error = error_of(Errno::ENOENT, "Specified qdisc kind is unknown");
        assert_eq!(error.code, Code::Unsupported);
        assert!(error.details.contains("sch_tbf"), "{error}");
        assert_eq!(error_of(Errno::EOPNOTSUPP, "").code, Code::Unsupported);
        assert_eq!(error_of(Errno::EPERM, "").code, Code::System);
        assert_eq!(error_of(Errno::EEXIST, "").code, Code::System);
        let gone = "Failed to find specified qdisc";
        assert_eq!(error_of(Errno::ENOENT, gone).code, Code::System);
        let shared = "This filter block is shared. Please use the block index";
        assert_eq!(error_of(Errno::EOPNOTSUPP, shared).code, Code::System);
    }

    #[test]
    fn handles_print_as_tc_prints_them() {
        assert_eq!(handle_text(BUCKET), "1:");
        assert_eq!(handle_text(HOOKS), "ffff:");
        assert_eq!(handle_text(0x800a_0001), "800a:1");
    }
}
