//! Drift by edited text: what a save tool prints, changed and loaded again.

use std::fs;

use crate::failure::{Failure, Verdict, ensure};
use crate::kernel::script;
use crate::lab::Pods;

/// A change to a text of one rule a line. A line is meant by words that all stand in it.
#[derive(Debug, Clone, Copy)]
pub enum Edit {
    /// Without these lines.
    Drop(&'static [&'static str]),
    /// With one text replaced by another in these lines.
    Swap(&'static [&'static str], &'static str, &'static str),
    /// With a line put before the first of these.
    Before(&'static [&'static str], &'static str),
    /// With the first line of the former kind moved before the first of the latter.
    Move(&'static [&'static str], &'static [&'static str]),
}

impl Edit {
    /// Applies the change; `@` in a pattern or text stands for `own`. Fails when nothing changes.
    pub fn apply(&self, text: &str, own: &str) -> Result<String, Failure> {
        let meant = |line: &str, words: &[&str]| {
            words
                .iter()
                .all(|word| line.contains(&word.replace('@', own)))
        };
        let lines: Vec<&str> = text.lines().collect();
        let new: Vec<String> = match self {
            Self::Drop(words) => lines
                .iter()
                .filter(|line| !meant(line, words))
                .map(ToString::to_string)
                .collect(),
            Self::Swap(words, from, to) => lines
                .iter()
                .map(|line| {
                    if meant(line, words) {
                        line.replace(&from.replace('@', own), &to.replace('@', own))
                    } else {
                        (*line).to_owned()
                    }
                })
                .collect(),
            Self::Before(words, line) => {
                insert(&lines, |other| meant(other, words), &line.replace('@', own))
            }
            Self::Move(words, before) => {
                let Some(at) = lines.iter().position(|line| meant(line, words)) else {
                    return Err(Failure(format!("no line with {words:?} in {text}")));
                };
                let mut rest = lines.clone();
                let line = rest.remove(at);
                insert(&rest, |other| meant(other, before), line)
            }
        };
        let new = new.join("\n") + "\n";
        ensure(new.trim() != text.trim(), || {
            format!("{self:?} changes nothing in {text}")
        })?;
        Ok(new)
    }
}

fn insert(lines: &[&str], is_place: impl Fn(&str) -> bool, line: &str) -> Vec<String> {
    let at = lines
        .iter()
        .position(|other| is_place(other))
        .unwrap_or(lines.len());
    let mut new: Vec<_> = lines.iter().map(ToString::to_string).collect();
    new.insert(at, line.to_owned());
    new
}

/// The nat table of a family (`iptables`, `ip6tables`), in the variant under test.
pub fn save(pods: &Pods, tool: &str) -> Result<String, Failure> {
    let variant = pods.lab.group.variant();
    script(&pods.net.host, &format!("{tool}-{variant}-save -t nat"))
}

/// Puts a saved table in place of what is there.
pub fn restore(pods: &Pods, tool: &str, text: &str) -> Verdict {
    let variant = pods.lab.group.variant();
    let file = pods.lab.dir().join("rules");
    fs::write(&file, text)?;
    let lock = pods.lab.dir().join("xtables.lock").display().to_string();
    script(
        &pods.net.host,
        &format!(
            "XTABLES_LOCKFILE={lock} {tool}-{variant}-restore -w < {}",
            file.display()
        ),
    )?;
    Ok(())
}

/// The whole of nf_tables.
pub fn save_nft(pods: &Pods) -> Result<String, Failure> {
    script(&pods.net.host, "nft -s list ruleset")
}

/// Puts a ruleset in place of what is there, at once.
pub fn restore_nft(pods: &Pods, text: &str) -> Verdict {
    let file = pods.lab.dir().join("ruleset");
    fs::write(&file, format!("flush ruleset\n{text}"))?;
    script(&pods.net.host, &format!("nft -f {}", file.display()))?;
    Ok(())
}
