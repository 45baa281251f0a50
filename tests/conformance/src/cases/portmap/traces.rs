//! What is written in the firewall of a host, in all its dialects.

use sandbox::Namespace;

use crate::failure::{Failure, Verdict, ensure};
use crate::kernel::script;

/// Every rule of both variants and both families, and all of nf_tables.
pub fn firewall(host: &Namespace) -> Result<String, Failure> {
    script(
        host,
        "for v in nft legacy; do iptables-$v-save; ip6tables-$v-save; done; nft list ruleset",
    )
}

/// Fails when one of the words is anywhere in the firewall.
pub fn none_of(host: &Namespace, words: &[&str]) -> Verdict {
    let text = firewall(host)?;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        for word in words {
            ensure(!has_word(line, word), || {
                format!("{word} is still in: {}", line.trim())
            })?;
        }
    }
    Ok(())
}

/// Fails when one of the words is nowhere in the firewall.
pub fn all_of(host: &Namespace, words: &[&str]) -> Verdict {
    let text = firewall(host)?;
    for word in words {
        ensure(text.lines().any(|line| has_word(line, word)), || {
            format!("{word} is nowhere in the firewall")
        })?;
    }
    Ok(())
}

/// Whether the word stands in the line and does not go on on either side (`8080` is not in `18080`).
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric());
        ends(before) && ends(after)
    })
}
