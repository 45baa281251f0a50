//! The owner of everything we create: one interface of one container on one network.

use std::fmt;

use crate::error::short;
use crate::hash::sha512;

/// One interface of one container on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// The network's name, from the configuration.
    pub network: String,
    /// `CNI_CONTAINERID`
    pub container: String,
    /// `CNI_IFNAME`
    pub ifname: String,
}

impl Attachment {
    /// A name of `length` characters in the kernel: `prefix`, then the beginning of the hexadecimal
    /// SHA-512 of network name and container ID, as the reference derives it.
    ///
    /// The two are joined without a separator, so `net-a` + `b1` and `net-ab` + `1` share this name,
    /// and so do two interfaces of one container: see [`Attachment::exact_name`].
    pub fn shared_name(&self, prefix: &str, length: usize) -> String {
        let Attachment {
            network,
            container,
            ifname: _,
        } = self;
        hashed(prefix, length, &[network, container])
    }

    /// A name as [`Attachment::shared_name`], but of this attachment alone: the hash covers network,
    /// container and interface, separated by `/`, which none of the three may contain.
    pub fn exact_name(&self, prefix: &str, length: usize) -> String {
        let Attachment {
            network,
            container,
            ifname,
        } = self;
        hashed(prefix, length, &[network, "/", container, "/", ifname])
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of container {} on network {}",
            self.ifname,
            short(&self.container),
            short(&self.network)
        )
    }
}

fn hashed(prefix: &str, length: usize, parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let hex = sha512(&parts);
    prefix.chars().chain(hex.chars()).take(length).collect()
}

/// What the spec allows as container ID and as network name:
/// `^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`.
pub fn is_valid_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// Why a text cannot be an interface's name, by the rules of the kernel (`dev_valid_name` in
/// net/core/dev.c: 1 to 15 bytes, not `.` or `..`, no `/`, `:` or white space), or `None`.
pub fn ifname_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("interface name is empty")
    } else if name.len() > 15 {
        Some("interface name is longer than 15 bytes")
    } else if name == "." || name == ".." {
        Some("interface name is . or ..")
    } else if name
        .chars()
        .any(|c| c == '/' || c == ':' || c.is_whitespace() || c == '\0')
    {
        Some("interface name contains an invalid character: / or : or white space")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(network: &str, container: &str, ifname: &str) -> Attachment {
        Attachment {
            network: network.into(),
            container: container.into(),
            ifname: ifname.into(),
        }
    }

    #[test]
    fn shared_names_are_the_reference_s() {
        // Recorded from the reference for network e2e-c16 (testdata/captures).
        let id = "f3ebbdab6149a293a7772a74d5e29bee310facdb0daa132f007c2ac24ae1c6c4";
        let name = attachment("e2e-c16", id, "eth0").shared_name("bwp", 15);
        assert_eq!(name, "bwp982e51adaad2");
    }

    #[test]
    fn exact_names_tell_interfaces_and_equal_concatenations_apart() {
        let names = [
            attachment("net-a", "b1", "eth0"),
            attachment("net-ab", "1", "eth0"),
            attachment("net-a", "b1", "net1"),
        ]
        .map(|a| a.exact_name("CNI-DN-", 28));
        assert!(names.iter().all(|n| n.len() == 28));
        assert_ne!(names[0], names[1]);
        assert_ne!(names[0], names[2]);
    }

    #[test]
    fn names_follow_the_spec() {
        for good in ["a", "0", "a.b-c_d", "A1"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", "a;b"] {
            assert!(!is_valid_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        for good in ["eth0", "a", "eth0.100", "123456789012345", "..."] {
            assert_eq!(ifname_fault(good), None, "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "a\u{a0}b",
            "1234567890123456",
        ] {
            assert!(ifname_fault(bad).is_some(), "{bad:?}");
        }
    }
}
