//! An attachment: one interface of one container, with what the runtime says about it.

use std::path::{Path, PathBuf};

use common::cni_args;
use common::error::{Code, Context, short};
use common::hash::sha512;
use serde_json::{Map, Value};

use crate::runner::{Error, Result};

/// Where `ip netns add` and container runtimes keep named namespaces.
const NETNS_DIR: &str = "/run/netns";

/// One interface of one container on a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachment {
    /// `CNI_CONTAINERID`.
    pub container: String,
    /// `CNI_NETNS`; empty when the namespace is gone (DEL).
    pub netns: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// The pairs of `CNI_ARGS`, in order.
    pub args: Vec<(String, String)>,
    /// What the plugins may declare in `capabilities`, by name.
    pub capabilities: Map<String, Value>,
}

impl Attachment {
    /// The value of `CNI_ARGS`: `K=V;K=V`.
    pub fn cni_args(&self) -> String {
        cni_args::text(&self.args)
    }
}

/// Reads `K=V;K=V`, the form of `CNI_ARGS`.
pub fn parse_cni_args(text: &str) -> Result<Vec<(String, String)>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(';').map(parse_cni_arg).collect()
}

/// Reads one `K=V`.
pub fn parse_cni_arg(pair: &str) -> Result<(String, String)> {
    match pair.split_once('=') {
        Some((key, value))
            if !key.is_empty() && !value.is_empty() && !value.contains(['=', ';']) =>
        {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(Error::Own(format!(
            "invalid CNI_ARGS pair {:?}: expected KEY=VALUE",
            short(pair)
        ))),
    }
}

/// The path of a namespace: a bare name means one in `/run/netns`, whether it exists or not
/// (a DEL must mean the same attachment as the ADD before it); a path is made absolute.
pub fn netns_path(netns: &str) -> Result<String> {
    if netns.is_empty() {
        return Ok(String::new());
    }
    let path = if netns.contains('/') {
        PathBuf::from(netns)
    } else {
        Path::new(NETNS_DIR).join(netns)
    };
    let tried = || format!("resolve {}", path.display());
    let path = std::path::absolute(&path).context(Code::Io, tried)?;
    Ok(path.display().to_string())
}

/// The container ID that cnitool gives to a namespace: so that either tool finds what the other made.
pub fn default_container(netns_path: &str) -> String {
    let hex = sha512(&[netns_path.as_bytes()]);
    let hex = hex.get(..20).unwrap_or_default();
    format!("cnitool-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_id_is_the_one_that_cnitool_derives() {
        assert_eq!(
            default_container("/run/netns/e2ect1"),
            "cnitool-77cd3f7d17e31c56fa41"
        );
    }

    #[test]
    fn a_bare_name_is_a_namespace_in_run_netns() {
        assert_eq!(netns_path("pod1").unwrap(), "/run/netns/pod1");
        assert_eq!(netns_path("/proc/1/ns/net").unwrap(), "/proc/1/ns/net");
        assert_eq!(netns_path("").unwrap(), "");
        assert!(netns_path("./pod1").unwrap().ends_with("/pod1"));
    }

    #[test]
    fn args_are_read_and_written_in_order() {
        let text = "IgnoreUnknown=1;K8S_POD_NAME=t1";
        let args = parse_cni_args(text).unwrap();
        assert_eq!(
            Attachment {
                args,
                ..Attachment::default()
            }
            .cni_args(),
            text
        );
        assert!(parse_cni_args("").unwrap().is_empty());
        for bad in ["a", "=b", "a=", "a=b;", "a=b=c"] {
            assert!(parse_cni_args(bad).is_err(), "{bad}");
        }
    }
}
