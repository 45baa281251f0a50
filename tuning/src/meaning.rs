//! When two texts of a sysctl are the same value.

/// Whether two texts mean the same: the same words, whatever blanks and tabs are between them, with
/// numbers compared as numbers.
pub fn same(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split_whitespace(), b.split_whitespace());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) if number(a).is_some_and(|n| number(b) == Some(n)) => {}
            _ => return false,
        }
    }
}

/// A number as the kernel reads it: a sign, and hexadecimal after `0x` or octal after `0`
/// (`proc_get_long` in kernel/sysctl.c, `simple_strtoul` with base 0).
fn number(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (digits, base) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, base)
        .ok()
        .map(|n| sign * i128::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_spelling_of_numbers_do_not_matter() {
        for (a, b) in [
            ("1024 65000", "1024\t65000"),
            (" 1  2\t3 ", "1 2 3"),
            ("01", "1"),
            ("0x10", "16"),
            ("010", "8"),
            ("-1", "-01"),
            ("-0", "0"),
            ("cubic", "cubic "),
            ("", " "),
            ("9999999999999999999999", "9999999999999999999999"),
        ] {
            assert!(same(a, b) && same(b, a), "{a:?} {b:?}");
        }
    }

    #[test]
    fn other_values_are_other_values() {
        for (a, b) in [
            ("1", "2"),
            ("1 2", "1"),
            ("", "0"),
            ("12", "1 2"),
            ("010", "10"),
            ("cubic", "Cubic"),
            ("-1", "1"),
            ("--1", "1"),
            ("09", "9"),
            ("1-3", "1,2,3"),
        ] {
            assert!(!same(a, b) && !same(b, a), "{a:?} {b:?}");
        }
    }
}
