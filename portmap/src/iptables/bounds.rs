//! What would be too many rules.

use common::error::{Code, Error};

use crate::conditions;
use crate::config::Config;
use crate::plan::Plan;

/// The most rules that a jump to an attachment's chain becomes, by the prefixes that an IP version's ports are
/// limited to and by lists in conditions. There is a jump for every 15 ports, and packets to other ports of the
/// node pass all of these rules.
const RULES: usize = 256;

/// Refuses a plan with more.
///
/// # Errors
/// Code 7 with their number and where they come from.
pub fn accept(plan: &Plan, config: &Config) -> Result<(), Error> {
    for forwards in &plan.families {
        let family = forwards.family;
        let only = forwards.only.as_ref();
        let prefixes = only.map_or(1, |only| only.prefixes.len());
        if prefixes > RULES {
            let limits = config.limits.shown();
            let msg = format!(
                "hostAddresses and hostInterfaces ({limits}) are {prefixes} prefixes of {family}; the iptables backend accepts at most {RULES}"
            );
            let remedy = "name larger prefixes, or use \"backend\": \"nftables\", which needs one set for all of them";
            return Err(Error::new(Code::InvalidConfig, msg).with_details(remedy));
        }
        let rules = listed(config.conditions(family)).saturating_mul(prefixes);
        if rules > RULES {
            let key = conditions::key(family);
            let msg = format!(
                "{key}: iptables would need {rules} rules for every 15 ports, of {prefixes} prefixes and the lists behind -s and -d; at most {RULES} are accepted"
            );
            let remedy = "name larger prefixes, match a set (-m set --match-set NAME src), or use \"backend\": \"nftables\" with conditions of nft";
            return Err(Error::new(Code::InvalidConfig, msg).with_details(remedy));
        }
    }
    Ok(())
}

/// How many rules iptables makes of one with these words: one for each source and each destination.
fn listed(words: &[String]) -> usize {
    let mut rules: usize = 1;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = match list_of(word) {
            Some("") => words.next().map_or("", String::as_str),
            Some(joined) => joined,
            None => continue,
        };
        rules = rules.saturating_mul(value.split(',').count());
    }
    rules
}

/// What is joined to an option for addresses, in any of its spellings; `None` for other words.
fn list_of(word: &str) -> Option<&str> {
    const LONG: [&str; 4] = ["source", "src", "destination", "dst"];
    let Some(long) = word.strip_prefix("--") else {
        return word.strip_prefix("-s").or_else(|| word.strip_prefix("-d"));
    };
    let (name, value) = long.split_once('=').unwrap_or((long, ""));
    let is_short_for = |option: &&str| option.starts_with(name);
    LONG.iter().any(is_short_for).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_sources_and_of_destinations_are_multiplied() {
        for (text, rules) in [
            ("", 1),
            ("-s 10.0.0.1", 1),
            ("-s 10.0.0.1,10.0.0.2 -d 192.0.2.1,192.0.2.2,192.0.2.3", 6),
            ("-s10.0.0.1,10.0.0.2 --dst=192.0.2.1,192.0.2.2", 4),
            (
                "--source 10.0.0.1,10.0.0.2 --destination 192.0.2.1,192.0.2.2",
                4,
            ),
            ("--sr 10.0.0.1,10.0.0.2", 2),
            (
                "-m conntrack --ctstate NEW,ESTABLISHED -s 10.0.0.1,10.0.0.2",
                2,
            ),
            ("-m multiport --sports 1,2,3", 1),
        ] {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            assert_eq!(listed(&words), rules, "{text}");
        }
    }
}
