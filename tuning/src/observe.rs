//! What the kernel has inside the container's namespace; and the two ways to change it, of which nothing
//! is decided here.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use common::sys::ethtool::Feature;
use common::sys::link::{Change, Link};
use common::sys::netlink::{Netlink, Refusal};
use common::sys::sysctl;
use common::{Code, Context, Error};
use nix::errno::Errno;

use crate::attribute;
use crate::offload::Side;
use crate::offload::ends::{End, Ends};
use crate::plan::Plan;
use crate::sysctl::Name;

/// A random text that stays the same until the next boot (proc_sys_kernel(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is said of a sysctl that only the node has for itself.
pub const READ_ONLY: &str = "is read-only in a container's namespace";

/// The calling thread's namespace, which is the container's, and one interface in it.
#[derive(Debug)]
pub struct Container {
    netlink: Netlink,
    ifname: String,
}

/// What the kernel has where a plan has values.
#[derive(Debug)]
pub struct Actual {
    /// The interface, if it is there.
    pub link: Option<Link>,
    /// One for each of the plan's sysctls.
    pub sysctls: Vec<Reading>,
    /// What the kernel changes beside each of those, as far as it can be read.
    pub beside: Vec<Vec<(Name, String)>>,
    /// The MTU of IPv6 where it is not the link's and goes with that one.
    pub beside_mtu: Option<(Name, String)>,
    /// The interfaces whose offloads are switched.
    pub ends: Vec<Seen>,
}

/// The offloads of an interface.
#[derive(Debug)]
pub struct Seen {
    /// Which interface it is.
    pub side: Side,
    /// Its name.
    pub link: String,
    /// All that the kernel knows.
    pub features: Vec<Feature>,
}

/// The offloads of some interfaces.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn seen(ends: &mut Ends) -> Result<Vec<Seen>, Error> {
    let seen = |end: &mut End| {
        Ok(Seen {
            side: end.side,
            link: end.link.name.clone(),
            features: end.features()?,
        })
    };
    ends.iter_mut().map(seen).collect()
}

/// What reading a sysctl gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Its value.
    Value(String),
    /// It exists and can be written, not read, such as `net/ipv4/route/flush`.
    WriteOnly,
    /// It exists, but has no value now, such as `net/ipv6/conf/eth0/stable_secret` before it is set.
    Unreadable(String),
    /// There is no such sysctl in this namespace.
    Missing,
}

impl Container {
    /// Opens a socket in the calling thread's namespace.
    ///
    /// # Errors
    /// Code 100 when the kernel gives none.
    pub fn open(ifname: &str) -> Result<Container, Error> {
        Ok(Container {
            netlink: Netlink::route()?,
            ifname: ifname.to_owned(),
        })
    }

    /// The interface's name.
    pub fn ifname(&self) -> &str {
        &self.ifname
    }

    /// What distinguishes this namespace from every other one, also from those of the same inode number
    /// before and after it: its number, and the boot in which it was given. `None` where the kernel
    /// gives none.
    ///
    /// # Errors
    /// Code 100 when it could not be found out.
    pub fn netns_id(&self) -> Result<Option<String>, Error> {
        let tried = || "identify the network namespace".to_owned();
        let Some(cookie) = self.netlink.netns_cookie().context(Code::System, tried)? else {
            return Ok(None);
        };
        match sysctl::read(Path::new(BOOT_ID)) {
            Ok(boot) => Ok(Some(format!("{boot}/{cookie}"))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause).context(Code::System, tried),
        }
    }

    /// The interface, or `None`.
    ///
    /// # Errors
    /// Code 100 with what the kernel refused.
    pub fn link(&mut self) -> Result<Option<Link>, Error> {
        self.netlink
            .link_by_name(&self.ifname)
            .context(Code::System, || {
                format!("look up interface {}", self.ifname)
            })
    }

    /// Reads everything that a plan has values for.
    ///
    /// # Errors
    /// Code 100 with what the kernel refused.
    pub fn observe(&mut self, plan: &Plan, ends: &mut Ends) -> Result<Actual, Error> {
        let sysctls = plan.sysctls.iter().map(|setting| read(&setting.name));
        let planned: HashSet<&Name> = plan.sysctls.iter().map(|setting| &setting.name).collect();
        let beside = plan
            .sysctls
            .iter()
            .map(|setting| beside(&setting.name, &planned));
        let link = self.link()?;
        Ok(Actual {
            sysctls: sysctls.collect::<Result<_, _>>()?,
            beside: beside.collect::<Result<_, _>>()?,
            beside_mtu: match &link {
                Some(link) => beside_mtu(plan, link, &planned)?,
                None => None,
            },
            link,
            ends: seen(ends)?,
        })
    }

    /// Changes one attribute of a link.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn change(&mut self, link: &Link, change: Change) -> Result<(), Refusal> {
        self.netlink.change_link(link.index, change)
    }
}

/// What the kernel changes beside a sysctl, except for what has a step of its own.
fn beside(name: &Name, planned: &HashSet<&Name>) -> Result<Vec<(Name, String)>, Error> {
    let names = name.beside()?.into_iter();
    let others = names.filter(|name| !planned.contains(name));
    let with_value = |name: Name| match read(&name) {
        Ok(Reading::Value(value)) => Some(Ok((name, value))),
        // An interface may go meanwhile.
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    };
    others.filter_map(with_value).collect()
}

/// The MTU of IPv6 on a link whose own MTU is planned, unless that one brings it back when it is restored.
fn beside_mtu(
    plan: &Plan,
    link: &Link,
    planned: &HashSet<&Name>,
) -> Result<Option<(Name, String)>, Error> {
    let is_mtu = |change: &Change| matches!(change, Change::Mtu(_));
    let name = Name::beside_mtu(&link.name);
    if planned.contains(&name) || !plan.link.iter().any(is_mtu) {
        return Ok(None);
    }
    Ok(match read(&name)? {
        Reading::Value(value) if value != link.mtu.to_string() => Some((name, value)),
        _ => None,
    })
}

/// Reads a sysctl.
///
/// # Errors
/// Code 100 where it could not be found out what there is.
pub fn read(name: &Name) -> Result<Reading, Error> {
    let path = name.path();
    let cause = match sysctl::read(&path) {
        Ok(value) => return Ok(Reading::Value(value)),
        Err(cause) => cause,
    };
    match cause.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR) => Ok(Reading::Missing),
        Some(Errno::EACCES) if sysctl::is_write_only(&path) => Ok(Reading::WriteOnly),
        // `addrconf_sysctl_stable_secret` in net/ipv6/addrconf.c, until there is a secret.
        Some(Errno::EIO) if name.is_stable_secret() => Ok(Reading::Unreadable(cause.to_string())),
        _ => Err(cause).context(Code::System, || format!("read sysctl {}", name.text())),
    }
}

/// Writes a sysctl.
///
/// # Errors
/// As the kernel says.
pub fn write(name: &Name, value: &str) -> io::Result<()> {
    // Writing nothing would change nothing; a line break is the empty value.
    let value = if value.is_empty() { "\n" } else { value };
    sysctl::write(&name.path(), value).map_err(|cause| match is_read_only(name) {
        true => io::Error::other(format!(
            "it {READ_ONLY}: leave it out, or set it on the node"
        )),
        false => cause,
    })
}

/// Whether containers have a sysctl, but cannot set it.
pub fn is_read_only(name: &Name) -> bool {
    sysctl::is_read_only(&name.path())
}

/// What is said of a change that failed.
pub fn tried(change: Change, ifname: &str) -> String {
    format!(
        "set {} {} on {ifname}",
        attribute::name(change),
        attribute::value(change)
    )
}
