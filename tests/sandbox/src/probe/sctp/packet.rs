//! The few SCTP packets the probe needs, as bytes (RFC 9260, sections 3.1 to 3.3).

/// A packet of one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) source: u16,
    pub(super) destination: u16,
    /// The verification tag: the initiate tag of the receiver, 0 in INIT.
    pub(super) tag: u32,
    pub(super) body: Body,
}

/// Its chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// Asks for an association.
    Init { tag: u32 },
    /// Agrees; the cookie is opaque to the receiver.
    InitAck { tag: u32, cookie: Vec<u8> },
    /// Refuses.
    Abort,
}

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;

/// Parameter type of the state cookie (section 3.3.3.1).
const STATE_COOKIE: u16 = 7;

/// Length of the common header.
const HEADER: usize = 12;

/// Length of the fixed part of an INIT or INIT ACK chunk, with the chunk header.
const FIXED: usize = 20;

impl Packet {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.body.to_bytes());
        let checksum = crc32c(&bytes).to_le_bytes();
        bytes.splice(8..HEADER, checksum);
        bytes
    }

    /// Nothing when the checksum is wrong or the first chunk is none of ours.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut blank = bytes.to_vec();
        blank.get_mut(8..HEADER)?.fill(0);
        if bytes.get(8..HEADER)? != crc32c(&blank).to_le_bytes() {
            return None;
        }
        Some(Self {
            source: u16_at(bytes, 0)?,
            destination: u16_at(bytes, 2)?,
            tag: u32_at(bytes, 4)?,
            body: Body::parse(bytes.get(HEADER..)?)?,
        })
    }
}

impl Body {
    fn to_bytes(&self) -> Vec<u8> {
        let (kind, tag, cookie) = match self {
            Self::Init { tag } => (INIT, *tag, None),
            Self::InitAck { tag, cookie } => (INIT_ACK, *tag, Some(cookie)),
            Self::Abort => return vec![ABORT, 0, 0, 4],
        };
        let mut rest = Vec::new();
        rest.extend(tag.to_be_bytes());
        rest.extend(65_536_u32.to_be_bytes()); // advertised receiver window, bytes
        rest.extend([0, 1, 0, 1]); // one stream out, one in
        rest.extend(1_u32.to_be_bytes()); // initial TSN
        if let Some(cookie) = cookie {
            rest.extend(STATE_COOKIE.to_be_bytes());
            rest.extend(length(4 + cookie.len()));
            rest.extend(cookie);
        }
        let mut bytes = vec![kind, 0];
        bytes.extend(length(4 + rest.len()));
        bytes.extend(rest);
        // The length does not count the padding to a multiple of four (section 3.2).
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        match *bytes.first()? {
            INIT => Some(Self::Init {
                tag: u32_at(bytes, 4)?,
            }),
            INIT_ACK => {
                let parameter = bytes.get(FIXED..)?;
                let end = usize::from(u16_at(parameter, 2)?);
                let cookie = parameter
                    .get(4..end)
                    .filter(|_| u16_at(parameter, 0) == Some(STATE_COOKIE));
                Some(Self::InitAck {
                    tag: u32_at(bytes, 4)?,
                    cookie: cookie?.to_vec(),
                })
            }
            ABORT => Some(Self::Abort),
            _ => None,
        }
    }
}

/// What follows the IPv4 header, whose length in words stands in the first byte (RFC 791).
pub(super) fn without_ipv4_header(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(usize::from(bytes.first()? & 0x0f) * 4..)
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// CRC-32C (Castagnoli), reflected, as RFC 9260 appendix A defines it; bit by bit, the packets are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0x82f6_3b78
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of CRC-32C, and a vector of RFC 3720 appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn packets_survive_the_way_to_bytes_and_back() {
        let cookie = b"odd".to_vec();
        for body in [
            Body::Init { tag: 7 },
            Body::InitAck { tag: 8, cookie },
            Body::Abort,
        ] {
            let packet = Packet {
                source: 1,
                destination: 65535,
                tag: 9,
                body,
            };
            let bytes = packet.to_bytes();
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(Packet::parse(&bytes), Some(packet));
        }
    }

    #[test]
    fn damaged_and_short_packets_are_refused() {
        let bytes = Packet {
            source: 1,
            destination: 2,
            tag: 3,
            body: Body::Init { tag: 4 },
        }
        .to_bytes();
        let mut damaged = bytes.clone();
        damaged[0] ^= 1;
        assert_eq!(Packet::parse(&damaged), None);
        for end in 0..bytes.len() {
            assert_eq!(Packet::parse(&bytes[..end]), None);
        }
    }
}
