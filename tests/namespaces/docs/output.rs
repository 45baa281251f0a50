//! Whether a command printed what the documentation shows.

/// What stands for whatever varies.
const ANY: char = '…';

/// Why `printed` is not what is `shown`, line by line; `None` when it is.
pub fn difference(shown: &[String], printed: &str) -> Option<String> {
    let shown: Vec<String> = shown.iter().map(|line| tidy(line)).collect();
    let mut printed: Vec<String> = printed.lines().map(tidy).collect();
    while printed.last().is_some_and(String::is_empty) {
        printed.pop();
    }
    let end = shown.iter().rposition(|line| !line.is_empty());
    let shown = &shown[..end.map_or(0, |end| end + 1)];
    if lines(shown, &printed) {
        return None;
    }
    let first = shown.iter().zip(&printed).find(|(a, b)| !line(a, b));
    let hint = first.map_or("the number of lines".to_owned(), |(a, b)| {
        format!("first:\n  {a}\n  {b}")
    });
    Some(format!(
        "shown:\n{}\nprinted:\n{}\n{hint}",
        shown.join("\n"),
        printed.join("\n")
    ))
}

/// A line without the blanks around it, and one blank for many.
fn tidy(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.chars().eq([ANY]) => {
            (0..=printed.len()).any(|some| lines(rest, &printed[some..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(is, others)| line(first, is) && lines(rest, others)),
    }
}

fn line(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split(ANY);
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn what_is_shown_stands_for_what_is_printed() {
    let same = |shown: &[&str], printed: &str| {
        let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
        difference(&shown, printed).is_none()
    };
    assert!(same(&["a  b", ""], "  a b\n\n"));
    assert!(same(&["a … c … e"], "a b c d e\n"));
    assert!(same(&["a", "…", "d"], "a\nb\nc\nd\n") && same(&["a", "…"], "a\n"));
    assert!(!same(&["a"], "a b\n") && !same(&["a"], "a\nb\n") && !same(&["a", "b"], "a\n"));
    assert!(!same(&["…a"], "ab\n") && !same(&["a … b"], "a b\n"));
    assert!(!same(&["a…a"], "a"));
}
