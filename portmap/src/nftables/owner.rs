//! The owner of an element or rule, as text in its comment.
//!
//! `NETWORK/CONTAINER/INTERFACE`. nft reads back comments of up to 128 bytes only, so a longer part
//! becomes its beginning, `~`, and a hash: neither of the first two may contain `~`, so nothing else
//! can look like it. An interface's name with characters that nft might not print verbatim is hashed
//! whole. An entry of a list that is not the plain one adds `/HASH`; parts are shortened earlier then.

use common::Attachment;
use common::attachment::is_valid_name;

use crate::entry;

/// Bytes up to which the names of networks and containers are kept as they are.
struct Room {
    network: usize,
    container: usize,
}

/// Those of the plain entry.
const PLAIN: Room = Room {
    network: 40,
    container: 70,
};
/// Those of other entries. The usual IDs of containers have 64 bytes.
const OF_ENTRY: Room = Room {
    network: 33,
    container: 64,
};
/// Hexadecimal digits of a hash that replaces a longer text.
const DIGITS: usize = 28;

/// The comment of everything that belongs to an owner: at most 127 bytes.
pub fn text(owner: &Attachment) -> String {
    match entry::of(owner) {
        None => joined(owner, &PLAIN),
        Some(entry) => entries(&entry::attachment(owner)) + entry,
    }
}

/// What the comments of the entries of an attachment begin with, except for the plain one.
pub fn entries(attachment: &Attachment) -> String {
    joined(attachment, &OF_ENTRY) + "/"
}

fn joined(attachment: &Attachment, room: &Room) -> String {
    let Attachment {
        network,
        container,
        ifname,
    } = attachment;
    let network = shortened(network, room.network);
    let container = shortened(container, room.container);
    format!("{network}/{container}/{}", interface(ifname))
}

/// Whether an owner is on a network.
pub fn is_of_network(owner: &str, network: &str) -> bool {
    let shown = owner.split('/').next();
    let names = [PLAIN, OF_ENTRY].map(|room| shortened(network, room.network));
    names.iter().any(|name| shown == Some(name))
}

/// The attachment's part of an entry's comment, as [`entries`] gives it.
pub fn without_entry(owner: &str) -> Option<&str> {
    let mut slashes = owner.match_indices('/').map(|(at, _)| at);
    owner.get(..=slashes.nth(2)?)
}

/// Whether two owners are one container, on one network or on several.
pub fn is_same_container(one: &str, other: &str) -> bool {
    let container = |owner: &str| {
        let name = owner.split('/').nth(1)?;
        // Names are cut at different places; their hashes say what they are then.
        Some(match name.split_once('~') {
            Some((_, hash)) => hash.to_owned(),
            None if name.len() > OF_ENTRY.container => digest(name, DIGITS),
            None => name.to_owned(),
        })
    };
    container(one).is_some() && container(one) == container(other)
}

fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let kept: String = name.chars().take(most - DIGITS - 1).collect();
    format!("{kept}~{}", digest(name, DIGITS))
}

fn interface(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-@+".contains(c);
    if is_valid_name(name) || name.chars().all(plain) {
        return name.to_owned();
    }
    format!("~{}", digest(name, 14))
}

/// The first hexadecimal digits of a text's hash.
pub fn digest(text: &str, digits: usize) -> String {
    let whole = Attachment {
        network: text.to_owned(),
        container: String::new(),
        ifname: String::new(),
    };
    whole.exact_name("", digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_fit_are_of_their_network_and_of_their_container() {
        let entry = "0123456789ab";
        for length in [1, 20, 34, 64, 65, 70, 71, 253] {
            let name = "a".repeat(length);
            let ifname = "123456789012345";
            let plain = owner(&name, &name, ifname);
            let one = owner(&name, &name, &format!("{ifname}/{entry}"));
            assert!(
                one.len() <= 127 && one.ends_with(entry),
                "{} {one}",
                one.len()
            );
            let attachment = Attachment {
                network: name.clone(),
                container: name.clone(),
                ifname: ifname.into(),
            };
            assert_eq!(without_entry(&one), Some(entries(&attachment).as_str()));
            assert_eq!(without_entry(&plain), None);
            assert!(is_of_network(&one, &name) && is_of_network(&plain, &name));
            assert!(!is_of_network(&one, "b") && !is_of_network(&one, &format!("{name}a")));
            assert!(is_same_container(&one, &plain), "{one} {plain}");
            assert!(!is_same_container(
                &one,
                &owner(&name, &format!("{name}a"), ifname)
            ));
        }
    }

    fn owner(network: &str, container: &str, ifname: &str) -> String {
        text(&Attachment {
            network: network.into(),
            container: container.into(),
            ifname: ifname.into(),
        })
    }

    #[test]
    fn usual_names_stand_as_they_are() {
        let id = "f3ebbdab6149a293a7772a74d5e29bee310facdb0daa132f007c2ac24ae1c6c4";
        assert_eq!(owner("podnet", id, "eth0"), format!("podnet/{id}/eth0"));
        assert!(is_of_network(&owner("podnet", id, "eth0"), "podnet"));
    }

    #[test]
    fn names_of_any_length_fit_and_stay_apart() {
        let (a, b) = ("a".repeat(300), "a".repeat(301));
        let texts = [
            owner(&a, &a, "123456789012345"),
            owner(&b, &a, "123456789012345"),
            owner(&a, &b, "123456789012345"),
            owner(&a, &a, "eth0"),
        ];
        for (index, text) in texts.iter().enumerate() {
            assert!(text.len() <= 127, "{} {text}", text.len());
            assert!(!texts[..index].contains(text), "{text}");
        }
    }

    #[test]
    fn an_interface_s_name_cannot_end_the_comment() {
        for name in ["a\"b", "a\\b", "é", "a;b", "{"] {
            let text = owner("n", "c", name);
            assert!(text.starts_with("n/c/~") && text.is_ascii(), "{text}");
            assert!(!text.contains(['"', '\\', ';', '{']), "{text}");
        }
    }
}
