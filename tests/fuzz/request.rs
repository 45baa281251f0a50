//! Bytes as a request: the first line is `CNI_ARGS`, the rest is stdin.

use common::netconf::Unversioned;
use common::request::{Environment, Request};
use common::version::Version;

/// The request that a plugin would see, if it got that far.
pub fn request(bytes: &[u8]) -> Option<Request> {
    let (args, stdin) = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) => bytes.split_at(end),
        None => (&[][..], bytes),
    };
    let args = String::from_utf8_lossy(args).into_owned();
    // As the plugins do, which hand deeper documents to a thread with a larger stack.
    if common::json::depth(stdin) > 100 {
        return None;
    }
    let environment = Environment::read(|name| {
        Some(match name {
            "CNI_COMMAND" => "ADD".to_owned(),
            "CNI_CONTAINERID" => "cid-0001".to_owned(),
            "CNI_IFNAME" => "eth0".to_owned(),
            "CNI_NETNS" => "/run/netns/cont".to_owned(),
            "CNI_PATH" => "/opt/cni/bin".to_owned(),
            "CNI_ARGS" => args.clone(),
            _ => return None,
        })
    });
    let conf = Unversioned::parse(stdin).ok()?.supported(Version::ALL).ok()?;
    Some(environment.ok()?.request(conf))
}
