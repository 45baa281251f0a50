//! DEL of portmap leaves nothing, whatever it is told and whatever it finds.

use serde_json::{Value, json};

use super::traces::none_of;
use super::{mapping, mappings, web};
use crate::at_once::at_once;
use crate::case::Table;
use crate::failure::{Verdict, equal};
use crate::kernel::{chain, script};
use crate::lab::Pods;
use crate::request::Request;

/// Fails when anything of the first pod's attachment is in the firewall.
pub fn nothing_left(pods: &Pods) -> Verdict {
    none_of(
        &pods.net.host,
        &[
            "cid-0001",
            "10.22.0.2",
            "fd00:22::2",
            &chain("net1", "cid-0001"),
        ],
    )
}

/// Cases of DEL.
pub fn cases(table: &mut Table) {
    told(table);
    found(table);
    repeated(table);
}

/// What the runtime may send with DEL.
fn told(table: &mut Table) {
    let changes: [(&str, Value); 14] = [
        ("without port mappings", json!({"runtimeConfig": null})),
        (
            "with an empty list of port mappings",
            json!({"runtimeConfig": {"portMappings": []}}),
        ),
        (
            "with other port mappings",
            json!({"runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 2, "protocol": "tcp"}]}}),
        ),
        (
            "with a port that is none",
            json!({"runtimeConfig": {"portMappings": [{"hostPort": 99999, "containerPort": 2, "protocol": "tcp"}]}}),
        ),
        (
            "with port mappings of a wrong type",
            json!({"runtimeConfig": {"portMappings": 5}}),
        ),
        (
            "with garbage for hostIP",
            json!({"runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 2, "protocol": "tcp", "hostIP": "x;y"}]}}),
        ),
        ("without prevResult", json!({"prevResult": null})),
        (
            "with a prevResult that is a number",
            json!({"prevResult": 5}),
        ),
        (
            "with a prevResult without a version",
            json!({"prevResult": {"x": 1}}),
        ),
        (
            "with an address that is none",
            json!({"prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "zz"}]}}),
        ),
        (
            "with null among the addresses",
            json!({"prevResult": {"cniVersion": "1.0.0", "ips": [null]}}),
        ),
        ("with snat false", json!({"snat": false})),
        ("with a mark bit that is none", json!({"markMasqBit": 77})),
        (
            "with a backend that does not exist",
            json!({"backend": "ebpf"}),
        ),
    ];
    for (name, change) in changes {
        table.case(format!("DEL {name} removes everything"), move |lab| {
            let pods = lab.pod()?;
            let mut request = pods.usual().added()?;
            for (key, value) in change.as_object().into_iter().flatten() {
                request = request.set(key, value.clone());
            }
            request.del()?.orderly()?;
            nothing_left(&pods)
        });
    }
    table.case("DEL with port mappings removes everything", |lab| {
        let pods = lab.pod()?;
        pods.usual().added()?.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case(
        "DEL without namespace, prevResult and port mappings removes everything",
        |lab| {
            let pods = lab.pod()?;
            pods.usual().added()?.forgotten().del()?.silent()?;
            nothing_left(&pods)
        },
    );
    table.case(
        "DEL when the namespace and the interface are gone removes everything",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            script(&pods.net.host, "ip link del veth0")?;
            request
                .env("CNI_NETNS", "/run/netns/no-such-namespace")
                .del()?
                .silent()?;
            nothing_left(&pods)
        },
    );
    table.case("DEL without CNI_NETNS removes everything", |lab| {
        let pods = lab.pod()?;
        pods.usual().added()?.no_env("CNI_NETNS").del()?.silent()?;
        nothing_left(&pods)
    });
    table.case(
        "DEL leaves everything as it was before the first ADD but for shared chains",
        |lab| {
            let pods = lab.pods(2)?;
            // A first attachment makes what is shared, so that only the second's own things count.
            pods.request_for(1, mappings(&[mapping("tcp", 8090, 80)]))
                .id("cid-0002")
                .added()?;
            let before = pods.state()?;
            pods.usual().added()?.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "ADD and DEL on a node without other pods leave no rule that translates",
        |lab| {
            let pods = lab.pod()?;
            pods.usual().added()?.del()?.silent()?;
            none_of(
                &pods.net.host,
                &["dnat to", "to-destination", "8080", "8081"],
            )
        },
    );
}

/// What others may have done in the meantime.
fn found(table: &mut Table) {
    table.case("DEL removes what is left of a half-finished ADD", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        let commands: &[&str] = match lab.group.backend() {
            "nftables" => &["nft flush table inet TABLE"],
            _ => &[
                "iptables-VARIANT -w -t nat -F CHAIN",
                "iptables-VARIANT -w -t nat -D PREROUTING 1",
                "ip6tables-VARIANT -w -t nat -F CNI-HOSTPORT-DNAT",
                "ip6tables-VARIANT -w -t nat -F CHAIN; ip6tables-VARIANT -w -t nat -X CHAIN",
            ],
        };
        for command in commands {
            let command = command
                .replace("VARIANT", lab.group.variant())
                .replace("CHAIN", &chain("net1", "cid-0001"))
                .replace("CNI-HOSTPORT-DNAT-DNAT", "CNI-HOSTPORT-DNAT");
            if !command.contains("TABLE") {
                script(&pods.net.host, &command)?;
            }
        }
        request.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case("DEL after everything was flushed succeeds", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        script(&pods.net.host, "nft flush ruleset; for t in iptables-legacy ip6tables-legacy; do $t -w -t nat -F; $t -w -t nat -X; done")?;
        request.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case("DEL leaves other people's rules alone", |lab| {
        let pods = lab.pod()?;
        let variant = lab.group.variant();
        script(&pods.net.host, &format!("iptables-{variant} -w -t nat -N OTHER; iptables-{variant} -w -t nat -A PREROUTING -p tcp --dport 22 -j OTHER
            nft add table inet theirs; nft 'add chain inet theirs c'; nft add rule inet theirs c tcp dport 22 accept comment theirs"))?;
        let request = pods.usual().added()?;
        request.del()?.silent()?;
        super::traces::all_of(&pods.net.host, &["OTHER", "theirs"])
    });
    table.case("DEL removes jumps to the attachment's chain from anywhere", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        if lab.group.backend() == "iptables" {
            let (variant, own) = (lab.group.variant(), chain("net1", "cid-0001"));
            script(&pods.net.host, &format!("iptables-{variant} -w -t nat -N OTHER; iptables-{variant} -w -t nat -A OTHER -p tcp -j {own}
                iptables-{variant} -w -t nat -I PREROUTING -p tcp --dport 7 -j {own}"))?;
        }
        request.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case("DEL removes jump rules that stand twice", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        if lab.group.backend() == "iptables" {
            let (variant, own) = (lab.group.variant(), chain("net1", "cid-0001"));
            script(&pods.net.host, &format!("for n in 1 2 3; do iptables-{variant} -w -t nat -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment 'dnat name: \"net1\" id: \"cid-0001\"' -m multiport --dports 8080 -j {own}; done"))?;
        }
        request.del()?.silent()?;
        nothing_left(&pods)
    });
}

fn repeated(table: &mut Table) {
    table.case("DEL twice succeeds", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        request.del()?.silent()?;
        request.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case("DEL without ADD succeeds and makes nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.usual().del()?.silent()?;
        pods.usual().forgotten().del()?.silent()?;
        pods.unchanged(&before)
    });
    table.case("ADD twice is ADD once", |lab| {
        let pods = lab.pod()?;
        pods.usual().added()?;
        let before = pods.state()?;
        let request = pods.usual().added()?;
        pods.unchanged(&before)?;
        request.check()?.silent()?;
        request.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case("ADD three times and DEL once leave nothing", |lab| {
        let pods = lab.pod()?;
        for _ in 0..2 {
            pods.usual().added()?;
        }
        pods.usual().added()?.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case(
        "ADD of an older attachment again leaves it as it was",
        |lab| {
            let pods = lab.pods(2)?;
            let first = pods.request(web()).added()?;
            pods.request_for(1, mappings(&[mapping("tcp", 8090, 80)]))
                .id("cid-0002")
                .added()?;
            first.add()?.ok()?;
            first.check()?.silent()?;
            let list = match lab.group.backend() {
                "nftables" => "nft list ruleset".to_owned(),
                _ => format!("iptables-{}-save", lab.group.variant()),
            };
            let text = crate::kernel::script(&pods.net.host, &list)?;
            let count =
                text.matches("10.22.0.2:80").count() + text.matches("10.22.0.2 . 80").count();
            equal("rules to 10.22.0.2:80", &(count <= 1), &true)
        },
    );
    table.case(
        "sixteen ADDs of one attachment at once are one, and DEL leaves nothing",
        |lab| {
            let pods = lab.pod()?;
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| pods.usual().add());
                }
            });
            let request = pods.usual().added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            nothing_left(&pods)
        },
    );
    table.case(
        "sixteen pods at once are added, checked and deleted",
        |lab| {
            let pods = lab.pods(16)?;
            let pod = |n: u16| {
                let list = [mapping("tcp", 8080 + n, 80), mapping("udp", 8080 + n, 80)];
                let request = pods.request_for(n.into(), mappings(&list));
                request.id(&format!("pod-{n}"))
            };
            at_once((0..16).map(pod), Request::comes_and_goes)?;
            for n in 0..16 {
                none_of(
                    &pods.net.host,
                    &[&format!("pod-{n}"), &format!("10.22.0.{}", n + 2)],
                )?;
            }
            Ok(())
        },
    );
}
