//! The spec versions that exist, their order, and what each of them allows.

use std::fmt;

/// A released version of the CNI spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.1.0
    V010,
    /// 0.2.0
    V020,
    /// 0.3.0
    V030,
    /// 0.3.1
    V031,
    /// 0.4.0: CHECK
    V040,
    /// 1.0.0
    V100,
    /// 1.1.0: GC and STATUS
    V110,
}

/// The shape that results have in a range of spec versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 0.1.0 and 0.2.0: one `ip4` and one `ip6`, no interfaces.
    Ip4Ip6,
    /// 0.3.0 to 0.4.0: lists, and a `version` in each of `ips`.
    Lists,
    /// From 1.0.0 on: lists without that `version`.
    One,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: &'static [Version] = &[
        Version::V010,
        Version::V020,
        Version::V030,
        Version::V031,
        Version::V040,
        Version::V100,
        Version::V110,
    ];

    /// The versions whose results have interfaces: 0.3.0 and later.
    pub const WITH_INTERFACES: &'static [Version] = &[
        Version::V030,
        Version::V031,
        Version::V040,
        Version::V100,
        Version::V110,
    ];

    /// The version with exactly this text, or `None`.
    pub fn from_text(text: &str) -> Option<Version> {
        Self::ALL.iter().copied().find(|v| v.text() == text)
    }

    /// As it is written in `cniVersion`.
    pub fn text(self) -> &'static str {
        match self {
            Version::V010 => "0.1.0",
            Version::V020 => "0.2.0",
            Version::V030 => "0.3.0",
            Version::V031 => "0.3.1",
            Version::V040 => "0.4.0",
            Version::V100 => "1.0.0",
            Version::V110 => "1.1.0",
        }
    }

    /// The shape of this version's results.
    pub fn family(self) -> Family {
        match self {
            Version::V010 | Version::V020 => Family::Ip4Ip6,
            Version::V030 | Version::V031 | Version::V040 => Family::Lists,
            Version::V100 | Version::V110 => Family::One,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The numbers of a version text such as `0.4.0`: one to three parts, missing ones are 0.
/// `None` for anything else. Serves to say of an unknown version whether it is too old or too new.
pub fn numbers(text: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split('.');
    for number in &mut numbers {
        match parts.next() {
            Some(part) => *number = part.parse().ok()?,
            None => break,
        }
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_listed_in_their_order_and_read_back_from_their_text() {
        assert!(Version::ALL.is_sorted());
        for version in Version::ALL {
            assert_eq!(Version::from_text(version.text()), Some(*version));
        }
        for text in ["", "1.0", "1.0.0 ", "0.5.0", "v1.0.0"] {
            assert_eq!(Version::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_dotted_numbers_are_numbers() {
        assert_eq!(numbers("0.4.0"), Some([0, 4, 0]));
        assert_eq!(numbers("9"), Some([9, 0, 0]));
        for text in ["", "a", "1.x", "1.0.0.0", "1..0", "-1.0.0"] {
            assert_eq!(numbers(text), None, "{text:?}");
        }
    }
}
