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
                // Neither value is shown: it may be a secret of another plugin.
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

/// Pairs as the variable holds them.
pub fn text(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(";")
}

/// The pod that Kubernetes' runtimes name, as `NAMESPACE/NAME`, whatever else the variable holds.
pub fn pod(text: &str) -> Option<String> {
    let value = |key: &str| {
        let pairs = text.split(';').rev();
        let mut values = pairs.filter_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        values.next().filter(|value| !value.is_empty())
    };
    let (namespace, name) = (value("K8S_POD_NAMESPACE")?, value("K8S_POD_NAME")?);
    Some(format!("{namespace}/{name}"))
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
    fn a_pod_has_a_namespace_and_a_name() {
        for (text, pod) in [
            (
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b",
                Some("a/b"),
            ),
            (
                "K8S_POD_NAME=x;nonsense;K8S_POD_NAME=b;K8S_POD_NAMESPACE=a",
                Some("a/b"),
            ),
            ("K8S_POD_NAMESPACE=a;K8S_POD_NAME=", None),
            ("K8S_POD_NAME=b", None),
            ("K8S_POD_NAMESPACES=a;K8S_POD_NAME=b", None),
            ("", None),
        ] {
            assert_eq!(super::pod(text).as_deref(), pod, "{text}");
        }
    }

    #[test]
    fn anything_but_pairs_is_refused() {
        for text in ["a", "a=b;", "a=b=c", ";", "a=b; "] {
            let error = CniArgs::parse(text).unwrap_err();
            assert_eq!(error.code, Code::InvalidEnvironment, "{text}");
        }
    }
}
