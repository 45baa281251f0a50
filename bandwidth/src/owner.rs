//! The mark on each of our ifbs, its alias: its owner, and what else was made along with it. A limit
//! without an ifb has its mark on the limited link itself.
//!
//! `cni-bandwidth NETWORK/CONTAINER/IFNAME link=7 hook=made root=made`. An alias has 255 bytes
//! (`IFALIASZ` in include/uapi/linux/if.h); where the names do not fit, hashes take their place.

use std::fmt;

use common::sys::link::Link;
use common::{Attachment, turn};

/// The first word of an alias of ours.
const WORD: &str = "cni-bandwidth";
/// The longest alias in bytes.
const LONGEST: usize = 255;
/// Characters of the hash of a network, and of that of an attachment.
const HASH: usize = 40;

/// Whose an ifb is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// By name.
    Named(Attachment),
    /// By hash, for names that do not fit: of the network, and of the whole attachment.
    Hashed(String, String),
}

/// What the alias of an ifb says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose the ifb is.
    pub owner: Owner,
    /// The index of the link whose traffic it limits.
    pub link: u32,
    /// Whether that link's ingress or clsact qdisc was made for it.
    pub hook_made: bool,
    /// Whether that link's root qdisc was made by the same ADD.
    pub root_made: bool,
}

impl Owner {
    /// The owner as it is written for an attachment: by name where that fits.
    pub fn of(attachment: &Attachment) -> Owner {
        let named = Owner::Named(attachment.clone());
        let longest = Mark {
            owner: named,
            link: u32::MAX,
            hook_made: true,
            root_made: true,
        };
        if longest.to_string().len() <= LONGEST {
            longest.owner
        } else {
            let network = network_hash(&attachment.network);
            Owner::Hashed(network, attachment.exact_name("", HASH))
        }
    }

    /// The name of its turn.
    pub fn turn(&self) -> String {
        match self {
            Owner::Named(attachment) => turn::name(attachment),
            Owner::Hashed(_, hash) => hash.chars().take(turn::NAME).collect(),
        }
    }

    /// Whether the owner is on this network.
    pub fn is_on(&self, network: &str) -> bool {
        match self {
            Owner::Named(attachment) => attachment.network == network,
            Owner::Hashed(hash, _) => *hash == network_hash(network),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Named(Attachment {
                network,
                container,
                ifname,
            }) => write!(f, "{network}/{container}/{ifname}"),
            Owner::Hashed(network, attachment) => write!(f, "#{network}/{attachment}"),
        }
    }
}

impl Mark {
    /// The mark on a link; `None` where its alias is not one of ours.
    pub fn of(link: &Link) -> Option<Mark> {
        Mark::parse(link.alias.as_deref()?)
    }

    /// Reads an alias; `None` when it is not one of ours.
    pub fn parse(alias: &str) -> Option<Mark> {
        let mut words = alias.split(' ');
        if words.next()? != WORD {
            return None;
        }
        let mut mark = Mark {
            owner: owner(words.next()?)?,
            link: 0,
            hook_made: false,
            root_made: false,
        };
        for word in words {
            match word.split_once('=')? {
                ("link", index) => mark.link = index.parse().ok()?,
                ("hook", how) => mark.hook_made = how == "made",
                ("root", how) => mark.root_made = how == "made",
                _ => {}
            }
        }
        Some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark {
            owner,
            link,
            hook_made,
            root_made,
        } = self;
        let how = |made: &bool| if *made { "made" } else { "found" };
        write!(
            f,
            "{WORD} {owner} link={link} hook={} root={}",
            how(hook_made),
            how(root_made)
        )
    }
}

/// Whether a link's token bucket is another attachment's: the link's mark says so, or that of an ifb to
/// which its filters lead.
pub fn is_of_another<'a>(
    link: &Link,
    owner: &Owner,
    mut neighbours: impl Iterator<Item = &'a Mark>,
) -> bool {
    Mark::of(link).is_some_and(|mark| mark.owner != *owner)
        || neighbours.any(|mark| mark.link == link.index && mark.root_made)
}

fn owner(text: &str) -> Option<Owner> {
    if let Some(hashes) = text.strip_prefix('#') {
        let (network, attachment) = hashes.split_once('/')?;
        return Some(Owner::Hashed(network.into(), attachment.into()));
    }
    // None of the three may contain a slash.
    let mut parts = text.split('/');
    let attachment = Attachment {
        network: parts.next()?.into(),
        container: parts.next()?.into(),
        ifname: parts.next()?.into(),
    };
    parts.next().is_none().then_some(Owner::Named(attachment))
}

fn network_hash(network: &str) -> String {
    Attachment {
        network: network.into(),
        container: String::new(),
        ifname: String::new(),
    }
    .exact_name("", HASH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(container: &str) -> Attachment {
        Attachment {
            network: "net1".into(),
            container: container.into(),
            ifname: "eth0".into(),
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark {
            owner: Owner::of(&attachment("cid-0001")),
            link: 7,
            hook_made: true,
            root_made: false,
        };
        let text = "cni-bandwidth net1/cid-0001/eth0 link=7 hook=made root=found";
        assert_eq!(mark.to_string(), text);
        assert_eq!(Mark::parse(text), Some(mark));
    }

    #[test]
    fn names_that_do_not_fit_are_hashed_and_still_differ() {
        let long = "x".repeat(200);
        let (a, b) = (attachment(&long), attachment(&(long.clone() + "y")));
        assert!(matches!(Owner::of(&a), Owner::Hashed(..)));
        assert_ne!(Owner::of(&a), Owner::of(&b));
        assert!(Owner::of(&a).is_on("net1") && !Owner::of(&a).is_on("net2"));
        assert_eq!(Owner::of(&a).turn(), turn::name(&a));
        let mark = Mark {
            owner: Owner::of(&a),
            link: u32::MAX,
            hook_made: true,
            root_made: true,
        };
        assert!(mark.to_string().len() <= LONGEST);
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
    }

    #[test]
    fn other_people_s_aliases_are_no_marks() {
        for alias in [
            "",
            "uplink",
            "cni-bandwidth",
            "cni-bandwidth a/b",
            "cni-bandwidth a/b/c/d",
            "cni-bandwidth a/b/c link=x",
            "cni-bandwidth a/b/c link",
            "cni-bandwidthx a/b/c",
        ] {
            assert_eq!(Mark::parse(alias), None, "{alias:?}");
        }
    }
}
