//! The programs: versions, and the variants of iptables.

use std::fs;
use std::path::Path;

use super::{Node, found};
use crate::finding::{Finding, counted};
use crate::firewall::Firewall;
use crate::lint;

pub(super) fn findings(node: &Node<'_>) -> Vec<Finding> {
    let mut findings = vec![versions(node)];
    let mut rules = node.firewalls.iter().map(|(_, firewall)| count(firewall));
    let (nft, legacy) = rules.by_ref().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    let rules = format!("rules: {nft} in iptables-nft, {legacy} in iptables-legacy");
    let Some(usual) = found("iptables", portmap::firewall::iptables(), &mut findings) else {
        return findings;
    };
    let (finding, variant) = match usual {
        None => (
            Finding::ok("iptables", format!("is not installed; {rules}")),
            None,
        ),
        Some((path, variant)) => {
            let (path, name) = (path.display(), variant.unwrap_or("of an unknown variant"));
            (
                Finding::ok("iptables", format!("{path} is {name}; {rules}")),
                variant,
            )
        }
    };
    findings.push(finding);
    if nft > 0 && legacy > 0 {
        let text =
            "both variants have rules: packets pass both, but each program shows only its own";
        findings.push(
            Finding::warning("iptables", text).run("iptables-legacy-save; iptables-nft-save"),
        );
    }
    findings.extend(variant.and_then(|variant| elsewhere(node, variant)));
    findings
}

/// Host ports in the variant that the programs do not use.
fn elsewhere(node: &Node<'_>, variant: &str) -> Option<Finding> {
    let is_there = |backend: &str| backend.starts_with("iptables-") && backend != variant;
    let mut backends = node.mappings.iter().map(|mapping| mapping.row.backend);
    let other = backends.find(|backend| is_there(backend))?;
    let count = node.mappings.iter();
    let count = count.filter(|mapping| mapping.row.backend == other).count();
    let text = format!(
        "{} in {other}, but new ones go to {variant}: the node's programs have changed since",
        counted(count, "host port")
    );
    Some(Finding::warning("iptables", text).run("cnictl reconcile"))
}

/// How many rules each variant has.
fn count(firewall: &Firewall) -> (usize, usize) {
    const TABLES: [&str; 5] = ["nat", "filter", "mangle", "raw", "security"];
    let (mut nft, mut legacy) = (0, 0);
    for (table, rules) in firewall.tables() {
        match table.split_once(' ') {
            Some((_, "(legacy)")) => legacy += rules,
            Some(("ip" | "ip6", name)) if TABLES.contains(&name) => nft += rules,
            _ => {}
        }
    }
    (nft, legacy)
}

fn versions(node: &Node<'_>) -> Finding {
    let kernel = match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(release) => format!("Linux {}", release.trim()),
        Err(cause) => format!("Linux of unknown release ({cause})"),
    };
    let mut text = format!("cnictl {}, {kernel}", env!("CARGO_PKG_VERSION"));
    for plugin in lint::ours() {
        let name = plugin.name();
        let mut files = node.places.plugins.iter().map(|dir| dir.join(name));
        if let Some(file) = files.find(|file| file.is_file()) {
            text.push_str(&format!(", {name} {}", version(&file)));
        }
    }
    Finding::ok("versions", text)
}

/// What a plugin says about itself: `CNI NAME plugin version VERSION`.
fn version(file: &Path) -> String {
    let said = portmap::program::run(file, &[], "");
    let said = said.map(|output| output.printed + &output.said);
    let word = |said: &str| {
        let (_, rest) = said.split_once("plugin ")?;
        let rest = rest.strip_prefix("version ").unwrap_or(rest);
        rest.split_whitespace().next().map(str::to_owned)
    };
    let version = said.ok().and_then(|said| word(&said));
    version.unwrap_or_else(|| "of an unknown version".to_owned())
}
