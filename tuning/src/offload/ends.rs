//! The interfaces whose offloads are switched: the container's, and its peer on the node.

use common::sys::ethtool::{Ethtool, Feature};
use common::sys::link::Link;
use common::sys::netlink::Netlink;
use common::sys::netns::Netns;
use common::sys::peer;
use common::{Code, Context, Error};
use nix::errno::Errno;

use super::{Side, Value};

/// An interface, and a socket in its namespace.
#[derive(Debug)]
pub struct End {
    /// Which one it is.
    pub side: Side,
    /// The interface.
    pub link: Link,
    ethtool: Ethtool,
}

/// The ends that there are, of those that are needed.
pub type Ends = Vec<End>;

/// Opens the ends of some sides. What is not there is left out.
///
/// # Errors
/// Code 8 for the namespace, code 100 for a look that fails, code 103 without ethtool in the kernel.
pub fn open(netns: &Netns, ifname: &str, sides: &[Side]) -> Result<Ends, Error> {
    let mut ends = Ends::new();
    if sides.is_empty() {
        return Ok(ends);
    }
    let (mut inside, ethtool) = netns.run(|| Ok((Netlink::route()?, Ethtool::open()?)))?;
    let tried = || format!("look up interface {ifname}");
    let Some(link) = inside.link_by_name(ifname).context(Code::System, tried)? else {
        return Ok(ends);
    };
    if sides.contains(&Side::Host)
        && let Some((_, link)) = peer::of_veth(&mut inside, netns, &link)?
    {
        ends.push(End {
            side: Side::Host,
            link,
            ethtool: Ethtool::open()?,
        });
    }
    if sides.contains(&Side::Container) {
        let side = Side::Container;
        ends.push(End {
            side,
            link,
            ethtool,
        });
    }
    Ok(ends)
}

impl End {
    /// Every offload of the interface.
    ///
    /// # Errors
    /// Code 100 with what the kernel refused.
    pub fn features(&mut self) -> Result<Vec<Feature>, Error> {
        let End { link, ethtool, .. } = self;
        let features = ethtool.features(link.index);
        features.context(Code::System, || {
            format!("read the offloads of {}", link.name)
        })
    }

    /// Switches what is not as it should be, and says whether that was something. The interface may be
    /// gone by now, and nothing is to be switched then.
    ///
    /// # Errors
    /// Code 100 with what the kernel refused.
    pub fn switch(&mut self, values: &[Value]) -> Result<bool, Error> {
        if values.is_empty() {
            return Ok(false);
        }
        let End { link, ethtool, .. } = self;
        let features = match ethtool.features(link.index) {
            Err(refusal) if refusal.errno == Errno::ENODEV => return Ok(false),
            features => features.context(Code::System, || unread(link))?,
        };
        let is_other = |value: &&Value| {
            let present = features.iter().find(|feature| feature.name == value.name);
            present.is_some_and(|f| f.wanted != value.on || f.active != value.on)
        };
        let changes: Vec<(String, bool)> = values
            .iter()
            .filter(is_other)
            .map(|value| (value.name.clone(), value.on))
            .collect();
        if changes.is_empty() {
            return Ok(false);
        }
        let names: Vec<String> = changes
            .iter()
            .map(|(name, on)| format!("{name} {}", if *on { "on" } else { "off" }))
            .collect();
        let tried = || format!("set offloads of {}: {}", link.name, names.join(", "));
        ethtool
            .switch(link.index, &changes)
            .context(Code::System, tried)
            .map(|()| true)
    }
}

fn unread(link: &Link) -> String {
    format!("read the offloads of {}", link.name)
}
