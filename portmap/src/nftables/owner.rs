//! The owner of an element or rule, as text in its comment.
//!
//! `NETWORK/CONTAINER/INTERFACE`. nft reads back comments of up to 128 bytes only, so a longer part
//! becomes its beginning, `~`, and a hash: neither of the first two may contain `~`, so nothing else
//! can look like it. An interface's name with characters that nft might not print verbatim is hashed
//! whole.

use common::Attachment;
use common::attachment::is_valid_name;

/// Bytes of a network's name up to which it stands as it is.
const NETWORK: usize = 40;
/// Bytes of a container ID up to which it stands as it is: the usual IDs have 64.
const CONTAINER: usize = 70;
/// Hexadecimal digits of a hash that stands for a longer text.
const DIGITS: usize = 28;

/// The comment of everything that belongs to an attachment: at most 127 bytes.
pub fn text(attachment: &Attachment) -> String {
    let Attachment {
        network,
        container,
        ifname,
    } = attachment;
    format!(
        "{}{}/{}",
        network_prefix(network),
        shortened(container, CONTAINER),
        interface(ifname)
    )
}

/// What the comments of everything on a network begin with.
pub fn network_prefix(network: &str) -> String {
    format!("{}/", shortened(network, NETWORK))
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
        assert!(owner("podnet", id, "eth0").starts_with(&network_prefix("podnet")));
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
