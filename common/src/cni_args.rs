//! `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`.

use crate::error::{Code, Error, short};

/// The pairs of `CNI_ARGS`, in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniArgs(Vec<(String, String)>);

impl CniArgs {
    /// Splits the variable's text.
    ///
    /// # Errors
    /// Code 4 when a pair has not exactly one `=`.
    pub fn parse(text: &str) -> Result<CniArgs, Error> {
        if text.is_empty() {
            return Ok(CniArgs::default());
        }
        let pairs = text.split(';').zip(1..);
        pairs
            .map(|(pair, number)| match pair.split_once('=') {
                Some((key, value)) if !value.contains('=') => {
                    Ok((key.to_owned(), value.to_owned()))
                }
                // Neither value is told: it may be somebody else's secret.
                Some((key, _)) => Err(invalid(format!("{:?}", short(key)))),
                None => Err(invalid(format!("number {number}"))),
            })
            .collect::<Result<_, _>>()
            .map(CniArgs)
    }

    /// The last value given for a key. Keys are those of the spec's conventions, in upper case.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }
}

fn invalid(which: impl std::fmt::Display) -> Error {
    Error::new(
        Code::InvalidEnvironment,
        format!("CNI_ARGS: invalid pair {which}"),
    )
    .with_details("expected KEY=VALUE pairs separated by ;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_whatever_their_order() {
        let args = CniArgs::parse("K8S_POD_NAME=a;IgnoreUnknown=1;MAC=02:00:00:00:00:01").unwrap();
        assert_eq!(args.get("MAC"), Some("02:00:00:00:00:01"));
        assert_eq!(args.get("mac"), None);
        assert_eq!(CniArgs::parse("").unwrap().get("MAC"), None);
    }

    #[test]
    fn anything_but_pairs_is_refused() {
        for text in ["a", "a=b;", "a=b=c", ";", "a=b; "] {
            let error = CniArgs::parse(text).unwrap_err();
            assert_eq!(error.code, Code::InvalidEnvironment, "{text}");
        }
    }
}
