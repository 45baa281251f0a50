//! Whose a chain is: the comment of the jump rules that lead to it says so.
//!
//! The comment is the reference's, `dnat name: "NETWORK" id: "CONTAINER"`. It does not say which
//! interface, so for any but `eth0` ours adds ` if: "IFNAME"`. A comment without it may be that of
//! `eth0`, or one that the reference wrote for any interface.
//!
//! The entries of a list have the same comment, as with the reference. All but the plain one end their chains
//! with a rule that says which one it is, and does nothing else: `-m comment --comment "entry HASH" -j RETURN`, or
//! `"entry HASH with conditions"` where its jumps have some, which need not show it: `-d` may be a limit, too.

use common::Attachment;
use xtables::meaning::Meaning;

use super::names::{exact_name, shared_name};
use crate::entry;

/// The interface whose comment is the reference's.
const USUAL_IFNAME: &str = "eth0";
/// The most bytes of a comment (XT_MAX_COMMENT_LEN in include/uapi/linux/netfilter/xt_comment.h is
/// 256 with the NUL).
const LONGEST: usize = 255;
/// The most bytes of a network's name that every mark has.
const KEPT: usize = 200;
/// What precedes the hash in the comment that says whose entry a chain is.
const ENTRY: &str = "entry ";
/// What follows where the jumps to it have conditions.
const CONDITIONAL: &str = " with conditions";

/// The owner's mark of an attachment, whatever the entry.
pub fn comment(owner: &Attachment) -> String {
    let attachment = &entry::attachment(owner);
    let plain = plain_comment(attachment);
    if attachment.ifname == USUAL_IFNAME {
        return shortened(plain);
    }
    let full = format!("{plain} if: \"{}\"", attachment.ifname);
    if full.len() <= LONGEST {
        return full;
    }
    // Cut as the reference cuts, it would lose the interface.
    let hash = attachment.exact_name("", 32);
    let kept: String = plain.chars().take(LONGEST - 4 - hash.len()).collect();
    format!("{kept}... {hash}")
}

/// The comment that the reference writes, whatever the interface.
pub fn reference_comment(attachment: &Attachment) -> String {
    shortened(plain_comment(attachment))
}

fn plain_comment(attachment: &Attachment) -> String {
    let Attachment {
        network,
        container,
        ifname: _,
    } = attachment;
    format!("dnat name: \"{network}\" id: \"{container}\"")
}

/// What is left of a long comment that the reference shortens: three dots, of which iptables cuts off
/// the last. Names hold ASCII only, so any cut is between characters.
fn shortened(text: String) -> String {
    match text.get(..LONGEST - 2) {
        Some(kept) if text.len() > LONGEST => format!("{kept}.."),
        _ => text,
    }
}

/// The rule that ends the chain of an entry but the plain one.
pub fn entry_rule(entry: &str, is_conditional: bool) -> String {
    let conditions = if is_conditional { CONDITIONAL } else { "" };
    format!("-m comment --comment \"{ENTRY}{entry}{conditions}\" -j RETURN")
}

/// The entry whose chain has such a rule.
pub fn entry_in(rules: &[String]) -> Option<String> {
    let text = named_in(rules)?;
    Some(text.strip_suffix(CONDITIONAL).unwrap_or(&text).to_owned())
}

/// Whether such a rule says that the jumps to the chain have conditions.
pub fn are_conditional(rules: &[String]) -> bool {
    named_in(rules).is_some_and(|text| text.ends_with(CONDITIONAL))
}

/// What such a rule says.
fn named_in(rules: &[String]) -> Option<String> {
    rules.iter().find_map(|rule| {
        if !rule.contains(ENTRY) {
            return None;
        }
        let meaning = Meaning::of(rule);
        let text = meaning.comment()?.strip_prefix(ENTRY)?.to_owned();
        (meaning.is_for_all() && meaning.goes_to() == "RETURN").then_some(text)
    })
}

/// What a chain is to an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Its own.
    Mine,
    /// Made for this container on this network; the interface is not recorded.
    Perhaps,
    /// Another tool's.
    Other,
    /// Nobody's: no jump rule leads to it.
    Orphan,
}

/// Whose a chain is, by the comments of the jump rules that lead to it.
pub fn claim<'a>(attachment: &Attachment, comments: impl Iterator<Item = &'a str>) -> Claim {
    let (mine, unmarked) = (comment(attachment), reference_comment(attachment));
    let mut best = Claim::Orphan;
    for text in comments {
        if text == mine {
            return Claim::Mine;
        }
        if text == unmarked {
            best = Claim::Perhaps;
        } else if best == Claim::Orphan {
            best = Claim::Other;
        }
    }
    best
}

/// The comment of a jump rule that leads to a chain of an attachment, and that chain.
pub fn jump(rule: &str) -> Option<(Jump, Meaning)> {
    // Most rules of a long chain are not worth taking apart.
    if !rule.contains("dnat name: ") {
        return None;
    }
    let meaning = Meaning::of(rule);
    let comment = meaning.comment()?.to_owned();
    let chain = meaning.goes_to().to_owned();
    comment
        .starts_with("dnat name: ")
        .then_some((Jump { comment, chain }, meaning))
}

/// One jump rule's ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The owner's mark.
    pub comment: String,
    /// Where it leads.
    pub chain: String,
}

impl Jump {
    /// Whether its owner's mark is surely of an owner's container, on whatever network.
    pub fn is_of(&self, owner: &Attachment) -> bool {
        let id = self
            .comment
            .split_once("id: \"")
            .map(|(_, rest)| rest.split_once('"'));
        match id {
            Some(Some((id, _))) => id == owner.container,
            // It is cut, and the hashes in names are not.
            _ => {
                let plain = exact_name(&entry::attachment(owner));
                [shared_name(owner), plain].contains(&self.chain)
            }
        }
    }
}

/// Whether the mark of an attachment is not another's.
pub fn is_unique(comment: &str) -> bool {
    !comment.ends_with("..")
}

/// Whether an owner's mark is too long to have the whole name of its network.
pub fn is_network_cut(comment: &str) -> bool {
    !comment.contains("\" id: \"")
}

/// Whether an owner's mark that is may be of a network, by what is left of the name.
pub fn may_be_of_network(comment: &str, network: &str) -> bool {
    let left = comment
        .strip_prefix("dnat name: \"")
        .and_then(|name| name.get(..KEPT));
    is_network_cut(comment) && left.is_some() && left == network.get(..KEPT)
}

/// Whether an owner's mark, shortened or not, is of a network.
pub fn is_of_network(comment: &str, network: &str) -> bool {
    let start = format!("dnat name: \"{network}\" id: \"");
    comment.starts_with(&start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(container: &str, ifname: &str) -> Attachment {
        Attachment {
            network: "net1".into(),
            container: container.into(),
            ifname: ifname.into(),
        }
    }

    #[test]
    fn eth0_has_the_reference_s_comment_and_others_add_their_name() {
        assert_eq!(
            comment(&attachment("c", "eth0")),
            "dnat name: \"net1\" id: \"c\""
        );
        assert_eq!(
            comment(&attachment("c", "net1")),
            "dnat name: \"net1\" id: \"c\" if: \"net1\""
        );
    }

    #[test]
    fn long_comments_fit_and_still_tell_interfaces_apart() {
        let long = "c".repeat(300);
        let all = ["eth0", "net1", "net2"].map(|ifname| comment(&attachment(&long, ifname)));
        assert!(all.iter().all(|text| text.len() <= LONGEST), "{all:?}");
        assert!(all[0].ends_with("ccc..") && all[1] != all[2]);
        assert!(all.iter().all(|text| is_of_network(text, "net1")));
    }

    #[test]
    fn all_entries_have_one_comment_and_their_chains_say_which_they_are() {
        let entry = "0123456789ab";
        let of_entry = attachment("c", &format!("net1/{entry}"));
        assert_eq!(comment(&of_entry), comment(&attachment("c", "net1")));
        let other = "-p tcp -m comment --comment \"entry x\" -j RETURN".to_owned();
        for is_conditional in [false, true] {
            let rules = [other.clone(), entry_rule(entry, is_conditional)];
            assert_eq!(entry_in(&rules).as_deref(), Some(entry));
            assert_eq!(are_conditional(&rules), is_conditional);
            assert_eq!(entry_in(&rules[..1]), None);
        }
    }

    #[test]
    fn a_container_is_known_on_every_network() {
        let of = |comment: &str| Jump {
            comment: comment.into(),
            chain: String::new(),
        };
        let ours = |text: &str| of(text).is_of(&attachment("c", "eth0"));
        assert!(
            ours(&comment(&attachment("c", "eth0"))) && ours(&comment(&attachment("c", "net1")))
        );
        assert!(!ours(&comment(&attachment("cc", "eth0"))) && !ours("dnat name: \"n\" id: \"c"));
        let long = attachment(&"c".repeat(300), "net1");
        let mut cut = of(&comment(&long));
        assert!(!cut.is_of(&long));
        cut.chain = shared_name(&long);
        assert!(cut.is_of(&long) && !cut.is_of(&attachment(&"c".repeat(301), "net1")));
    }

    #[test]
    fn claims_follow_the_comments() {
        let (eth0, net1) = (attachment("c", "eth0"), attachment("c", "net1"));
        let (a, b) = (comment(&eth0), comment(&net1));
        let of = |who: &Attachment, list: &[&str]| claim(who, list.iter().copied());
        assert_eq!(of(&eth0, &[]), Claim::Orphan);
        assert_eq!(of(&eth0, &[&a]), Claim::Mine);
        assert_eq!(of(&eth0, &[&b]), Claim::Other);
        assert_eq!(of(&net1, &[&a]), Claim::Perhaps);
        assert_eq!(of(&net1, &["x", &b]), Claim::Mine);
    }
}
