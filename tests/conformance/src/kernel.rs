//! Looks at the kernel with the tools an operator has.

use sandbox::Namespace;
use serde_json::Value;
use sha2::{Digest, Sha512};

use crate::failure::{Failure, Verdict, equal, fail};

/// The reference's name of an attachment's DNAT chain.
pub fn chain(network: &str, id: &str) -> String {
    hashed("CNI-DN-", &format!("{network}{id}"), 28)
}

/// The reference's name of an attachment's ifb.
pub fn ifb(network: &str, id: &str) -> String {
    hashed("bwp", &format!("{network}{id}"), 15)
}

fn hashed(prefix: &str, text: &str, length: usize) -> String {
    let digest = Sha512::digest(text.as_bytes());
    let hex = digest.iter().map(|byte| format!("{byte:02x}"));
    let name: String = prefix
        .chars()
        .chain(hex.collect::<String>().chars())
        .collect();
    name.chars().take(length).collect()
}

/// Runs a shell script.
pub fn script(namespace: &Namespace, script: &str) -> Result<String, Failure> {
    Ok(namespace.try_sh(&["sh", "-ec", script])?)
}

/// A link, as `ip -details -json` shows it.
pub fn link(namespace: &Namespace, name: &str) -> Result<Value, Failure> {
    let text = namespace.try_sh(&["ip", "-d", "-j", "link", "show", "dev", name])?;
    let links: Value = serde_json::from_str(&text)?;
    match links.pointer("/0") {
        Some(link) => Ok(link.clone()),
        None => fail(format!("no link {name}")),
    }
}

/// Whether there is a link of this name.
pub fn has_link(namespace: &Namespace, name: &str) -> bool {
    namespace
        .try_sh(&["ip", "link", "show", "dev", name])
        .is_ok()
}

/// Whether a link has a flag (`PROMISC`).
pub fn has_flag(namespace: &Namespace, name: &str, flag: &str) -> Result<bool, Failure> {
    let link = link(namespace, name)?;
    let flags = link["flags"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(flags.iter().any(|one| one == flag))
}

/// Fails when a number of a link is another.
pub fn link_has(namespace: &Namespace, name: &str, key: &str, expected: &Value) -> Verdict {
    let link = link(namespace, name)?;
    equal(&format!("{key} of {name}"), &link[key], expected)
}

/// Fails when a sysctl has another value.
pub fn sysctl_is(namespace: &Namespace, key: &str, expected: &str) -> Verdict {
    equal(key, &namespace.sysctl(key)?, &expected.to_owned())
}

/// Queueing disciplines of a device.
pub fn qdiscs(namespace: &Namespace, device: &str) -> Result<Vec<Value>, Failure> {
    let text = namespace.try_sh(&["tc", "-d", "-j", "qdisc", "show", "dev", device])?;
    Ok(serde_json::from_str(&text)?)
}

/// The root qdisc of a device, if it is of this kind.
pub fn root_qdisc(
    namespace: &Namespace,
    device: &str,
    kind: &str,
) -> Result<Option<Value>, Failure> {
    let found = qdiscs(namespace, device)?
        .into_iter()
        .find(|qdisc| qdisc["kind"] == kind && qdisc["root"] == true);
    Ok(found)
}
