//! What a rule means, so that two spellings of it can be compared: iptables prints rules in another form than
//! they were given in, and its two variants and its releases do not print alike.
//!
//! A rule becomes a set of parts: each basic match (`-s`, `-p`, …), each extension with its options,
//! and the target with its options. The order of parts does not matter, that of words in a part does.

use std::net::{IpAddr, SocketAddr};

use common::result::Prefix;

use crate::words;

/// What leads packets on by a map, in the words of a rule: iptables has none for it. Two question marks tell this and
/// the following ones from `?` and the name of a match or an expression, such as that of ipset's match, `set`.
pub const VERDICT_MAP: &str = "??vmap";
/// What changes the mark to what iptables has no words for.
pub(crate) const SETS_MARK: &str = "??mark";
/// What writes to the log.
pub(crate) const LOGS: &str = "??log";

/// Options of extensions whose value may be any text, such as `-j`: iptables prints most of them without quotes.
const TEXTS: [&str; 10] = [
    "--comment",
    "--genre",
    "--helper",
    "--hex-string",
    "--log-prefix",
    "--match-set",
    "--name",
    "--nflog-prefix",
    "--path",
    "--string",
];

/// A rule's parts, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Meaning {
    /// Each match: its name, then its options.
    pub matches: Vec<Vec<String>>,
    /// The target: its name, then its options; empty without one.
    pub target: Vec<String>,
    comment: Option<String>,
    ports: Option<String>,
}

impl Meaning {
    /// The meaning of a rule without its `-A CHAIN`.
    pub fn of(rule: &str) -> Meaning {
        let mut reader = Reader::default();
        for word in words::split(rule) {
            reader.take(word);
        }
        reader.finish()
    }

    /// The chain or target that packets go to.
    pub fn goes_to(&self) -> &str {
        self.target.first().map_or("", String::as_str)
    }

    /// Whether packets go on to a chain whose name begins so, to come back or not.
    pub fn leads_to_prefix(&self, prefix: &str) -> bool {
        self.target
            .iter()
            .take(2)
            .any(|name| name.starts_with(prefix))
    }

    /// Whether every packet matches.
    pub fn is_for_all(&self) -> bool {
        self.matches.iter().all(|part| tests_nothing(part))
    }

    /// The meaning without what is not understood, such as `-m ?lookup`; `None` where all is.
    pub fn without_unknown(&self) -> Option<Meaning> {
        let is_unknown = |part: &[String]| {
            let name = part.first();
            name.is_some_and(|name| name.starts_with('?')) && !tests_nothing(part)
        };
        let mut known = self.clone();
        known.matches.retain(|part| !is_unknown(part));
        (known.matches.len() < self.matches.len()).then_some(known)
    }

    /// Value and mask of `-j MARK --set-xmark VALUE/MASK`.
    pub fn mark(&self) -> Option<(u32, u32)> {
        let [target, option, text] = self.target.as_slice() else {
            return None;
        };
        if target != "MARK" || option != "--set-xmark" {
            return None;
        }
        let (value, mask) = text.split_once('/')?;
        let number = |text: &str| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        Some((number(value)?, number(mask)?))
    }

    /// The options of the first match of a name (`-p`, `multiport`, …).
    pub fn find(&self, name: &str) -> Option<&[String]> {
        let found = self
            .matches
            .iter()
            .find(|part| part.first().is_some_and(|n| n == name))?;
        found.get(1..)
    }

    /// Whether the rule tests all that another does, and leads where that one leads.
    pub fn contains(&self, other: &Meaning) -> bool {
        let Meaning {
            matches,
            target,
            comment,
            ports: _,
        } = other;
        let is_here = |part| self.matches.contains(part);
        (&self.target, &self.comment) == (target, comment) && matches.iter().all(is_here)
    }

    /// The first comment, if there is one. That of a jump's owner comes before everything that
    /// conditions bring.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The first list of destination ports of a `multiport` match, likewise.
    pub fn ports(&self) -> Option<&str> {
        self.ports.as_deref()
    }
}

/// Whether a match lets every packet through: a comment, or what only does something.
pub fn tests_nothing(part: &[String]) -> bool {
    let name = part.first().map_or("", String::as_str);
    matches!(name, "comment" | LOGS | SETS_MARK)
}

/// Whether a match is a change of the mark that iptables has no words for.
pub fn sets_mark(part: &[String]) -> bool {
    part.first().is_some_and(|name| name == SETS_MARK)
}

/// Whether two rules mean the same.
pub fn same(a: &str, b: &str) -> bool {
    a == b || Meaning::of(a) == Meaning::of(b)
}

#[derive(Default)]
struct Reader {
    matches: Vec<Vec<String>>,
    target: Vec<String>,
    in_target: bool,
    negated: bool,
    /// The next word belongs to this basic match.
    basic: Option<&'static str>,
    /// The next word names an extension (`-m`) or a target (`-j`).
    naming: Option<Naming>,
    /// The next word is the value of an option, whatever it looks like.
    is_text: bool,
}

enum Naming {
    Match,
    Target,
}

impl Reader {
    fn take(&mut self, word: String) {
        if let Some(naming) = self.naming.take() {
            return self.name(naming, word);
        }
        if let Some(name) = self.basic.take() {
            return self.finish_basic(name, &word);
        }
        if std::mem::take(&mut self.is_text) {
            return self.option(word);
        }
        self.is_text = TEXTS.contains(&word.as_str());
        match word.as_str() {
            "!" => self.negated = true,
            "-f" | "--fragment" => {
                let sign = if std::mem::take(&mut self.negated) {
                    "!"
                } else {
                    ""
                };
                self.matches.push(vec!["-f".into(), sign.into()]);
            }
            "-m" | "--match" => self.naming = Some(Naming::Match),
            "-j" | "--jump" => self.naming = Some(Naming::Target),
            "-g" | "--goto" => {
                self.naming = Some(Naming::Target);
                self.target.push("goto".into());
            }
            other => match basic(other) {
                Some(name) => self.basic = Some(name),
                None => self.option(word),
            },
        }
    }

    fn name(&mut self, naming: Naming, word: String) {
        match naming {
            Naming::Match => {
                self.in_target = false;
                self.matches.push(vec![word]);
            }
            Naming::Target => {
                self.in_target = true;
                self.target.push(word);
            }
        }
    }

    fn finish_basic(&mut self, name: &'static str, word: &str) {
        let value = basic_value(name, word);
        let negated = std::mem::take(&mut self.negated);
        // iptables does not print what every packet fulfils.
        let all = !negated && matches!(value.as_str(), "0.0.0.0/0" | "::/0" | "all");
        if !all {
            let sign = if negated { "!" } else { "" };
            self.matches
                .push(vec![name.into(), format!("{sign}{value}")]);
        }
    }

    fn option(&mut self, word: String) {
        let sign = std::mem::take(&mut self.negated).then(|| "!".to_owned());
        let word = option_name(word);
        let part = match self.matches.last_mut() {
            _ if self.in_target => &mut self.target,
            Some(part) => part,
            None => &mut self.target,
        };
        part.extend(sign);
        let word = match part.last().map(String::as_str) {
            Some("--to-destination") => address_and_port(&word),
            _ => word,
        };
        part.push(word);
    }

    fn finish(mut self) -> Meaning {
        // `-m tcp` without options says what `-p tcp` says already.
        self.matches.retain(|part| {
            !(part.len() == 1
                && matches!(
                    part.first().map(String::as_str),
                    Some("tcp" | "udp" | "sctp")
                ))
        });
        let first = |wanted: [&str; 2]| {
            self.matches.iter().find_map(|part| match part.as_slice() {
                [name, option, text] if [name, option] == wanted => Some(text.clone()),
                _ => None,
            })
        };
        let comment = first(["comment", "--comment"]);
        let ports = first(["multiport", "--dports"]);
        self.matches.sort();
        normalise_mark(&mut self.target);
        Meaning {
            comment,
            ports,
            matches: self.matches,
            target: self.target,
        }
    }
}

fn basic(word: &str) -> Option<&'static str> {
    Some(match word {
        "-s" | "--source" | "--src" => "-s",
        "-d" | "--destination" | "--dst" => "-d",
        "-p" | "--protocol" | "--proto" => "-p",
        "-i" | "--in-interface" => "-i",
        "-o" | "--out-interface" => "-o",
        _ => return None,
    })
}

fn basic_value(name: &str, word: &str) -> String {
    match name {
        "-s" | "-d" => network(word),
        "-p" => common::Protocol::from_text(word)
            .map_or_else(|| word.to_ascii_lowercase(), |p| p.name().to_owned()),
        _ => word.to_owned(),
    }
}

/// An address or network as `NETWORK/LENGTH`, host bits cleared.
fn network(word: &str) -> String {
    let prefix = Prefix::from_text(word).or_else(|| {
        let addr: IpAddr = word.parse().ok()?;
        Some(Prefix {
            addr,
            len: if addr.is_ipv4() { 32 } else { 128 },
        })
    });
    prefix.map_or_else(|| word.to_owned(), |prefix| prefix.network().to_string())
}

fn option_name(word: String) -> String {
    match word.as_str() {
        "--destination-ports" => "--dports".into(),
        "--destination-port" => "--dport".into(),
        "--source-ports" => "--sports".into(),
        "--source-port" => "--sport".into(),
        _ => word,
    }
}

/// An address, with a port or without.
fn address_and_port(word: &str) -> String {
    let with_port = word.parse::<SocketAddr>().map(|addr| addr.to_string());
    let alone = || word.parse::<IpAddr>().map(|addr| addr.to_string());
    with_port
        .or_else(|_| alone())
        .unwrap_or_else(|_| word.to_owned())
}

/// `--or-mark X` is `--set-xmark X/X`, and numbers have many spellings.
fn normalise_mark(target: &mut [String]) {
    if let [name, option, value] = target
        && name == "MARK"
    {
        if option == "--or-mark" {
            *option = "--set-xmark".into();
            *value = format!("{value}/{value}");
        }
        let numbers: Option<Vec<String>> = value
            .split('/')
            .map(|text| match text.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            })
            .map(|number| number.map(|n| format!("{n:#x}")))
            .collect();
        if let Some(numbers) = numbers {
            *value = numbers.join("/");
        }
    }
}

#[cfg(test)]
mod tests;
