//! An attachment's conditions, compiled by `nft` because the words are its.
//!
//! It writes them where nothing can come of it: in a network namespace made for that, which ends with
//! the thread that made it. What nft made there is read back over netlink and judged expression by
//! expression; only then it goes into our table, in the batch with all the rest.

use std::path::Path;

use common::Family;
use common::error::{Code, Context, Error};
use common::sys::netns;
use nft::compiled::{self, Compiled};
use nft::socket::Nft;

use super::layout::{CONDITIONS, TABLE};
use super::{shared, unreadable};
use crate::address::interface_index;
use crate::program;

/// The chain that the compiled rule leads to.
const TARGET: &str = "attachment";
/// The most bytes of a configuration's words or of nft's answer in an error.
const QUOTED: usize = 300;

/// Compiles conditions: tests of packets, and nothing but tests.
///
/// # Errors
/// Code 7 when they are something else, 103 without nft, 100 when the kernel gives no namespace.
pub fn compile(family: Family, words: &[String]) -> Result<Compiled, Error> {
    let key = match family {
        Family::V4 => "conditionsV4",
        Family::V6 => "conditionsV6",
    };
    let refused = |error: Error| match error.code {
        Code::InvalidConfig => Error {
            msg: format!("{key} {:?}: {}", quoted(&words.join(" ")), error.msg),
            ..error
        },
        _ => error,
    };
    validate(words).map_err(refused)?;
    let nft = program::find("nft")?.ok_or_else(|| {
        let msg = "conditions of the nftables backend need nft";
        Error::new(Code::Unsupported, msg)
            .with_details("there is none in the directories of PATH, /usr/sbin or /sbin")
    })?;
    // A name means an interface of this namespace, so its number goes to the other one.
    let script = script(family, &numbered(words, interface_index)?);
    let compiled = netns::in_a_new_one(|| compiled_by(&nft, family, &script));
    compiled.map_err(refused)
}

fn compiled_by(program: &Path, family: Family, script: &str) -> Result<Compiled, Error> {
    let output = program::run(program, &["-f", "-"], script)
        .context(Code::System, || format!("run {}", program.display()))?;
    if output.status.code().is_none() {
        let error = Error::new(Code::System, format!("run {}", program.display()));
        return Err(error.with_details(program::ended(output.status)));
    }
    if !output.status.success() {
        let error = Error::new(Code::InvalidConfig, "nft refuses them");
        return Err(error.with_details(quoted(output.said.trim())));
    }
    let mut nft = Nft::open()?;
    let rules = compiled::rules(&mut nft, shared::place(family), CONDITIONS);
    let rules = rules.map_err(|refusal| unreadable(family, refusal))?;
    compiled::only_test(rules, TARGET)
}

/// The input of nft: the rule is the last line, and ends it. Both hooks lead to it, as in our
/// table, because the kernel does not take every test at every hook.
fn script(family: Family, words: &str) -> String {
    let table = format!("{} {TABLE}", family.nft_name());
    let hooks = ["prerouting", "output"].map(|hook| {
        format!(
            "add chain {table} {hook} {{ type nat hook {hook} priority -100; }}\n\
             add rule {table} {hook} jump {CONDITIONS}\n"
        )
    });
    format!(
        "add table {table}\n\
         add chain {table} {TARGET}\n\
         add chain {table} {CONDITIONS}\n\
         {}\
         add rule {table} {CONDITIONS} {words} jump {TARGET}\n",
        hooks.concat()
    )
}

/// The beginning of a text that may be long.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Refuses what could end the rule or its line, or name another file or variable. In quotation marks, as
/// around an interface's name, is what nft reads as it is.
fn validate(words: &[String]) -> Result<(), Error> {
    let line = words.join(" ");
    let refuse = |why: String| Err(Error::new(Code::InvalidConfig, why));
    let plain = |c: char| c.is_ascii_alphanumeric() || " _.:/,!=<>@&|^*+-{}()%".contains(c);
    let named = |c: char| c == ' ' || c.is_ascii_graphic() && c != '\\';
    let (mut depth, mut is_quoted) = (0i32, false);
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            c if is_quoted && named(c) => {}
            '{' => depth += 1,
            '}' => depth -= 1,
            c if !is_quoted && plain(c) => {}
            bad => return refuse(format!("contains {bad:?}, which no test of nft needs")),
        }
        if depth < 0 {
            return refuse("closes a brace that none opens".to_owned());
        }
    }
    match (depth, is_quoted) {
        (0, false) => Ok(()),
        (_, false) => refuse("leaves a brace open".to_owned()),
        (_, true) => refuse("leaves a quotation mark open".to_owned()),
    }
}

/// The words in one line, with the numbers of interfaces behind `iif` and `oif` in place of names.
fn numbered(
    words: &[String],
    index: impl Fn(&str) -> Result<Option<u32>, Error>,
) -> Result<String, Error> {
    let text = words.join(" ");
    let mut line = Vec::new();
    let (mut is_interface, mut is_list) = (false, false);
    for word in text.split_whitespace() {
        let name = word.trim_matches(|c| "{},\"".contains(c));
        let number = match is_interface && !name.is_empty() {
            true => index(name)?,
            false => None,
        };
        line.push(match number {
            Some(number) => word.replace(name, &number.to_string()).replace('"', ""),
            None => word.to_owned(),
        });
        is_list = (is_list || word.contains('{')) && !word.contains('}');
        let goes_on = is_list || matches!(name, "" | "==" | "!=");
        is_interface = matches!(name, "iif" | "oif") || (is_interface && goes_on);
    }
    Ok(line.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_program_that_is_killed_has_refused_nothing() {
        let of = |script| compiled_by(Path::new("/bin/sh"), Family::V4, script).unwrap_err();
        let killed = of("kill -9 $$");
        assert_eq!(killed.code, Code::System, "{killed}");
        assert!(
            killed.to_string().contains("killed by signal 9"),
            "{killed}"
        );
        assert_eq!(of("exit 1").code, Code::InvalidConfig);
    }

    #[test]
    fn words_of_one_rule_are_taken() {
        for text in [
            "ip saddr 1.2.3.0/24",
            "ip6 saddr != 2001:db8::/32",
            "iifname \"eth0\"",
            "iifname != eth*",
            "ip saddr { 1.2.3.4, 1.2.3.5-1.2.3.9 }",
            "meta mark & 0xff == 0x1",
            "ct state established,related",
            "iifname { \"eth0\", \"br#1*\" }",
            "meta hour \"08:00\"-\"17:00\"",
            "meta time > \"2020-01-01 00:00:00\"",
        ] {
            assert_eq!(validate(&words(text)), Ok(()), "{text}");
        }
        assert!(validate(&["ip saddr 1.2.3.4".to_owned()]).is_ok());
    }

    #[test]
    fn words_that_could_become_another_rule_are_refused() {
        for text in [
            "accept ; add table ip pwned",
            "ip saddr 1.2.3.4\nadd table ip pwned",
            "ip saddr 1.2.3.4 # ",
            "ip saddr 1.2.3.4 \\",
            "}",
            "ip saddr { 1.2.3.4",
            "} {",
            "iifname \"a\"b\"",
            "iifname \"a",
            "iifname \"a\nb\"",
            "iifname \"a\" ; \"b\"",
            "iifname \"\\\"",
            "$x",
        ] {
            let error = validate(&words(text)).unwrap_err();
            assert_eq!(error.code, Code::InvalidConfig, "{text}");
        }
    }

    #[test]
    fn interfaces_are_numbered_behind_iif_and_oif_alone() {
        let index = |name: &str| Ok(matches!(name, "eth0" | "tcp").then_some(7));
        let line = |text: &str| numbered(&words(text), index).unwrap();
        for (text, expected) in [
            ("iif eth0 tcp dport 1", "iif 7 tcp dport 1"),
            ("iif != \"eth0\" ip", "iif != 7 ip"),
            ("meta oif { eth0, eth0 } ip", "meta oif { 7, 7 } ip"),
            ("iif {eth0} ip", "iif {7} ip"),
            ("iifname eth0 ip", "iifname eth0 ip"),
            ("iif eth1 ip", "iif eth1 ip"),
        ] {
            assert_eq!(line(text), expected);
        }
    }
}
