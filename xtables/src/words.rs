//! Rule text in words: quoting as `iptables-restore` reads it and `iptables-save` prints it.

/// One word of a restore line. `add_param_to_argv` in iptables' xshared.c: inside double quotes a
/// backslash takes the next character as it is.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/,=+@%[]!&*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len() + 2);
    out.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Words as one line.
pub fn joined<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word.as_ref())).collect();
    quoted.join(" ")
}

/// The words of a line as `iptables-save` prints them.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(first) = chars.peek() {
        if first.is_ascii_whitespace() {
            chars.next();
            continue;
        }
        words.push(next_word(&mut chars));
    }
    words
}

fn next_word(chars: &mut impl Iterator<Item = char>) -> String {
    let (mut word, mut in_quotes) = (String::new(), false);
    while let Some(c) = chars.next() {
        match c {
            '"' => in_quotes = !in_quotes,
            '\\' if in_quotes => word.extend(chars.next()),
            c if c.is_ascii_whitespace() && !in_quotes => break,
            c => word.push(c),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_quoting_and_splitting() {
        let words = [
            "-m",
            "comment",
            "--comment",
            r#"dnat name: "a" id: "b\c""#,
            "",
            "it's",
            "[fd00::2]:80",
        ];
        assert_eq!(split(&joined(&words)), words);
        assert_eq!(
            joined(&words[..4]),
            r#"-m comment --comment "dnat name: \"a\" id: \"b\\c\"""#
        );
    }

    #[test]
    fn broken_quoting_ends_with_the_line() {
        assert_eq!(split(r#"a "b c"#), ["a", "b c"]);
        assert_eq!(split(r#"a "b\"#), ["a", "b"]);
        assert!(split("  \t ").is_empty());
    }
}
