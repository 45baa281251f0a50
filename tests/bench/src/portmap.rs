//! `portmap`: a pod with two ports on a node where other pods have theirs.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sandbox::Namespace;
use serde_json::json;

use crate::nets::Nets;
use crate::run::{ADDRESS, Call, prev_result};
use crate::scenario::{Pods, Scenario, Side};

/// A variant of iptables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Nft,
    Legacy,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Nft => "nft",
            Variant::Legacy => "legacy",
        }
    }

    fn backend(self) -> &'static str {
        match self {
            Variant::Nft => "iptables-nft",
            Variant::Legacy => "iptables-legacy",
        }
    }
}

/// A node for each side. Their programs are those of one variant, of IPv4 alone: the CHECK of release
/// 1.1.1 fails where it finds `ip6tables`, too.
struct Published {
    nets: Nets,
    dir: PathBuf,
}

impl Published {
    fn new(variant: Variant, others: u32) -> io::Result<Published> {
        let name = format!(
            "bench-portmap-{}-{}-{others}",
            std::process::id(),
            variant.name()
        );
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir)?;
        for end in ["", "-restore", "-save"] {
            let program = format!("/usr/sbin/iptables-{}{end}", variant.name());
            symlink(program, dir.join(format!("iptables{end}")))?;
        }
        let published = Published {
            nets: Nets::build()?,
            dir,
        };
        fs::write(published.dir.join("rules"), rules(others))?;
        for side in [Side::Ours, Side::Reference] {
            published.fill(side)?;
        }
        Ok(published)
    }

    fn fill(&self, side: Side) -> io::Result<()> {
        let status = self
            .host(side)
            .command(self.dir.join("iptables-restore"))
            .env("XTABLES_LOCKFILE", self.dir.join("lock"))
            .arg("--noflush")
            .stdin(fs::File::open(self.dir.join("rules"))?)
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(
                "iptables-restore of the other pods' rules",
            )),
        }
    }
}

/// What the reference writes for pods with two ports each.
fn rules(pods: u32) -> String {
    let mut text = "*nat\n-N CNI-HOSTPORT-DNAT\n-N CNI-HOSTPORT-SETMARK\n-N CNI-HOSTPORT-MASQ\n\
        -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n\
        -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n\
        -A POSTROUTING -m comment --comment \"CNI portfwd requiring masquerade\" -j CNI-HOSTPORT-MASQ\n\
        -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE\n\
        -A CNI-HOSTPORT-SETMARK -m comment --comment \"CNI portfwd masquerade mark\" -j MARK --set-xmark 0x2000/0x2000\n"
        .to_owned();
    for pod in 0..pods {
        let chain = format!("CNI-DN-{pod:021x}");
        // Writing to a String has no way to fail.
        let _ = writeln!(text, "-N {chain}");
        for (protocol, port) in [("tcp", 10_000 + 2 * pod), ("udp", 10_001 + 2 * pod)] {
            let base = format!("-p {protocol} -m {protocol} --dport {port}");
            for source in ["10.22.0.0/16", "127.0.0.1/32"] {
                let _ = writeln!(
                    text,
                    "-A {chain} -s {source} {base} -j CNI-HOSTPORT-SETMARK"
                );
            }
            let to = format!("10.22.{}.{}:80", 1 + pod / 250, 1 + pod % 250);
            let _ = writeln!(text, "-A {chain} {base} -j DNAT --to-destination {to}");
            let _ = writeln!(
                text,
                "-A CNI-HOSTPORT-DNAT -p {protocol} -m comment --comment \
                 \"dnat name: \\\"net1\\\" id: \\\"pod-{pod}\\\"\" -m multiport --dports {port} -j {chain}"
            );
        }
    }
    text + "COMMIT\n"
}

impl Pods for Published {
    fn host(&self, side: Side) -> &Namespace {
        self.nets.host(side)
    }

    fn call(&self, side: Side, verb: &str) -> Call {
        let netns = self.nets.netns(side);
        let conf = json!({
            "cniVersion": "1.0.0", "name": "net1", "type": "portmap", "backend": "iptables",
            "runtimeConfig": {"portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                {"hostPort": 8081, "containerPort": 81, "protocol": "udp"},
            ]},
            "prevResult": prev_result(&netns, ADDRESS),
        });
        let mut call = Call::cni(side.program("portmap"), verb, &netns, &conf);
        let own = [
            ("PATH", self.dir.clone()),
            ("XTABLES_LOCKFILE", self.dir.join("lock")),
        ];
        let own = own.map(|(key, path)| (key.to_owned(), path.display().to_string()));
        call.env.extend(own);
        call
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What is timed of `portmap`.
///
/// # Errors
/// When the nodes cannot be made.
pub fn scenarios() -> io::Result<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for variant in [Variant::Nft, Variant::Legacy] {
        for others in [0, 100, 1000, 5000] {
            scenarios.push(scenario(variant, others)?);
        }
    }
    Ok(scenarios)
}

fn scenario(variant: Variant, others: u32) -> io::Result<Scenario> {
    let pods = Published::new(variant, others)?;
    // The first ADD of a node also makes what all share.
    for side in [Side::Ours, Side::Reference] {
        let calls = ["ADD", "DEL"].map(|verb| pods.call(side, verb));
        pods.host(side)
            .run(|| calls.iter().try_for_each(|call| call.run().map(drop)))?;
    }
    Ok(Scenario {
        plugin: "portmap",
        backend: variant.backend(),
        others,
        circumstance: "2 ports".to_owned(),
        verbs: vec!["ADD", "CHECK", "DEL"],
        pods: Box::new(pods),
    })
}
