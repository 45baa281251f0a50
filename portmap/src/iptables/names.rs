//! The names of chains.

use common::Attachment;

/// The beginning of the names of all chains that this plugin and the reference make.
pub const CHAINS: &str = "CNI-";
/// The chain that leads to those of attachments.
pub const DNAT: &str = "CNI-HOSTPORT-DNAT";
/// The chain that marks packets for masquerading.
pub const SETMARK: &str = "CNI-HOSTPORT-SETMARK";
/// The chain that masquerades marked packets.
pub const MASQ: &str = "CNI-HOSTPORT-MASQ";
/// The chain, in mangle, that drops foreign packets from and to loopback addresses.
pub const GUARD: &str = "CNI-HOSTPORT-GUARD";
/// The beginning of attachments' chains.
pub const OWN_PREFIX: &str = "CNI-DN-";
/// The length of attachments' chains' names.
pub const OWN_LENGTH: usize = 28;

/// Whether a chain is an attachment's: only those are ever removed, whatever a comment says.
pub fn is_own_name(chain: &str) -> bool {
    chain.starts_with(OWN_PREFIX)
}

/// The chain that the reference uses for an attachment.
pub fn shared_name(attachment: &Attachment) -> String {
    attachment.shared_name(OWN_PREFIX, OWN_LENGTH)
}

/// The chain for an attachment whose usual one belongs to another.
pub fn exact_name(attachment: &Attachment) -> String {
    attachment.exact_name(OWN_PREFIX, OWN_LENGTH)
}
