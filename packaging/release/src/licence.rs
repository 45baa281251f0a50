//! Which licences a dependency may have, and whether an SPDX expression can be met with them.

/// Permissive licences whose only demand is that their text goes with the binary.
pub const ALLOWED: [&str; 7] = [
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Unicode-3.0",
    "Zlib",
];

/// Whether the allowed licences suffice for this SPDX expression: one of an `OR`, all of an `AND`.
/// `/` is what old manifests write for `OR`. What cannot be read is not allowed; nor is a `WITH`,
/// which adds to a licence what nobody here has read.
pub fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    matches!(any_of(&words), Some((true, [])))
}

/// The verdict on what could be read, and the words after it.
type Read<'a, 'b> = Option<(bool, &'b [&'a str])>;

fn any_of<'a, 'b>(words: &'b [&'a str]) -> Read<'a, 'b> {
    let (mut allowed, mut rest) = all_of(words)?;
    while let ["OR", after @ ..] = rest {
        let (next, left) = all_of(after)?;
        (allowed, rest) = (allowed || next, left);
    }
    Some((allowed, rest))
}

fn all_of<'a, 'b>(words: &'b [&'a str]) -> Read<'a, 'b> {
    let (mut allowed, mut rest) = one(words)?;
    while let ["AND", after @ ..] = rest {
        let (next, left) = one(after)?;
        (allowed, rest) = (allowed && next, left);
    }
    Some((allowed, rest))
}

fn one<'a, 'b>(words: &'b [&'a str]) -> Read<'a, 'b> {
    match words {
        ["(", inner @ ..] => match any_of(inner)? {
            (allowed, [")", rest @ ..]) => Some((allowed, rest)),
            _ => None,
        },
        ["AND" | "OR" | "WITH" | ")", ..] | [] => None,
        [_, "WITH", _, rest @ ..] => Some((false, rest)),
        [licence, rest @ ..] => Some((ALLOWED.contains(licence), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn an_expression_is_allowed_if_allowed_licences_meet_it() {
        for yes in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "Unlicense OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "GPL-2.0-only AND MIT OR Zlib",
        ] {
            assert!(is_allowed(yes), "{yes}");
        }
        for no in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-2.0-only",
            "(MIT OR Zlib) AND LGPL-2.1-only",
            "Apache-2.0 WITH LLVM-exception",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT Zlib",
        ] {
            assert!(!is_allowed(no), "{no}");
        }
    }
}
