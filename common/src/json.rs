//! JSON as requests carry it: objects keep their order and their duplicate keys, numbers every digit.
//!
//! `serde_json`'s own `Value` forgets the first two. Order decides in which order sysctls are applied,
//! and a sysctl given twice must be refused, not silently decided. A number may be beyond every type,
//! as `1e999`: a reader of that key refuses it, and without one it is passed on.

mod mend;
mod pretty;

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Number;

/// Nesting that is still accepted of a request, as in Go's decoder.
pub const MAX_DEPTH: usize = 10_000;

/// Nesting that every thread's stack holds.
pub const SHALLOW: usize = 100;

/// The key under which `serde_json`, with its feature `arbitrary_precision`, hands over a number's text.
const NUMBER: &str = "$serde_json::private::Number";

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number, with the digits that were written; an exponent is `e` with a sign.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object, in the order written, with every key that was written.
    Object(Fields),
}

/// The members of an object in the order written.
pub type Fields = Vec<(String, Json)>;

impl Json {
    /// Reads one JSON document of at most [`SHALLOW`] levels. Bytes that are not UTF-8 inside strings, and
    /// halves of surrogate pairs, become U+FFFD, as in Go.
    ///
    /// # Errors
    /// A sentence that says what is wrong and where: syntax, nesting, or anything after the document.
    pub fn parse(bytes: &[u8]) -> Result<Json, String> {
        Json::within(SHALLOW, bytes)
    }

    /// As [`Json::parse`], of at most [`MAX_DEPTH`] levels: a deep document needs a deep stack.
    ///
    /// # Errors
    /// As [`Json::parse`].
    pub fn parse_deep(bytes: &[u8]) -> Result<Json, String> {
        Json::within(MAX_DEPTH, bytes)
    }

    fn within(most: usize, bytes: &[u8]) -> Result<Json, String> {
        if depth(bytes) > most {
            return Err(format!("nested deeper than {most} levels"));
        }
        let text = String::from_utf8_lossy(bytes);
        Json::read(&text).or_else(|error| Json::read(&mend::mended(&text)).map_err(|_| error))
    }

    fn read(text: &str) -> Result<Json, String> {
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.disable_recursion_limit();
        let value = Json::deserialize(&mut reader).map_err(|e| e.to_string())?;
        reader.end().map_err(|e| e.to_string())?;
        Ok(value)
    }

    /// The type's name, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    /// This value with the keys of every object in alphabetical order.
    #[must_use]
    pub fn sorted(self) -> Json {
        match self {
            Json::Array(items) => Json::Array(items.into_iter().map(Json::sorted).collect()),
            Json::Object(fields) => {
                let mut fields: Fields = fields.into_iter().map(|(k, v)| (k, v.sorted())).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Json::Object(fields)
            }
            other => other,
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::String(text)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        Json::Number(number.into())
    }
}

/// The deepest nesting of lists and objects in a document.
pub fn depth(bytes: &[u8]) -> usize {
    let (mut deepest, mut now) = (0, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Fields::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(match fields.as_slice() {
            [(key, Json::String(text))] if key == NUMBER => match text.parse() {
                Ok(number) => Json::Number(number),
                Err(_) => Json::Object(fields),
            },
            _ => Json::Object(fields),
        })
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(value) => value.serialize(serializer),
            Json::String(value) => serializer.serialize_str(value),
            Json::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Json::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_duplicates_survive() {
        let text = r#"{"b":1,"a":[null,true,-3,1.5,"x"],"b":2}"#;
        assert_eq!(Json::parse(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn numbers_keep_their_digits_however_many_there_are() {
        let digits = "9".repeat(1000);
        for (number, printed) in [
            ("0", "0"),
            ("-0", "-0"),
            ("1.0", "1.0"),
            ("-1.10", "-1.10"),
            ("18446744073709551616", "18446744073709551616"),
            (&digits, &digits),
            ("1e999", "1e+999"),
            ("1E-5", "1e-5"),
        ] {
            let list = format!("{{\"a\":[{number}]}}");
            let list = Json::parse(list.as_bytes()).unwrap();
            assert_eq!(list.to_string(), format!("{{\"a\":[{printed}]}}"));
            let value = Json::parse(number.as_bytes()).unwrap();
            assert!(matches!(value, Json::Number(_)), "{number}");
        }
    }

    #[test]
    fn an_object_with_the_key_of_numbers_stays_an_object_unless_it_is_one() {
        for text in [
            r#"{"$serde_json::private::Number":"x"}"#,
            r#"{"$serde_json::private::Number":1}"#,
            r#"{"$serde_json::private::Number":"1","b":2}"#,
        ] {
            let value = Json::parse(text.as_bytes()).unwrap();
            assert!(matches!(value, Json::Object(_)), "{text}");
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn what_go_rejects_is_rejected() {
        let bad: &[&[u8]] = &[
            b"",
            b"{",
            b"\xef\xbb\xbf{}",
            b"{\"a\":NaN}",
            b"01",
            b"1.",
            b"1e",
            b"+1",
            b"- 1",
            b"{} x",
            b"{}{}",
            b"{a:1}",
            b"'a'",
            b"[1,]",
            b"\"a\nb\"",
        ];
        for bytes in bad {
            assert!(Json::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn invalid_utf_8_in_a_string_is_replaced() {
        assert_eq!(
            Json::parse(b"\"a\xffb\"").unwrap(),
            Json::from("a\u{fffd}b")
        );
    }

    #[test]
    fn braces_in_strings_are_no_nesting() {
        assert_eq!(depth(br#"{"a":"[[[\"[","b":[{}]}"#), 3);
        for deep in [SHALLOW + 1, 1_000_000].map(|levels| "{\"a\":".repeat(levels)) {
            let refused = Json::parse(deep.as_bytes()).unwrap_err();
            assert!(refused.contains("nested"), "{refused}");
        }
        let deep = [b'['; MAX_DEPTH + 1];
        assert!(Json::parse_deep(&deep).unwrap_err().contains("nested"));
    }

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = Json::parse(br#"{"b":[],"a":{"d":1,"c":2}}"#).unwrap();
        assert_eq!(value.sorted().to_string(), r#"{"a":{"c":2,"d":1},"b":[]}"#);
    }
}
