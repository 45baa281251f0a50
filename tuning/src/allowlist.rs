//! The sysctls that the administrator permits, a line each: `name` and a whole name, in any spelling,
//! or a regular expression that is matched anywhere in the name as it is written in the configuration.
//! No name has a blank, so that no expression that matches one is taken for the other.

use std::path::Path;

use common::error::{short, shortened};
use common::{Code, Context, Error};
use regex_lite::Regex;

use crate::config::{Config, Setting};
use crate::sysctl::Name;

/// Where the administrator keeps the list. Without the file, every sysctl of the network is allowed.
pub const PATH: &str = "/etc/cni/tuning/allowlist.conf";

/// The word before a whole name.
const NAME: &str = "name";

/// What a line permits.
#[derive(Debug)]
pub enum Rule {
    /// One sysctl; `IFNAME` is that word in the configuration, too.
    Name(Name),
    /// Whatever it matches.
    Expression(Regex),
}

impl Rule {
    /// Whether it permits a sysctl, by its name as written.
    pub fn permits(&self, written: &str) -> bool {
        match self {
            Rule::Name(name) => Name::parse(written, "").as_ref() == Ok(name),
            Rule::Expression(expression) => expression.is_match(written),
        }
    }
}

/// What the node's list says of a network's sysctls.
///
/// # Errors
/// Why ADD would refuse them, or that a line is not a regular expression.
pub fn outlook(config: &Config) -> Result<String, Error> {
    let text = read()?;
    for (number, line) in lines(text.as_deref().unwrap_or_default()) {
        compile(number, line)?;
    }
    permit(config)?;
    Ok(match text {
        Some(_) => format!("{PATH} permits its sysctls"),
        None => format!("every sysctl is permitted: there is no {PATH}"),
    })
}

/// Refuses sysctls that are not on the node's list.
///
/// # Errors
/// Code 104 for a sysctl that is not on it, code 5 when the file is there but cannot be read, code 7
/// when a line is not a regular expression.
pub fn permit(config: &Config) -> Result<(), Error> {
    if config.sysctls.is_empty() {
        return Ok(());
    }
    match read()? {
        Some(text) => judge(&text, &config.sysctls),
        None if config.requires_allowlist => Err(Error::new(
            Code::Forbidden,
            "no sysctl is allowed on a node without an allowlist",
        )
        .with_details(format!(
            "requireAllowlist is true, and {PATH} does not exist: create it, with one line per sysctl"
        ))),
        None => Ok(()),
    }
}

/// The file's text, or `None` when there is no file.
///
/// # Errors
/// Code 5 with what to do.
pub fn read() -> Result<Option<String>, Error> {
    let bytes = common::sys::file::read(Path::new(PATH)).map_err(|mut error| {
        error.details.push_str(
            "; no sysctl is set while the allowlist cannot be read: make it a readable file or remove it",
        );
        error
    })?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Refuses what no line of `text` matches. Lines are compiled one by one, as far as needed: the first
/// that matches decides.
fn judge(text: &str, settings: &[Setting]) -> Result<(), Error> {
    let list: Vec<(usize, &str)> = lines(text).collect();
    let mut compiled: Vec<Rule> = Vec::new();
    for Setting { written, .. } in settings {
        if compiled.iter().any(|line| line.permits(written)) {
            continue;
        }
        let mut permitted = false;
        while !permitted && let Some((number, line)) = list.get(compiled.len()) {
            let line = compile(*number, line)?;
            permitted = line.permits(written);
            compiled.push(line);
        }
        if !permitted {
            return Err(forbidden(written, &list));
        }
    }
    Ok(())
}

/// Every line that counts, with its number from 1. No sysctl's name has a `#`, so that lines which
/// begin with one can only be meant as comments.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.split('\n').map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// What one line permits.
///
/// # Errors
/// Code 7 with file and line.
pub fn compile(number: usize, line: &str) -> Result<Rule, Error> {
    let refused = |what: &str| format!("{PATH} line {number}: {:?} is not a {what}", short(line));
    match line.split_once(char::is_whitespace) {
        Some((NAME, name)) => Name::parse(name.trim(), "")
            .map(Rule::Name)
            .context(Code::InvalidConfig, || refused("name of a sysctl")),
        _ => Regex::new(line)
            .map(Rule::Expression)
            .context(Code::InvalidConfig, || refused("regular expression")),
    }
}

fn forbidden(written: &str, list: &[(usize, &str)]) -> Error {
    let allowed: Vec<&str> = list.iter().map(|(_, line)| *line).collect();
    Error::new(
        Code::Forbidden,
        format!("sysctl {written} is not allowed on this node"),
    )
    .with_details(format!(
        "{PATH} allows only [{}]",
        shortened(&allowed.join(" "), 1000)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, names: &[&str]) -> Result<(), Code> {
        let settings: Vec<Setting> = names
            .iter()
            .map(|written| Setting {
                written: (*written).to_owned(),
                name: Name::parse(written, "eth0").unwrap(),
                value: "1".to_owned(),
            })
            .collect();
        judge(text, &settings).map_err(|error| error.code)
    }

    #[test]
    fn a_line_matches_anywhere_in_the_name_as_written() {
        let key = "net.ipv4.conf.IFNAME.arp_filter";
        for text in [
            "arp_filter",
            "^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$",
            "\n\n  nothing\r\n  net.ipv4.conf.IFNAME.arp_filter  \r\n",
            ".",
        ] {
            assert_eq!(judged(text, &[key]), Ok(()), "{text:?}");
        }
        for text in ["", "# arp_filter", "^arp_filter", "eth0", "net/ipv4/conf"] {
            assert_eq!(judged(text, &[key]), Err(Code::Forbidden), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_a_whole_name_in_any_spelling() {
        let text = "# names\nname net.ipv4.conf.IFNAME.arp_filter\nname\tnet/core/somaxconn \n";
        for name in [
            "net.ipv4.conf.IFNAME.arp_filter",
            "net/ipv4/conf/IFNAME/arp_filter",
            "net.core/somaxconn",
        ] {
            assert_eq!(judged(text, &[name]), Ok(()), "{name}");
        }
        for name in [
            "net.ipv4.conf.eth0.arp_filter",
            "net.ipv4.conf.IFNAME.arp_filters",
            "net.core.somaxconn.x",
            "net.core.nameXnet",
        ] {
            assert_eq!(judged(text, &[name]), Err(Code::Forbidden), "{name}");
        }
        for line in ["name kernel.hostname", "name net.core.somaxconn net.core.x"] {
            assert_eq!(judged(line, &["net.a"]), Err(Code::InvalidConfig), "{line}");
        }
        // Without the blank it is an expression.
        assert_eq!(judged("name", &["net.core.name"]), Ok(()));
    }

    #[test]
    fn every_sysctl_needs_a_line() {
        let text = "somaxconn\nip_forward";
        let (a, b, c) = (
            "net.core.somaxconn",
            "net.ipv4.ip_forward",
            "net.core.dev_weight",
        );
        assert_eq!(judged(text, &[b, a, b]), Ok(()));
        assert_eq!(judged(text, &[a, c]), Err(Code::Forbidden));
    }

    #[test]
    fn a_line_that_is_no_expression_matters_only_when_it_is_reached() {
        let text = "somaxconn\n(";
        assert_eq!(judged(text, &["net.core.somaxconn"]), Ok(()));
        assert_eq!(
            judged(text, &["net.ipv4.ip_forward"]),
            Err(Code::InvalidConfig)
        );
    }
}
