//! What other versions, variants and backends left behind is cleaned up.

use super::del::nothing_left;
use super::traces::all_of;
use crate::case::Table;
use crate::failure::Verdict;
use crate::kernel::{chain, script};
use crate::lab::Pods;
use crate::request::Request;

/// What the reference's nftables backend makes for `cid-0001` and for `other`, IPv4.
const REFERENCE_NFT: &str = r#"
nft -f - <<'EOF'
table ip cni_hostport {
  comment "CNI portmap plugin"
  chain hostports {
    tcp dport 8080 dnat to 10.22.0.2:80 comment "cid-0001"
    tcp dport 9090 dnat to 10.22.0.7:80 comment "other"
  }
  chain hostip_hostports {
    ip daddr 192.0.2.1 udp dport 8081 dnat to 10.22.0.2:81 comment "cid-0001"
  }
  chain hostports_all { jump hostip_hostports; jump hostports; }
  chain prerouting { type nat hook prerouting priority -100; fib daddr type local jump hostports_all; }
  chain output { type nat hook output priority -100; fib daddr type local jump hostports_all; }
  chain masquerading { type nat hook postrouting priority 100;
    ip saddr 10.22.0.2 ip daddr 10.22.0.2 masquerade comment "cid-0001"
    ip saddr 127.0.0.1 ip daddr 10.22.0.2 masquerade comment "cid-0001"
    ip saddr 10.22.0.7 ip daddr 10.22.0.7 masquerade comment "other"
  }
}
EOF
"#;

/// What the reference's iptables backend makes for `cid-0001` of `net1`.
const REFERENCE_IPTABLES: &str = r#"
iptables-VARIANT-restore -w --noflush <<'EOF'
*nat
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:DN - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A DN -s 10.22.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A DN -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.2:80
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"net1\" id: \"cid-0001\"" -m multiport --dports 8080 -j DN
COMMIT
EOF
"#;

/// Cases of leftovers.
pub fn cases(table: &mut Table) {
    for (name, forgotten) in [("DEL", false), ("DEL that knows nothing else", true)] {
        table.case(
            format!("{name} removes the rules of the reference's nftables backend"),
            move |lab| {
                let pods = lab.pod()?;
                script(&pods.net.host, REFERENCE_NFT)?;
                del_leftovers(&pods, forgotten)?;
                all_of(&pods.net.host, &["other", "10.22.0.7:80"])
            },
        );
        for variant in ["nft", "legacy"] {
            table.case(
                format!("{name} removes the rules of the reference in iptables-{variant}"),
                move |lab| {
                    let pods = lab.pod()?;
                    script(&pods.net.host, &reference_iptables(variant))?;
                    del_leftovers(&pods, forgotten)
                },
            );
        }
    }
    table.case(
        "GC removes the rules of the reference's iptables backend",
        |lab| {
            let pods = lab.pod()?;
            script(&pods.net.host, &reference_iptables(lab.group.variant()))?;
            pods.usual().gc(&[("other", "eth0")])?.silent()?;
            nothing_left(&pods)
        },
    );
    table.case(
        "GC keeps the rules of the reference's iptables backend for a valid attachment",
        |lab| {
            let pods = lab.pod()?;
            script(&pods.net.host, &reference_iptables(lab.group.variant()))?;
            pods.usual().gc(&[("cid-0001", "eth0")])?.silent()?;
            all_of(&pods.net.host, &["10.22.0.2:80"])
        },
    );
    table.case(
        "ADD after the reference's ADD takes its chain over, and DEL leaves nothing",
        |lab| {
            let pods = lab.pod()?;
            script(&pods.net.host, &reference_iptables(lab.group.variant()))?;
            let request = pods.usual().added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            nothing_left(&pods)
        },
    );
    table.case("DEL removes what ADD made with the other backend", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        with_other_backend(request).del()?.silent()?;
        nothing_left(&pods)
    });
    table.case(
        "ADD with the other backend leaves one set of rules for DEL to remove",
        |lab| {
            let pods = lab.pod()?;
            pods.usual().added()?;
            let request = with_other_backend(pods.usual()).added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            nothing_left(&pods)
        },
    );
    table.case(
        "DEL removes what ADD made with the other variant of iptables",
        |lab| {
            let pods = lab.pod()?;
            let other = if lab.group.variant() == "nft" {
                "legacy"
            } else {
                "nft"
            };
            let request = pods.usual().set("backend", serde_json::json!("iptables"));
            let request = request.env("PATH", &crate::exec::path(other)).added()?;
            request
                .env("PATH", &crate::exec::path(lab.group.variant()))
                .del()?
                .silent()?;
            nothing_left(&pods)
        },
    );
}

/// DEL, whether it knows anything of the attachment or not, leaves none of its rules.
fn del_leftovers(pods: &Pods, forgotten: bool) -> Verdict {
    let request = match forgotten {
        true => pods.usual().forgotten(),
        false => pods.usual(),
    };
    request.del()?.silent()?;
    nothing_left(pods)
}

fn with_other_backend<'p>(request: Request<'p>) -> Request<'p> {
    let other = match request.conf()["backend"].as_str() {
        Some("nftables") => "iptables",
        _ => "nftables",
    };
    request.set("backend", serde_json::json!(other))
}

fn reference_iptables(variant: &str) -> String {
    let dn = chain("net1", "cid-0001");
    REFERENCE_IPTABLES
        .replace("VARIANT", variant)
        .replace(":DN ", &format!(":{dn} "))
        .replace("-A DN ", &format!("-A {dn} "))
        .replace("-j DN\n", &format!("-j {dn}\n"))
}
