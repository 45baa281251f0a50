//! Messages and attributes as bytes.

use netlink_packet_core::{NlaBuffer, NlasIterator};
use nix::errno::Errno;
use nix::libc;

use super::Refusal;

/// Bytes of a message's header (`struct nlmsghdr`).
pub const HEADER: usize = 16;

/// The kernel's words in a refusal (enum nlmsgerr_attrs).
const NLMSGERR_ATTR_MSG: u16 = 1;

/// One message from the kernel: its type and what follows the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `nlmsg_type`
    pub kind: u16,
    /// `nlmsg_seq`
    pub sequence: u32,
    /// Everything after the header.
    pub body: Vec<u8>,
}

/// One message in bytes, padded to 4.
pub fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = HEADER + body.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// The messages of one datagram with their flags, and what is left where no message begins.
pub fn split(mut bytes: &[u8]) -> (Vec<(Message, u16)>, &[u8]) {
    let mut messages = Vec::new();
    while let Some(header) = bytes.get(..HEADER) {
        let length = u32_at(header, 0).unwrap_or(0) as usize;
        let Some(body) = bytes.get(HEADER..length) else {
            break;
        };
        messages.push((
            Message {
                kind: u16_at(header, 4).unwrap_or(0),
                sequence: u32_at(header, 8).unwrap_or(0),
                body: body.to_vec(),
            },
            u16_at(header, 6).unwrap_or(0),
        ));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    (messages, bytes)
}

/// The outcome in an `NLMSG_ERROR` or `NLMSG_DONE`: a number, 0 for success, and for errors the
/// kernel's words. A `NLMSG_DONE` of older kernels may be empty.
///
/// # Errors
/// When the number is an error's.
pub fn verdict(body: &[u8], flags: u16) -> Result<(), Refusal> {
    match u32_at(body, 0).map_or(0, u32::cast_signed) {
        0 => Ok(()),
        number => Err(Refusal {
            errno: Errno::from_raw(number.saturating_neg()),
            text: explanation(body, flags).unwrap_or_default(),
            is_answer: true,
        }),
    }
}

/// The kernel's words: after the number comes the request's header (its body only without
/// `NLM_F_CAPPED`), then attributes.
fn explanation(body: &[u8], flags: u16) -> Option<String> {
    if flags & libc::NLM_F_ACK_TLVS as u16 == 0 {
        return None;
    }
    let echoed = match flags & libc::NLM_F_CAPPED as u16 {
        0 => u32_at(body, 4)? as usize,
        _ => HEADER,
    };
    let attributes = body.get(4 + echoed.next_multiple_of(4)..)?;
    attribute(attributes, NLMSGERR_ATTR_MSG).map(|text| {
        String::from_utf8_lossy(text)
            .trim_end_matches('\0')
            .to_owned()
    })
}

/// The value of the first attribute of a kind.
pub fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    each_attribute(attributes)
        .find(|(k, _)| *k == kind)
        .map(|(_, value)| value)
}

/// Every attribute's kind (without flags) and value. A malformed rest ends the iteration.
pub fn each_attribute(attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(attributes)
        .map_while(Result::ok)
        .map(|nla: NlaBuffer<&[u8]>| {
            let length = 4 + nla.value_length();
            (nla.kind(), nla.into_inner().get(4..length).unwrap_or(&[]))
        })
}

/// Two bytes at an offset, in the machine's order.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// Four bytes at an offset, in the machine's order.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// Eight bytes at an offset, in the machine's order.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// A text attribute without its closing NUL.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or(&[])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_a_datagram_and_a_broken_rest_is_left() {
        let mut bytes = message(16, 2, 7, b"abcde");
        bytes.extend(message(20, 0, 7, b""));
        bytes.extend([200, 0, 0, 0, 1]);
        let (messages, rest) = split(&bytes);
        assert_eq!((messages.len(), rest.len()), (2, 5));
        assert_eq!(messages[0].0.body, b"abcde");
        assert_eq!((messages[0].1, messages[1].0.kind), (2, 20));
    }

    #[test]
    fn lengths_that_lie_end_the_list() {
        for length in [0u32, 3, 15, 17, u32::MAX] {
            let mut bytes = message(1, 0, 1, b"");
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(split(&bytes), (vec![], &bytes[..]), "{length}");
        }
    }
}
