//! Versions of the CNI specification, and how they compare.

use std::fmt;

use common::version::{Version, numbers};

/// The newest version the runner speaks.
pub const NEWEST: SpecVersion = SpecVersion(1, 1, 0);
/// CHECK, and `prevResult` on DEL, exist from here on.
pub const CHECK: SpecVersion = SpecVersion(0, 4, 0);
/// GC and STATUS exist from here on.
pub const GC_AND_STATUS: SpecVersion = SpecVersion(1, 1, 0);

/// Major, minor and patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpecVersion(pub u32, pub u32, pub u32);

impl SpecVersion {
    /// Reads `1`, `1.0` or `1.0.0`. The empty string means 0.1.0, as in the specification.
    ///
    /// Anything else is refused with a sentence that quotes it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(0, 1, 0));
        }
        match numbers(text) {
            Some([major, minor, patch]) => Ok(Self(major, minor, patch)),
            None => Err(format!("invalid version {text:?}")),
        }
    }

    /// Whether results of this version have a form that the runner knows.
    pub fn has_known_result(self) -> bool {
        Version::from_text(&self.to_string()).is_some()
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_libcni_reads_them() {
        let good = [
            ("", "0.1.0"),
            ("1", "1.0.0"),
            ("0.4", "0.4.0"),
            ("1.1.0", "1.1.0"),
        ];
        for (text, version) in good {
            assert_eq!(
                SpecVersion::parse(text).unwrap().to_string(),
                version,
                "{text:?}"
            );
        }
        for bad in ["x", "1.", "1.0.0.0", "1.0.0-rc1", "-1.0.0", " 1.0.0"] {
            assert_eq!(
                SpecVersion::parse(bad),
                Err(format!("invalid version {bad:?}"))
            );
        }
    }

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        assert!(SpecVersion(0, 10, 0) > SpecVersion(0, 4, 0));
        assert!(SpecVersion(1, 0, 0) < GC_AND_STATUS);
    }
}
