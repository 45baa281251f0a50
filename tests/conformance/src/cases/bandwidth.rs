//! bandwidth.

use sandbox::Namespace;
use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::{Failure, Verdict, ensure, fail};
use crate::kernel::{qdiscs, script};
use crate::lab::Pods;

mod add;
mod config;
mod del;
mod drift;
mod fault;
mod gc;
mod identity;
mod limits;
mod pass;
mod queue;
mod shared;
mod without_veth;

/// Everything about bandwidth.
pub fn cases(table: &mut Table) {
    add::cases(table);
    limits::cases(table);
    config::cases(table);
    pass::cases(table);
    queue::cases(table);
    drift::cases(table);
    del::cases(table);
    shared::cases(table);
    identity::cases(table);
    without_veth::cases(table);
    gc::cases(table);
    fault::cases(table);
}

/// Both directions: 8 Mbit/s with 800 kbit towards the container, twice as much from it.
fn both() -> Value {
    json!({"ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 16_000_000, "egressBurst": 1_600_000})
}

/// Towards the container alone.
fn ingress() -> Value {
    json!({"ingressRate": 8_000_000, "ingressBurst": 800_000})
}

/// From the container alone.
fn egress() -> Value {
    json!({"egressRate": 16_000_000, "egressBurst": 1_600_000})
}

/// `rate 8Mbit burst 100000b/1 … limit 125000b` of a device's root token bucket.
fn bucket(namespace: &Namespace, device: &str) -> Result<String, Failure> {
    let text = script(namespace, &format!("tc -d -raw qdisc show dev {device}"))?;
    match text
        .lines()
        .find(|line| line.starts_with("qdisc tbf") && line.contains("root"))
    {
        Some(line) => Ok(line.to_owned()),
        None => fail(format!("{device} has no token bucket: {text}")),
    }
}

/// Fails unless the root token bucket says all of these.
fn bucket_says(namespace: &Namespace, device: &str, words: &[&str]) -> Verdict {
    let line = bucket(namespace, device)?;
    for word in words {
        ensure(format!("{line} ").contains(&format!(" {word} ")), || {
            format!("{device}: expected {word}, saw {line}")
        })?;
    }
    Ok(())
}

/// The names of all ifbs.
fn ifbs(namespace: &Namespace) -> Result<Vec<String>, Failure> {
    let text = namespace.try_sh(&["ip", "-j", "-d", "link", "show"])?;
    let links: Vec<Value> = serde_json::from_str(&text)?;
    let is_ifb = |link: &&Value| {
        link.pointer("/linkinfo/info_kind")
            .is_some_and(|kind| kind == "ifb")
    };
    Ok(links
        .iter()
        .filter(is_ifb)
        .map(|link| link["ifname"].as_str().unwrap_or_default().to_owned())
        .collect())
}

/// The device to which the filters of a device's ingress hook redirect.
fn redirected_to(namespace: &Namespace, device: &str) -> Result<Vec<String>, Failure> {
    let text = script(
        namespace,
        &format!("tc -d filter show dev {device} ingress"),
    )?;
    let devices = text.split("to device ").skip(1);
    let mut names: Vec<_> = devices
        .map(|rest| rest.split([')', ' ']).next().unwrap_or_default().to_owned())
        .collect();
    names.dedup();
    Ok(names)
}

/// The ifb of the first pod, told by the filter that leads to it.
fn ifb_of(pods: &Pods, device: &str) -> Result<String, Failure> {
    let names = redirected_to(&pods.net.host, device)?;
    match names.as_slice() {
        [name] => Ok(name.clone()),
        _ => fail(format!("{device} is redirected to {names:?}")),
    }
}

/// Fails when a link is limited, or leads elsewhere.
fn free(namespace: &Namespace, device: &str) -> Verdict {
    let kinds: Vec<_> = qdiscs(namespace, device)?
        .iter()
        .map(|qdisc| qdisc["kind"].to_string())
        .collect();
    ensure(
        !kinds
            .iter()
            .any(|kind| ["\"tbf\"", "\"ingress\"", "\"clsact\""].contains(&kind.as_str())),
        || format!("{device} has {kinds:?}"),
    )
}
