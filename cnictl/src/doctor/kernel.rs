//! Parts of the kernel, each tried in a temporary network namespace.

use common::operate::Part;
use common::sys::netlink::Netlink;
use common::sys::netns;
use common::{Code, Context, Operate as _};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo};

use super::{Node, found};
use crate::finding::Finding;
use crate::lint;
use crate::plugins::of;

const OBJECT: &str = "kernel";

pub(super) fn findings(node: &Node<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tried = netns::in_a_new_one(|| {
        let mut parts = vec![(true, veth())];
        for plugin in lint::ours() {
            let is_used = node.used.contains(plugin.name());
            let tried = of!(plugin, P => P::kernel()).into_iter();
            parts.extend(tried.map(|part| (is_used, part)));
        }
        Ok(parts)
    });
    let Some(parts) = found(OBJECT, tried, &mut findings) else {
        return findings;
    };
    let works = parts.iter().filter(|(_, part)| part.fault.is_none());
    let works: Vec<&str> = works.map(|(_, part)| short(&part.name)).collect();
    if !works.is_empty() {
        findings.push(Finding::ok(OBJECT, format!("has {}", works.join(", "))));
    }
    let lacks = |(is_used, part): &(bool, Part)| {
        let fault = part.fault.as_ref()?;
        let text = format!("no {}: {}: {fault}", part.name, part.purpose);
        let finding = match is_used {
            true => Finding::error(OBJECT, text),
            false => Finding::warning(OBJECT, text),
        };
        Some(match module(&part.name) {
            Some(module) => finding.run(format!("modprobe {module}")),
            None => finding,
        })
    };
    findings.extend(parts.iter().filter_map(lacks));
    findings
}

fn veth() -> Part {
    let made = Netlink::route().and_then(|mut netlink| {
        let made = netlink.create_link(vec![
            LinkAttribute::IfName("cnictl-probe".to_owned()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
        ]);
        made.context(Code::System, || "make a pair".to_owned())
    });
    Part {
        name: "veth (module veth)".to_owned(),
        purpose: "bridge, ptp and other main plugins cannot create an interface",
        fault: made.err().map(|error| error.to_string()),
    }
}

/// A part's name without its module.
fn short(name: &str) -> &str {
    name.split_once(" (module").map_or(name, |(name, _)| name)
}

/// The module of a part's name.
fn module(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once("(module ")?;
    rest.strip_suffix(')')
}
