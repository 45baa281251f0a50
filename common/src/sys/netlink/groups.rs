//! Notifications: what the kernel sends, without a request, to a socket that has joined a group.

use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::{Netlink, Refusal, set_option};
use crate::error::{Code, Error};

/// Changes of nf_tables' objects, each transaction ended by its generation.
pub const NFTABLES: u32 = libc::NFNLGRP_NFTABLES as u32;
/// Changes of links.
pub const LINK: u32 = libc::RTNLGRP_LINK;
/// Changes of qdiscs, classes and filters.
pub const TC: u32 = libc::RTNLGRP_TC;

/// Bytes of notifications that may wait, with what the kernel adds to each: some 5,000 small ones.
const WAITING: usize = 4 << 20;

impl Netlink {
    /// Joins groups of the socket's namespace.
    ///
    /// # Errors
    /// Code 100 where the kernel refuses: those of netfilter need `CAP_NET_ADMIN`.
    pub fn join(&self, groups: &[u32]) -> Result<(), Error> {
        // Beyond the system's limit with CAP_NET_ADMIN of the initial user namespace only. With less
        // room notifications are lost sooner, which is reported to the reader.
        if setsockopt(&self.socket, sockopt::RcvBufForce, &WAITING).is_err() {
            let _ = setsockopt(&self.socket, sockopt::RcvBuf, &WAITING);
        }
        for group in groups {
            set_option(
                &self.socket,
                libc::NETLINK_ADD_MEMBERSHIP,
                group.cast_signed(),
            )
            .map_err(|errno| {
                let msg = format!("join group {group} of netlink's notifications");
                Error::new(Code::System, msg).with_details(Refusal::from(errno))
            })?;
        }
        Ok(())
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
