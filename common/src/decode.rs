//! Typed reading of JSON objects, by Go's rules: keys match without regard to case, the last one
//! wins, and `null` is the same as absence.
//!
//! Every failure names the full path of the value, such as `runtimeConfig.portMappings[0].hostPort`.

use crate::error::{Code, Error};
use crate::json::{Fields, Json};

/// An object being read, and its place in the document.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    fields: &'a [(String, Json)],
    path: Path<'a>,
}

/// A value being read, and its place in the document.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    json: &'a Json,
    path: Path<'a>,
}

/// The way from the document's root to a value: an object's key, then perhaps a list's index.
#[derive(Debug, Clone, Copy)]
struct Path<'a> {
    // Three levels of keys are the deepest that any configuration of ours has.
    keys: [Option<(&'a str, Option<usize>)>; 4],
}

impl<'a> Path<'a> {
    const ROOT: Path<'static> = Path { keys: [None; 4] };

    fn key(mut self, key: &'a str) -> Path<'a> {
        if let Some(free) = self.keys.iter_mut().find(|k| k.is_none()) {
            *free = Some((key, None));
        }
        self
    }

    fn index(mut self, index: usize) -> Path<'a> {
        if let Some(Some((_, place))) = self.keys.iter_mut().rev().find(|k| k.is_some()) {
            *place = Some(index);
        }
        self
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (depth, (key, index)) in self.keys.iter().flatten().enumerate() {
            if depth > 0 {
                f.write_str(".")?;
            }
            f.write_str(key)?;
            if let Some(index) = index {
                write!(f, "[{index}]")?;
            }
        }
        Ok(())
    }
}

impl<'a> Object<'a> {
    /// The document's outermost object.
    pub fn root(fields: &'a [(String, Json)]) -> Object<'a> {
        Object {
            fields,
            path: Path::ROOT,
        }
    }

    /// The value of a key, unless it is absent or `null`.
    pub fn get(&self, key: &'a str) -> Option<Value<'a>> {
        let (_, json) = self
            .fields
            .iter()
            .rev()
            .find(|(k, v)| k.eq_ignore_ascii_case(key) && *v != Json::Null)?;
        Some(Value {
            json,
            path: self.path.key(key),
        })
    }

    /// All members, in the order written, duplicates included.
    pub fn fields(&self) -> &'a [(String, Json)] {
        self.fields
    }

    /// The members whose keys are not in `known` (in any case) and that are not `null`.
    pub fn unknown(&self, known: &[&str]) -> Fields {
        self.fields
            .iter()
            .filter(|(k, v)| !known.iter().any(|n| k.eq_ignore_ascii_case(n)) && *v != Json::Null)
            .cloned()
            .collect()
    }

    /// A string, if the key is there.
    ///
    /// # Errors
    /// Code 6 when the value is not a string.
    pub fn string(&self, key: &'a str) -> Result<Option<String>, Error> {
        self.get(key).map(|v| v.string()).transpose()
    }

    /// A string, if the key is there and the string is not empty.
    ///
    /// # Errors
    /// Code 6 when the value is not a string.
    pub fn nonempty(&self, key: &'a str) -> Result<Option<String>, Error> {
        Ok(self.string(key)?.filter(|text| !text.is_empty()))
    }

    /// A boolean, if the key is there.
    ///
    /// # Errors
    /// Code 6 when the value is not a boolean.
    pub fn boolean(&self, key: &'a str) -> Result<Option<bool>, Error> {
        self.get(key).map(|v| v.boolean()).transpose()
    }

    /// An integer of 64 bits, if the key is there.
    ///
    /// # Errors
    /// Code 6 when the value is not an integer or does not fit.
    pub fn integer(&self, key: &'a str) -> Result<Option<i64>, Error> {
        self.get(key).map(|v| v.integer()).transpose()
    }

    /// An unsigned integer of 64 bits, if the key is there.
    ///
    /// # Errors
    /// Code 6 when the value is not an integer, is negative or does not fit.
    pub fn unsigned(&self, key: &'a str) -> Result<Option<u64>, Error> {
        self.get(key).map(|v| v.unsigned()).transpose()
    }

    /// A nested object, if the key is there.
    ///
    /// # Errors
    /// Code 6 when the value is not an object.
    pub fn object(&self, key: &'a str) -> Result<Option<Object<'a>>, Error> {
        self.get(key).map(|v| v.object()).transpose()
    }

    /// The items of a list; none if the key is absent.
    ///
    /// # Errors
    /// Code 6 when the value is not a list.
    pub fn list(&self, key: &'a str) -> Result<Vec<Value<'a>>, Error> {
        self.get(key).map_or(Ok(Vec::new()), |v| v.list())
    }

    /// The strings of a list; none if the key is absent.
    ///
    /// # Errors
    /// Code 6 when the value is not a list of strings.
    pub fn strings(&self, key: &'a str) -> Result<Vec<String>, Error> {
        self.list(key)?.iter().map(Value::string).collect()
    }
}

impl<'a> Value<'a> {
    /// The value itself.
    pub fn json(&self) -> &'a Json {
        self.json
    }

    /// A string.
    ///
    /// # Errors
    /// Code 6 for any other type.
    pub fn string(&self) -> Result<String, Error> {
        match self.json {
            Json::String(text) => Ok(text.clone()),
            _ => Err(self.mismatch("a string")),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// Code 6 for any other type.
    pub fn boolean(&self) -> Result<bool, Error> {
        match self.json {
            Json::Bool(value) => Ok(*value),
            _ => Err(self.mismatch("a boolean")),
        }
    }

    /// An integer of 64 bits, written without fraction and exponent.
    ///
    /// # Errors
    /// Code 6 for anything else.
    pub fn integer(&self) -> Result<i64, Error> {
        match self.json {
            Json::Number(number) => number.as_i64(),
            _ => None,
        }
        .ok_or_else(|| self.mismatch("an integer of 64 bits"))
    }

    /// An unsigned integer of 64 bits, written without fraction and exponent.
    ///
    /// # Errors
    /// Code 6 for anything else.
    pub fn unsigned(&self) -> Result<u64, Error> {
        match self.json {
            Json::Number(number) => number.as_u64(),
            _ => None,
        }
        .ok_or_else(|| self.mismatch("an unsigned integer of 64 bits"))
    }

    /// An object.
    ///
    /// # Errors
    /// Code 6 for any other type.
    pub fn object(&self) -> Result<Object<'a>, Error> {
        match self.json {
            Json::Object(fields) => Ok(Object {
                fields,
                path: self.path,
            }),
            _ => Err(self.mismatch("an object")),
        }
    }

    /// The items of a list.
    ///
    /// # Errors
    /// Code 6 for any other type.
    pub fn list(&self) -> Result<Vec<Value<'a>>, Error> {
        match self.json {
            Json::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, json)| Value {
                    json,
                    path: self.path.index(index),
                })
                .collect()),
            _ => Err(self.mismatch("a list")),
        }
    }

    /// Reads the value by `read`, which gives `None` for what it does not understand.
    ///
    /// # Errors
    /// Code 6 with `expected` when `read` refuses.
    pub fn parse<T>(
        &self,
        expected: &str,
        read: impl FnOnce(&Json) -> Option<T>,
    ) -> Result<T, Error> {
        read(self.json).ok_or_else(|| self.mismatch(expected))
    }

    /// An error (code 7) about this value, whose type is right but whose content is not.
    pub fn refuse(&self, why: impl std::fmt::Display) -> Error {
        let path = self.path;
        let text = match self.json {
            Json::Object(_) | Json::Array(_) => format!("{path}: {why}"),
            value => format!("{path} = {}: {why}", Short(value)),
        };
        Error::new(Code::InvalidConfig, text)
    }

    fn mismatch(&self, expected: &str) -> Error {
        Error::new(
            Code::Decoding,
            format!(
                "{}: expected {expected}, got {}",
                self.path,
                Short(self.json)
            ),
        )
    }
}

/// A value as messages show it: whole when small, else only its type.
struct Short<'a>(&'a Json);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Json::Bool(_) | Json::Null => write!(f, "{}", self.0),
            Json::Number(number) if number.as_str().len() <= 200 => write!(f, "{number}"),
            Json::String(text) if text.len() <= 200 => write!(f, "{}", self.0),
            other => f.write_str(other.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        match Json::parse(text.as_bytes()).unwrap() {
            Json::Object(fields) => fields,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_match_in_any_case_the_last_wins_and_null_is_absence() {
        let fields = fields(r#"{"HostPort":1,"hostport":2,"hostPort":null,"x":null}"#);
        let object = Object::root(&fields);
        assert_eq!(object.integer("hostPort").unwrap(), Some(2));
        assert_eq!(object.integer("x").unwrap(), None);
        assert_eq!(object.integer("y").unwrap(), None);
        assert!(object.unknown(&["HOSTPORT"]).is_empty());
    }

    #[test]
    fn numbers_with_a_fraction_an_exponent_or_too_many_bits_are_no_integers() {
        for text in [
            "1e3",
            "80.0",
            "1.5",
            "\"80\"",
            "true",
            "[1]",
            "18446744073709551616",
            "1e999",
        ] {
            let fields = fields(&format!("{{\"a\":{text}}}"));
            let object = Object::root(&fields);
            assert_eq!(
                object.integer("a").unwrap_err().code,
                Code::Decoding,
                "{text}"
            );
            assert_eq!(
                object.unsigned("a").unwrap_err().code,
                Code::Decoding,
                "{text}"
            );
        }
    }

    #[test]
    fn a_refused_number_is_shown_unless_it_is_too_long_to_read() {
        let message = |number: &str| {
            let fields = fields(&format!("{{\"mtu\":{number}}}"));
            Object::root(&fields).integer("mtu").unwrap_err().msg
        };
        assert_eq!(
            message("1e999"),
            "mtu: expected an integer of 64 bits, got 1e+999"
        );
        assert_eq!(
            message(&"9".repeat(1000)),
            "mtu: expected an integer of 64 bits, got a number"
        );
    }

    #[test]
    fn errors_name_the_whole_path() {
        let fields = fields(r#"{"runtimeConfig":{"portMappings":[{"hostPort":"x"}]}}"#);
        let list = Object::root(&fields)
            .object("runtimeConfig")
            .unwrap()
            .unwrap()
            .list("portMappings")
            .unwrap();
        let error = list[0].object().unwrap().integer("hostPort").unwrap_err();
        assert_eq!(
            error.msg,
            "runtimeConfig.portMappings[0].hostPort: expected an integer of 64 bits, got \"x\""
        );
        assert_eq!(
            list[0].refuse("no").msg,
            "runtimeConfig.portMappings[0]: no"
        );
    }
}
