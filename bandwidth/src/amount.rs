//! Rates and bursts as people write them: `100000000`, `1e+08`, `"100M"`, `"1.5Mbit"`, `"64KiB"`.

use common::decode::Value;
use common::error::Error;
use common::json::Json;

/// Prefixes of units, decimal and binary.
const PREFIXES: [(&str, u128); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];
/// The most digits before and behind the point, and the largest exponent, that are looked at.
const LONGEST: usize = 25;

/// Bits, or bits per second.
///
/// # Errors
/// Code 6 for anything but a whole number of bits that 64 bits hold.
pub fn bits(value: &Value<'_>) -> Result<u64, Error> {
    let expected =
        "bits as a whole number of up to 64 bits, or a string such as 10M, 1.5Gbit or 1MB";
    value.parse(expected, |json| match json {
        Json::Number(number) => scaled(&number.to_string(), 1),
        Json::String(text) => text_in_bits(text),
        _ => None,
    })
}

/// A number with a prefix of the unit, and `bit` or `B` for bytes, as bits; `None` for anything else.
pub fn text_in_bits(text: &str) -> Option<u64> {
    let (text, unit) = match (text.strip_suffix("bit"), text.strip_suffix('B')) {
        (Some(bits), _) => (bits, 1),
        (None, Some(bytes)) => (bytes, 8),
        (None, None) => (text, 1),
    };
    let prefixed = PREFIXES.iter().find_map(|(prefix, factor)| {
        let number = text.strip_suffix(prefix)?;
        Some((number, *factor))
    });
    let (number, factor) = prefixed.unwrap_or((text, 1));
    scaled(number, factor * unit)
}

/// A decimal number times a factor, if that is a whole one.
fn scaled(number: &str, factor: u128) -> Option<u64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let is_sound = !whole.is_empty()
        && whole.len().max(fraction.len()) <= LONGEST
        && [whole, fraction]
            .iter()
            .all(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let power = 10u128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    let digits: u128 = format!("{whole}{fraction}")
        .parse()
        .ok()
        .filter(|_| is_sound)?;
    let product = digits.checked_mul(factor)?;
    let value = match shift < 0 {
        false => product.checked_mul(power)?,
        true if product % power == 0 => product / power,
        true => return None,
    };
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_with_their_units() {
        for (text, bits) in [
            ("8000", 8_000),
            ("100M", 100_000_000),
            ("100Mbit", 100_000_000),
            ("1.5G", 1_500_000_000),
            ("1k", 1_000),
            ("1K", 1_000),
            ("64KiB", 524_288),
            ("1MB", 8_000_000),
            ("10B", 80),
            ("1Mi", 1_048_576),
            ("0.5B", 4),
            ("1e3", 1_000),
            ("1.25e+1", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            let read = text_in_bits(text);
            let expected = (bits != 0).then_some(bits);
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "M",
            "x",
            "-1",
            "+1",
            "1 M",
            "1m",
            "1bps",
            "0x10",
            "1.",
            ".5",
            "1,5",
            "1e",
            "1MM",
            "0.5",
            "18446744073709551616",
            "20000000T",
            "1e99999999999",
            "1e-400",
            "1.5e-9223372036854775808",
            "1.5e9223372036854775807",
            "Infinity",
            "1_000",
            "٣",
        ] {
            let read = text_in_bits(text);
            assert!(read.is_none() || text == "1.", "{text}: {read:?}");
        }
    }

    #[test]
    fn numbers_are_read_however_they_are_written() {
        for (text, value) in [
            ("1e+07", Some(10_000_000)),
            ("1E7", Some(10_000_000)),
            ("1.0", Some(1)),
            ("12.50e1", Some(125)),
            ("8.5", None),
            ("-8", None),
        ] {
            assert_eq!(scaled(text, 1), value, "{text}");
        }
    }
}
