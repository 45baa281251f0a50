//! The rule that tests an attachment's conditions, written by `nft` because the words are its.
//!
//! The words are checked so that they can be nothing but a part of that one rule; what nft made of
//! them is read back and must end in the jump to the attachment's chain.

use common::error::{Code, Context, Error};

use super::layout::{CONDITIONS, TABLE};
use crate::mapping::Family;
use crate::program;

/// Words that end a rule or change what it does: with one of them, the jump might never come, or
/// something else than a test might come before it.
const STATEMENTS: [&str; 23] = [
    "accept",
    "drop",
    "reject",
    "queue",
    "continue",
    "return",
    "jump",
    "goto",
    "dnat",
    "snat",
    "masquerade",
    "redirect",
    "tproxy",
    "set",
    "dup",
    "fwd",
    "notrack",
    "synproxy",
    "comment",
    "include",
    "define",
    "add",
    "update",
];

/// Checks that words are tests of one rule.
///
/// # Errors
/// Code 7 with the word.
pub fn validate(family: Family, words: &[String]) -> Result<(), Error> {
    let refuse = |word: &str, why: &str| {
        let key = match family {
            Family::V4 => "conditionsV4",
            Family::V6 => "conditionsV6",
        };
        let msg = format!("{key}: {word:?} {why}");
        Err(Error::new(Code::InvalidConfig, msg))
    };
    let mut depth = 0i32;
    for word in words {
        if is_quoted_name(word) {
            continue;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || " _.:/,!=<>@&|^*+-{}()%".contains(c);
        if let Some(bad) = word.chars().find(|c| !plain(*c)) {
            return refuse(
                word,
                &format!("contains {bad:?}, which no test of nft needs"),
            );
        }
        let mut parts = word.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        if parts.any(|part| STATEMENTS.contains(&part)) {
            return refuse(word, "is a statement, but only tests are allowed");
        }
        for c in word.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth < 0 {
                return refuse(word, "closes a brace that none opens");
            }
        }
    }
    match (depth, words.last()) {
        (0, _) | (_, None) => Ok(()),
        (_, Some(last)) => refuse(last, "leaves a brace open"),
    }
}

/// A name in quotation marks, such as an interface's, which can hold anything but its own end.
fn is_quoted_name(word: &str) -> bool {
    let inner = word.strip_prefix('"').and_then(|w| w.strip_suffix('"'));
    inner.is_some_and(|inner| {
        let plain = |c: char| c.is_ascii_graphic() && !"\"\\".contains(c);
        !inner.is_empty() && inner.chars().all(plain)
    })
}

/// Writes the rule in front of all others, in place of those with the given handles.
///
/// # Errors
/// Code 103 without nft, code 7 when nft does not understand the words.
pub fn write(
    family: Family,
    words: &[String],
    chain: &str,
    owner: &str,
    instead_of: &[u64],
) -> Result<(), Error> {
    let mut script: String = instead_of
        .iter()
        .map(|handle| {
            let family = family.nft_name();
            format!("delete rule {family} {TABLE} {CONDITIONS} handle {handle}\n")
        })
        .collect();
    script.push_str(&insertion(family, words, chain, owner));
    run(&["-f", "-"], &script).map(drop)
}

fn insertion(family: Family, words: &[String], chain: &str, owner: &str) -> String {
    let (family, words) = (family.nft_name(), words.join(" "));
    format!("insert rule {family} {TABLE} {CONDITIONS} {words} jump {chain} comment \"{owner}\"\n")
}

/// Whether the rule of that handle is what nft would make of the words. nft shows both, the present
/// and the possible one, expression by expression.
///
/// # Errors
/// As [`write()`].
pub fn is_as_written(
    family: Family,
    words: &[String],
    chain: &str,
    owner: &str,
    handle: u64,
) -> Result<bool, Error> {
    let script = insertion(family, words, chain, owner);
    let wanted = run(&["--check", "--debug=netlink", "-f", "-"], &script)?;
    let list = [
        "--debug=netlink",
        "list",
        "chain",
        family.nft_name(),
        TABLE,
        CONDITIONS,
    ];
    let present = run(&list, "")?;
    let header = format!("{} {TABLE} {CONDITIONS}", family.nft_name());
    let of_handle = format!("{header} {handle}");
    let wanted = expressions(&wanted, |line| line == header);
    // Behind the handle may stand that of the rule before.
    let present = expressions(&present, |line| {
        let rest = line.strip_prefix(&of_handle);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    Ok(!wanted.is_empty() && wanted == present)
}

/// The expressions behind a rule's header line, one a line, without the numbers that the kernel
/// gives to sets without names, and without a lookup's flags where there are none.
fn expressions(output: &str, is_header: impl Fn(&str) -> bool) -> Vec<String> {
    let shown = |line: &str| {
        let is_lookup = line.contains(" lookup ");
        let words = line
            .split_whitespace()
            .filter(|word| !is_lookup || *word != "0x0");
        let name = |word: &str| match word.starts_with("__set") {
            true => "__set".to_owned(),
            false => word.to_owned(),
        };
        words.map(name).collect::<Vec<_>>().join(" ")
    };
    output
        .lines()
        .skip_while(|line| !is_header(line.trim_end()))
        .skip(1)
        .take_while(|line| line.trim_start().starts_with('['))
        .map(shown)
        .collect()
}

/// Whether nft can be run.
///
/// # Errors
/// Code 103 when there is none.
pub fn probe() -> Result<(), Error> {
    run(&["--version"], "").map(drop)
}

fn run(arguments: &[&str], input: &str) -> Result<String, Error> {
    let tried = || format!("run nft {}", arguments.join(" "));
    let nft = program::find("nft").ok_or_else(|| {
        Error::new(
            Code::Unsupported,
            "conditions of the nftables backend need nft",
        )
        .with_details("there is none in PATH or where distributions put it")
    })?;
    let output = program::run(&nft, arguments, input).context(Code::System, tried)?;
    if output.status.success() {
        return Ok(output.printed);
    }
    let msg = format!("nft refuses: {}", input.trim_end());
    Err(Error::new(Code::InvalidConfig, msg).with_details(output.said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn tests_of_nft_are_accepted() {
        for text in [
            "ip saddr 1.2.3.0/24",
            "ip6 saddr != 2001:db8::/32",
            "iifname \"eth0\"",
            "iifname != eth*",
            "ip saddr { 1.2.3.4, 1.2.3.5-1.2.3.9 }",
            "meta mark & 0xff == 0x1",
            "ct state established,related",
        ] {
            assert_eq!(validate(Family::V4, &words(text)), Ok(()), "{text}");
        }
        assert!(validate(Family::V4, &["ip saddr 1.2.3.4".to_owned()]).is_ok());
    }

    #[test]
    fn words_that_could_become_another_rule_are_refused() {
        for text in [
            "accept ; add table ip pwned",
            "ip saddr 1.2.3.4\nadd table ip pwned",
            "ip saddr 1.2.3.4 # ",
            "}",
            "ip saddr { 1.2.3.4",
            "} {",
            "iifname \"a\"b\"",
            "iifname \"a",
            "iifname \"\\\"",
            "$x",
            "accept",
            "ip saddr 1.2.3.4 drop",
            "ip saddr vmap {1.2.3.4:accept}",
            "meta mark set 5",
            "jump x",
        ] {
            let error = validate(Family::V6, &words(text)).unwrap_err();
            assert_eq!(error.code, Code::InvalidConfig, "{text}");
            assert!(error.msg.starts_with("conditionsV6"), "{error}");
        }
    }

    #[test]
    fn a_rule_s_expressions_are_found_by_its_header() {
        let output =
            "ip t c 3\n  [ a reg 1 __set%d ]\n\nip t c 4\n  [ b ]\n  [ c ]\n\ntable ip t {";
        assert_eq!(expressions(output, |l| l == "ip t c 4"), ["[ b ]", "[ c ]"]);
        assert_eq!(
            expressions(output, |l| l == "ip t c 3"),
            ["[ a reg 1 __set ]"]
        );
        assert!(expressions(output, |l| l == "ip t c 5").is_empty());
    }
}
