//! Links, as `ip link` shows and changes them.
//!
//! Attribute numbers: include/uapi/linux/if_link.h. Requests are typed by netlink-packet-route;
//! replies are read attribute by attribute, so that one which a newer kernel lays out differently
//! cannot make the rest unreadable.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkExtentMask, LinkFlags,
    LinkHeader, LinkInfo, LinkMessage,
};
use nix::errno::Errno;
use nix::libc;

use super::netlink::{
    CREATE, DUMP, GET, Message, Netlink, Refusal, attribute, each_attribute, text, u32_at,
};
use crate::attachment::ifname_fault;
use crate::mac::Mac;

/// A namespace's number (include/uapi/linux/net_namespace.h).
const NETNSA_NSID: u16 = 1;
/// A namespace's open file.
const NETNSA_FD: u16 = 3;
/// Bytes before the attributes (`struct ifinfomsg`).
const HEADER: usize = 16;

/// A link's state, as far as a plugin needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `ifb`, `macvlan`, …; empty for a physical device.
    pub kind: String,
    /// Its hardware address; `None` unless it has 6 bytes.
    pub mac: Option<Mac>,
    /// MTU in bytes.
    pub mtu: u32,
    /// `IFF_UP`
    pub up: bool,
    /// `IFF_PROMISC` as an administrator set it. What packet sockets request is counted elsewhere
    /// in the kernel and does not show here (`dev_get_flags` in net/core/dev.c).
    pub promisc: bool,
    /// `IFF_ALLMULTI` as an administrator set it.
    pub allmulti: bool,
    /// Length of the transmit queue in packets.
    pub txqlen: u32,
    /// The alias, which serves us as the owner's mark.
    pub alias: Option<String>,
    /// The index of the link below it: a veth's peer, a macvlan's parent.
    pub parent: Option<u32>,
    /// The namespace of [`Link::parent`], as numbered in this one; `None` when it is this one.
    pub parent_netnsid: Option<i32>,
    /// The bridge or bond it belongs to.
    pub master: Option<u32>,
    /// Transmit queues.
    pub tx_queues: u32,
    /// Receive queues.
    pub rx_queues: u32,
    /// The largest packet that segmentation offload hands over, in bytes.
    pub gso_max_size: u32,
}

/// A change to one attribute of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The hardware address.
    Mac(Mac),
    /// MTU in bytes.
    Mtu(u32),
    /// Length of the transmit queue in packets.
    TxQLen(u32),
    /// `IFF_PROMISC`
    Promisc(bool),
    /// `IFF_ALLMULTI`
    Allmulti(bool),
    /// `IFF_UP`
    Up(bool),
}

impl Netlink {
    /// The link of a name, or `None`.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn link_by_name(&mut self, name: &str) -> Result<Option<Link>, Refusal> {
        match ifname_fault(name) {
            None => self.link(0, Some(name)),
            // No link can have it, and the kernel would refuse the question.
            Some(_) => Ok(None),
        }
    }

    /// The link of an index, or `None`.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn link_by_index(&mut self, index: u32) -> Result<Option<Link>, Refusal> {
        self.link(index, None)
    }

    fn link(&mut self, index: u32, name: Option<&str>) -> Result<Option<Link>, Refusal> {
        let mut request = about(index);
        request
            .attributes
            .extend(name.map(|n| LinkAttribute::IfName(n.to_owned())));
        request.attributes.push(without_counters());
        match self.request(libc::RTM_GETLINK, GET, &request) {
            // An acknowledgement without a link does not prove its absence.
            Ok(replies) => match replies.iter().find_map(decode) {
                None => Err(Errno::ENODATA.into()),
                found => Ok(found),
            },
            Err(refusal) if refusal.says(&[Errno::ENODEV]) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Every link of the namespace; with a kind, only those of that kind.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn links(&mut self, kind: Option<InfoKind>) -> Result<Vec<Link>, Refusal> {
        let mut request = about(0);
        request.attributes.push(without_counters());
        let filter = kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
        request.attributes.extend(filter);
        let replies = self.request(libc::RTM_GETLINK, DUMP, &request)?;
        let links = replies.iter().map(decode).collect::<Option<_>>();
        links.ok_or_else(|| Errno::EBADMSG.into())
    }

    /// Creates a link from its attributes.
    ///
    /// # Errors
    /// What the kernel refused, `EEXIST` when the name is taken.
    pub fn create_link(&mut self, attributes: Vec<LinkAttribute>) -> Result<(), Refusal> {
        let mut request = about(0);
        request.attributes = attributes;
        self.request(libc::RTM_NEWLINK, CREATE, &request).map(drop)
    }

    /// Sets a link's alias; an empty one removes it.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn set_alias(&mut self, index: u32, alias: &str) -> Result<(), Refusal> {
        let mut request = about(index);
        request
            .attributes
            .push(LinkAttribute::IfAlias(alias.to_owned()));
        self.request(libc::RTM_NEWLINK, GET, &request).map(drop)
    }

    /// Gives a link that is not up its alias and, in the same step, its name, and keeps the kernel from
    /// giving it a link-local IPv6 address when it comes up (`addrgenmode none`, ip-link(8)). Where the
    /// link has no IPv6 there is nothing to keep.
    ///
    /// # Errors
    /// What the kernel refused: `EEXIST` for a name that is taken, and nothing is changed then.
    pub fn name_and_mark(&mut self, index: u32, name: &str, alias: &str) -> Result<(), Refusal> {
        let mut request = about(index);
        let no_address = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        request.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::IfAlias(alias.to_owned()),
            LinkAttribute::AfSpecUnspec(vec![no_address]),
        ];
        match self.request(libc::RTM_NEWLINK, GET, &request) {
            Err(refusal) if refusal.says(&[Errno::EAFNOSUPPORT]) => {
                request.attributes.pop();
                self.request(libc::RTM_NEWLINK, GET, &request).map(drop)
            }
            done => done.map(drop),
        }
    }

    /// Changes one attribute of a link.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn change_link(&mut self, index: u32, change: Change) -> Result<(), Refusal> {
        let mut request = about(index);
        match change {
            Change::Mac(mac) => {
                request
                    .attributes
                    .push(LinkAttribute::Address(mac.bytes().to_vec()));
            }
            Change::Mtu(mtu) => request.attributes.push(LinkAttribute::Mtu(mtu)),
            Change::TxQLen(length) => request.attributes.push(LinkAttribute::TxQueueLen(length)),
            Change::Promisc(on) => set_flag(&mut request.header, LinkFlags::Promisc, on),
            Change::Allmulti(on) => set_flag(&mut request.header, LinkFlags::Allmulti, on),
            Change::Up(on) => set_flag(&mut request.header, LinkFlags::Up, on),
        }
        self.request(libc::RTM_NEWLINK, GET, &request).map(drop)
    }

    /// Whether a link's other end, or the link below it, is known to be in this namespace. Where that
    /// is the link's own namespace, or the kernel names none, it is not.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn leads_to(&mut self, link: &Link, netns: BorrowedFd<'_>) -> Result<bool, Refusal> {
        match link.parent_netnsid.filter(|number| *number >= 0) {
            Some(number) => Ok(self.netns_number(netns)? == number),
            None => Ok(false),
        }
    }

    /// The number that this socket's namespace has for another one: what [`Link::parent_netnsid`]
    /// speaks of. Negative when it has none.
    fn netns_number(&mut self, netns: BorrowedFd<'_>) -> Result<i32, Refusal> {
        // `struct rtgenmsg` padded to 4, then NETNSA_FD; include/uapi/linux/net_namespace.h
        let mut request = vec![0; 4];
        request.extend(8u16.to_ne_bytes());
        request.extend(NETNSA_FD.to_ne_bytes());
        request.extend(netns.as_raw_fd().to_ne_bytes());
        let replies = self.request_bytes(libc::RTM_GETNSID, GET, &request)?;
        let number = replies
            .iter()
            .find_map(|reply| u32_at(attribute(reply.body.get(4..)?, NETNSA_NSID)?, 0))
            .ok_or(Errno::ENODATA)?;
        Ok(number.cast_signed())
    }

    /// Deletes a link; one that is gone is success.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn delete_link(&mut self, index: u32) -> Result<(), Refusal> {
        match self.request(libc::RTM_DELLINK, GET, &about(index)) {
            Err(refusal) if !refusal.says(&[Errno::ENODEV]) => Err(refusal),
            _ => Ok(()),
        }
    }
}

fn about(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// Counters are a third of a reply's bytes and are not read here.
fn without_counters() -> LinkAttribute {
    LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])
}

fn set_flag(header: &mut LinkHeader, flag: LinkFlags, on: bool) {
    header.change_mask = flag;
    if on {
        header.flags = flag;
    }
}

/// Reads an `RTM_NEWLINK`; `None` for any other message.
pub fn decode(message: &Message) -> Option<Link> {
    if message.kind != libc::RTM_NEWLINK {
        return None;
    }
    let header = message.body.get(..HEADER)?;
    let flags = u32_at(header, 8)?.cast_signed();
    let mut link = Link {
        index: u32_at(header, 4)?,
        name: String::new(),
        kind: String::new(),
        mac: None,
        mtu: 0,
        up: flags & libc::IFF_UP != 0,
        promisc: flags & libc::IFF_PROMISC != 0,
        allmulti: flags & libc::IFF_ALLMULTI != 0,
        txqlen: 0,
        alias: None,
        parent: None,
        parent_netnsid: None,
        master: None,
        tx_queues: 1,
        rx_queues: 1,
        gso_max_size: 0,
    };
    for (kind, value) in each_attribute(message.body.get(HEADER..)?) {
        let number = || u32_at(value, 0).unwrap_or_default();
        match kind {
            libc::IFLA_ADDRESS => link.mac = Mac::from_bytes(value),
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_MTU => link.mtu = number(),
            libc::IFLA_LINK => link.parent = Some(number()),
            libc::IFLA_MASTER => link.master = Some(number()),
            libc::IFLA_TXQLEN => link.txqlen = number(),
            libc::IFLA_LINKINFO => {
                link.kind = attribute(value, libc::IFLA_INFO_KIND)
                    .map(text)
                    .unwrap_or_default();
            }
            libc::IFLA_IFALIAS => link.alias = Some(text(value)),
            libc::IFLA_NUM_TX_QUEUES => link.tx_queues = number(),
            libc::IFLA_NUM_RX_QUEUES => link.rx_queues = number(),
            libc::IFLA_LINK_NETNSID => link.parent_netnsid = Some(number().cast_signed()),
            libc::IFLA_GSO_MAX_SIZE => link.gso_max_size = number(),
            _ => {}
        }
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_by_index_and_in_the_list() {
        let mut socket = Netlink::route().unwrap();
        let lo = socket.link_by_name("lo").unwrap().unwrap();
        assert_eq!(
            (lo.index, lo.name.as_str(), lo.kind.as_str()),
            (1, "lo", "")
        );
        assert!(lo.mtu >= 1500 && lo.mac.is_some());
        assert_eq!(socket.link_by_index(1).unwrap().unwrap().name, "lo");
        assert!(
            socket
                .links(None)
                .unwrap()
                .iter()
                .any(|link| link.name == "lo")
        );
    }

    #[test]
    fn a_link_that_is_not_there_is_none() {
        let mut socket = Netlink::route().unwrap();
        assert_eq!(socket.link_by_name("no-such-link").unwrap(), None);
        assert_eq!(socket.link_by_index(4_000_000).unwrap(), None);
        socket.delete_link(4_000_000).unwrap();
    }
}
