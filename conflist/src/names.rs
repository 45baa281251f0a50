//! The names the specification restricts: network, container, interface.
//!
//! They become parts of file names here and in plugins, so every verb checks them.

use crate::{Error, Result};

/// The kernel's limit for the name of an interface, without the final NUL (`IFNAMSIZ` - 1).
const LONGEST_INTERFACE: usize = 15;

/// Refuses a network name that is not `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub fn check_network(name: &str) -> Result<()> {
    check("network name", name)
}

/// Refuses a container ID that is not `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub fn check_container(id: &str) -> Result<()> {
    check("container ID", id)
}

/// Refuses what the kernel would not take as the name of an interface.
pub fn check_interface(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > LONGEST_INTERFACE {
        "is longer than 15 bytes"
    } else if name == "." || name == ".." {
        "is a directory"
    } else if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        "contains '/', ':' or white space"
    } else {
        return Ok(());
    };
    Err(Error::Usage(format!("interface name {name:?} {problem}")))
}

fn check(what: &str, name: &str) -> Result<()> {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if first && rest {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{what} {name:?} must begin with a letter or digit and hold only letters, digits, '_', '.' and '-'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_specification_pass_and_others_do_not() {
        for good in ["a", "0", "a_b.c-d", "k8s-pod-network"] {
            assert!(check_network(good).is_ok(), "{good}");
            assert!(check_container(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "..", "a/b", "a b", "ä", "a\n"] {
            assert!(check_network(bad).is_err(), "{bad:?}");
            assert!(check_container(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn interface_names_are_those_of_the_kernel() {
        for good in ["eth0", "eth0.100", "a234567890abcde", "ä"] {
            assert!(check_interface(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "eth0:1", "a b", "a2345678901bcdef"] {
            assert!(check_interface(bad).is_err(), "{bad:?}");
        }
    }
}
