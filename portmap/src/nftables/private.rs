//! The chain of an attachment with conditions, which has its forwards as rules instead of elements.
//!
//! One rule in the chain `conditions` tests the conditions and jumps there. That rule alone is in
//! nft's own language, so nft compiles it: [`super::conditions`].

use std::net::SocketAddr;

use common::family::bytes;
use common::result::Prefix;
use common::{Attachment, Family};
use nft::expr::{Expr, FIRST, Register};
use nft::object::{Counters, Rule};
use nft::parts::{equal, network, set_mark};
use nft::uapi;

use super::scope::names;
use super::set::{MARK, Purpose};
use super::wanted;
use crate::host_port::HostPort;
use crate::options::Masquerade;
use crate::plan::Forwards;

/// What every such chain's name begins with.
pub const PREFIX: &str = "attachment-";
/// Characters of the name.
const LENGTH: usize = 35;

/// The chain's name.
pub fn chain(attachment: &Attachment) -> String {
    attachment.exact_name(PREFIX, LENGTH)
}

/// The chain's rules: for each port, first the marks for what is masqueraded, then the translation.
pub fn rules(forwards: &Forwards, masquerade: Masquerade) -> Vec<Rule> {
    let mut rules = Vec::new();
    for forward in &forwards.ports {
        let port = wanted::limited(forwards, forward.port);
        let purposes = wanted::masqueraded(forwards.family, forwards.container, masquerade);
        for purpose in purposes {
            let mut exprs = source(forwards.family, forwards.container, purpose);
            exprs.extend(matches(forwards.family, port));
            exprs.extend(set_mark(MARK));
            rules.push(Rule::new(exprs));
        }
        let mut exprs = matches(forwards.family, port);
        exprs.push(Expr::Counter(Counters::default()));
        exprs.extend(translate(forwards.family, forward.to));
        rules.push(Rule::new(exprs));
    }
    rules
}

/// Matches the packets of a port: host address, protocol, port.
fn matches(family: Family, port: HostPort) -> Vec<Expr> {
    let mut exprs = Vec::new();
    if let Some(address) = port.address {
        let offset = family.destination_offset();
        exprs.extend(network(offset, &bytes(address), family.bits(), family));
    }
    exprs.extend(
        port.within
            .into_iter()
            .flat_map(|scope| names::test(family, scope)),
    );
    exprs.push(Expr::Meta {
        key: uapi::META_L4PROTO,
        into: FIRST,
    });
    exprs.push(equal([port.protocol.number()]));
    exprs.push(Expr::Payload {
        base: uapi::PAYLOAD_TRANSPORT_HEADER,
        offset: 2,
        len: 2,
        into: FIRST,
    });
    exprs.push(equal(port.number.to_be_bytes()));
    exprs
}

/// Matches the sources that are masqueraded.
fn source(family: Family, container: Prefix, purpose: Purpose) -> Vec<Expr> {
    let offset = family.source_offset();
    match purpose {
        Purpose::Hairpin(prefix) => network(offset, &bytes(container.addr), prefix, family),
        Purpose::Localhost => network(offset, &[127, 0, 0, 1], family.bits(), family),
        Purpose::MasqAll | Purpose::Dnat | Purpose::Shadowed | Purpose::Attachment => vec![],
    }
}

fn translate(family: Family, to: SocketAddr) -> [Expr; 3] {
    // The second of the registers of 16 bytes, as nft takes it.
    let port = Register(4);
    [
        Expr::Load {
            value: bytes(to.ip()),
            into: FIRST,
        },
        Expr::Load {
            value: to.port().to_be_bytes().to_vec(),
            into: port,
        },
        Expr::Dnat {
            family: family.nf_number(),
            address: FIRST,
            port: Some(port),
        },
    ]
}
