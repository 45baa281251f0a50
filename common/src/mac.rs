//! Hardware addresses of Ethernet: 6 bytes.

use std::fmt;

/// A hardware address. Prints in the kernel's spelling, `02:00:00:00:00:0a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// That of the loopback interface, which the kernel lets nobody set.
    pub const ZERO: Mac = Mac([0; 6]);

    /// Reads the spellings that Go's `net.ParseMAC` takes for 6 bytes: `02:00:5e:10:00:0A`,
    /// `02-00-5e-10-00-0a` and `0200.5e10.000a`. Longer hardware addresses are refused: no interface
    /// that this serves has one, and the kernel would use their first 6 bytes.
    pub fn from_text(text: &str) -> Option<Mac> {
        let (separator, group) = match text {
            _ if text.contains(':') => (':', 2),
            _ if text.contains('-') => ('-', 2),
            _ => ('.', 4),
        };
        let groups: Vec<&str> = text.split(separator).collect();
        let well_formed = |g: &&str| g.len() == group && g.bytes().all(|b| b.is_ascii_hexdigit());
        if groups.len() * group != 12 || !groups.iter().all(well_formed) {
            return None;
        }
        let number = u64::from_str_radix(&groups.concat(), 16).ok()?;
        let [_, _, bytes @ ..] = number.to_be_bytes();
        Some(Mac(bytes))
    }

    /// From the kernel's bytes; `None` unless they are 6.
    pub fn from_bytes(bytes: &[u8]) -> Option<Mac> {
        bytes.try_into().ok().map(Mac)
    }

    /// The 6 bytes.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_the_same_address() {
        for text in ["02:AA:00:00:00:05", "02-aa-00-00-00-05", "02aa.0000.0005"] {
            assert_eq!(
                Mac::from_text(text).unwrap().to_string(),
                "02:aa:00:00:00:05",
                "{text}"
            );
        }
    }

    #[test]
    fn anything_but_six_bytes_is_refused() {
        for text in [
            "",
            "02:aa:00:00:00",
            "02:aa:00:00:00:05:06:07",
            "2:aa:0:0:0:5",
            "02:aa:00:00:00:0g",
            "02aa00000005",
            "02:aa-00:00:00:05",
            "+2:aa:00:00:00:05",
            " 02:aa:00:00:00:05",
        ] {
            assert_eq!(Mac::from_text(text), None, "{text:?}");
        }
    }
}
