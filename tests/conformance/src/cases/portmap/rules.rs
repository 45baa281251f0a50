//! What ADD of portmap puts into the kernel: the names that people's scripts know.

use serde_json::json;

use super::traces::{all_of, none_of};
use super::{mapping, mapping_at, mappings, web};
use crate::at_once::at_once;
use crate::case::Table;
use crate::failure::{Failure, Verdict, ensure, equal};
use crate::group::Group;
use crate::kernel::{chain, script, sysctl_is};
use crate::lab::Pods;

/// Cases of rules.
pub fn cases(table: &mut Table, group: Group) {
    if group != Group::PortmapNftables {
        iptables(table);
    }
    route_localnet(table);
    table.case("ADD without port mappings touches nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        for conf in [
            json!({}),
            json!({"runtimeConfig": {}}),
            json!({"runtimeConfig": null}),
            mappings(&[]),
            json!({"runtimeConfig": {"portMappings": null}}),
        ] {
            pods.request(conf).added()?.check()?.silent()?;
        }
        pods.unchanged(&before)?;
        sysctl_is(&pods.net.host, "net.ipv4.conf.veth0.route_localnet", "0")
    });
    table.case("ADD passes prevResult through", |lab| {
        let pods = lab.pod()?;
        for conf in [json!({}), web()] {
            let request = pods.request(conf);
            let mut expected = request.conf()["prevResult"].clone();
            if let Some(map) = expected.as_object_mut() {
                map.remove("dns");
            }
            let mut result = request.add()?.result()?;
            if let Some(map) = result.as_object_mut() {
                map.remove("dns");
            }
            equal("result", &result, &expected)?;
        }
        Ok(())
    });
    table.case(
        "ADD for a container with IPv4 alone leaves IPv6 alone",
        |lab| {
            let pods = lab.pod()?;
            one_family(&pods, 0)?;
            none_of(&pods.net.host, &["fd00:22::2"])?;
            all_of(&pods.net.host, &["10.22.0.2"])
        },
    );
    table.case(
        "ADD for a container with IPv6 alone leaves IPv4 alone",
        |lab| {
            let pods = lab.pod()?;
            one_family(&pods, 1)?;
            none_of(&pods.net.host, &["10.22.0.2"])?;
            sysctl_is(&pods.net.host, "net.ipv4.conf.veth0.route_localnet", "0")
        },
    );
}

fn one_family(pods: &Pods, ip: usize) -> Verdict {
    let request = pods.request(web());
    let mut previous = request.conf()["prevResult"].clone();
    previous["ips"] = json!([previous["ips"][ip].clone()]);
    request.set("prevResult", previous).added()?.check()?.ok()
}

/// The nat table of a family, as the variant under test saves it.
fn saved(pods: &Pods, tool: &str) -> Result<String, Failure> {
    let variant = pods.lab.group.variant();
    script(&pods.net.host, &format!("{tool}-{variant}-save -t nat"))
}

fn iptables(table: &mut Table) {
    table.case(
        "the rules of the sample with two ports are those of the reference, name for name",
        |lab| {
            let pods = lab.pod()?;
            pods.usual().added()?;
            has_lines(&pods, "iptables", &SAMPLE_V4)?;
            has_lines(&pods, "ip6tables", &SAMPLE_V6)
        },
    );
    table.case("the mark bit is that of markMasqBit", |lab| {
        let pods = lab.pod()?;
        pods.request(web()).with(json!({"markMasqBit": 5})).added()?.check()?.ok()?;
        has_lines(&pods, "iptables", &[
            "-A CNI-HOSTPORT-MASQ -m mark --mark 0x20/0x20 -j MASQUERADE",
            "-A CNI-HOSTPORT-SETMARK -m comment --comment \"CNI portfwd masquerade mark\" -j MARK --set-xmark 0x20/0x20",
        ])
    });
    table.case("snat false makes no masquerading rules", |lab| {
        let pods = lab.pod()?;
        pods.request(web())
            .with(json!({"snat": false}))
            .added()?
            .check()?
            .ok()?;
        let text = saved(&pods, "iptables")?;
        ensure(
            !text.contains("SETMARK") && !text.contains("MASQUERADE"),
            || text,
        )
    });
    table.case("masqAll marks every packet of a mapping", |lab| {
        let pods = lab.pod()?;
        pods.request(web())
            .with(json!({"masqAll": true}))
            .added()?
            .check()?
            .ok()?;
        has_lines(
            &pods,
            "iptables",
            &["-A @ -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK"],
        )
    });
    table.case(
        "externalSetMarkChain takes the place of the own mark chain",
        |lab| {
            let pods = lab.pod()?;
            make_chain(&pods, "KUBE-MARK-MASQ")?;
            pods.request(web())
                .with(json!({"externalSetMarkChain": "KUBE-MARK-MASQ"}))
                .added()?
                .check()?
                .ok()?;
            has_lines(
                &pods,
                "iptables",
                &["-A @ -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j KUBE-MARK-MASQ"],
            )
        },
    );
    table.case(
        "a missing externalSetMarkChain falls back to the own mark",
        |lab| {
            let pods = lab.pod()?;
            let request = pods
                .request(web())
                .with(json!({"externalSetMarkChain": "KUBE-MARK-MASQ"}));
            request.added()?.check()?.ok()?;
            all_of(&pods.net.host, &["10.22.0.2:80"])
        },
    );
    table.case("conditions stand in the jump rules", |lab| {
        let pods = lab.pod()?;
        let conditions = json!({"conditionsV4": ["-s", "192.0.2.0/24"], "conditionsV6": ["!", "-s", "2001:db8::/32"]});
        pods.request(web()).with(conditions).added()?.check()?.ok()?;
        let jump = "-A CNI-HOSTPORT-DNAT -s 192.0.2.0/24 -p tcp -m comment --comment \"dnat name: \\\"net1\\\" id: \\\"cid-0001\\\"\" -m multiport --dports 8080 -j @";
        has_lines(&pods, "iptables", &[jump])?;
        has_lines(&pods, "ip6tables", &["-A CNI-HOSTPORT-DNAT ! -s 2001:db8::/32 -p tcp"])
    });
    table.case("sixteen ports of one protocol are two jump rules", |lab| {
        let pods = lab.pod()?;
        let list: Vec<_> = (0..16).map(|n| mapping("tcp", 9000 + n, 80 + n)).collect();
        pods.request(mappings(&list)).added()?.check()?.ok()?;
        let text = saved(&pods, "iptables")?;
        let jumps = text
            .lines()
            .filter(|line| line.starts_with("-A CNI-HOSTPORT-DNAT"))
            .count();
        equal("jump rules", &jumps, &2)
    });
    table.case("a hostIP stands in the rules of its family alone", |lab| {
        let pods = lab.pod()?;
        let list = [mapping_at("192.0.2.1", "tcp", 8080, 80), mapping_at("2001:db8::5", "tcp", 8083, 80)];
        pods.request(mappings(&list)).added()?.check()?.ok()?;
        has_lines(&pods, "iptables", &["-A @ -d 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.2:80"])?;
        has_lines(&pods, "ip6tables", &["-A @ -d 2001:db8::5/128 -p tcp -m tcp --dport 8083 -j DNAT --to-destination [fd00:22::2]:80"])?;
        let text = saved(&pods, "iptables")?;
        ensure(!text.lines().any(|line| line.contains("8083") && line.contains("-A CNI-DN-")), || "IPv4 has a rule for the port of the IPv6 hostIP".into())
    });
    table.case(
        "the POSTROUTING jump is first, those of PREROUTING and OUTPUT are last",
        |lab| {
            let pods = lab.pod()?;
            let variant = lab.group.variant();
            for chain in ["PREROUTING", "OUTPUT", "POSTROUTING"] {
                script(
                    &pods.net.host,
                    &format!("iptables-{variant} -w -t nat -A {chain} -p tcp --dport 1 -j ACCEPT"),
                )?;
            }
            pods.request(web()).added()?.check()?.ok()?;
            let text = saved(&pods, "iptables")?;
            let order = |chain: &str| {
                text.lines()
                    .filter(|line| line.starts_with(&format!("-A {chain} ")))
                    .map(|line| line.contains("CNI-HOSTPORT"))
                    .collect::<Vec<_>>()
            };
            equal("POSTROUTING", &order("POSTROUTING"), &vec![true, false])?;
            equal("PREROUTING", &order("PREROUTING"), &vec![false, true])?;
            equal("OUTPUT", &order("OUTPUT"), &vec![false, true])
        },
    );
    table.case(
        "the jump rules of the newest attachment stand at the top",
        |lab| {
            let pods = lab.pods(2)?;
            pods.request(mappings(&[mapping("tcp", 8080, 80)]))
                .added()?;
            pods.request_for(1, mappings(&[mapping("tcp", 8090, 80)]))
                .id("cid-0002")
                .added()?;
            let text = saved(&pods, "iptables")?;
            let first = text
                .lines()
                .find(|line| line.starts_with("-A CNI-HOSTPORT-DNAT"))
                .unwrap_or_default();
            ensure(first.contains("cid-0002"), || first.to_owned())
        },
    );
    table.case("eight pods at once make each shared rule once", |lab| {
        let pods = lab.pods(8)?;
        let pod = |n: u16| {
            let request = pods.request_for(n.into(), mappings(&[mapping("tcp", 8080 + n, 80)]));
            request.id(&format!("pod-{n}"))
        };
        at_once((0..8).map(pod), |request| request.added().map(drop))?;
        let text = saved(&pods, "iptables")?;
        for rule in [
            "-A PREROUTING ",
            "-A OUTPUT ",
            "-A POSTROUTING ",
            "-A CNI-HOSTPORT-MASQ ",
            "-A CNI-HOSTPORT-SETMARK ",
        ] {
            equal(
                rule,
                &text.lines().filter(|line| line.starts_with(rule)).count(),
                &1,
            )?;
        }
        Ok(())
    });
}

fn route_localnet(table: &mut Table) {
    table.case(
        "ADD sets route_localnet on the host's interface towards the container",
        |lab| {
            let pods = lab.pod()?;
            pods.request(web()).added()?;
            sysctl_is(&pods.net.host, "net.ipv4.conf.veth0.route_localnet", "1")?;
            sysctl_is(&pods.net.host, "net.ipv4.conf.all.route_localnet", "0")
        },
    );
    table.case("ADD sets route_localnet on the bridge", |lab| {
        let pods = lab.build(&sandbox::Topology::new().bridge("cni0"))?;
        pods.request(web()).added()?;
        sysctl_is(&pods.net.host, "net.ipv4.conf.cni0.route_localnet", "1")
    });
    table.case("snat false leaves route_localnet alone", |lab| {
        let pods = lab.pod()?;
        pods.request(web()).with(json!({"snat": false})).added()?;
        sysctl_is(&pods.net.host, "net.ipv4.conf.veth0.route_localnet", "0")
    });
}

fn make_chain(pods: &Pods, name: &str) -> Verdict {
    let variant = pods.lab.group.variant();
    for tool in ["iptables", "ip6tables"] {
        let command = format!("{tool}-{variant} -w -t nat");
        script(
            &pods.net.host,
            &format!("{command} -N {name}; {command} -A {name} -j MARK --or-mark 0x4000"),
        )?;
    }
    Ok(())
}

/// `@` stands for the attachment's chain; a line of the table must begin so.
fn has_lines(pods: &Pods, tool: &str, lines: &[&str]) -> Verdict {
    let text = saved(pods, tool)?;
    let own = chain("net1", "cid-0001");
    for line in lines {
        let line = line.replace('@', &own);
        ensure(text.lines().any(|seen| seen.starts_with(&line)), || {
            format!("{tool} has no rule {line}")
        })?;
    }
    Ok(())
}

const SAMPLE_V4: [&str; 13] = [
    "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    "-A POSTROUTING -m comment --comment \"CNI portfwd requiring masquerade\" -j CNI-HOSTPORT-MASQ",
    "-A @ -s 10.22.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
    "-A @ -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
    "-A @ -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.2:80",
    "-A @ -s 10.22.0.0/16 -p udp -m udp --dport 8081 -j CNI-HOSTPORT-SETMARK",
    "-A @ -s 127.0.0.1/32 -p udp -m udp --dport 8081 -j CNI-HOSTPORT-SETMARK",
    "-A @ -p udp -m udp --dport 8081 -j DNAT --to-destination 10.22.0.2:81",
    "-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"net1\\\" id: \\\"cid-0001\\\"\" -m multiport --dports 8080 -j @",
    "-A CNI-HOSTPORT-DNAT -p udp -m comment --comment \"dnat name: \\\"net1\\\" id: \\\"cid-0001\\\"\" -m multiport --dports 8081 -j @",
    "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
    "-A CNI-HOSTPORT-SETMARK -m comment --comment \"CNI portfwd masquerade mark\" -j MARK --set-xmark 0x2000/0x2000",
];

const SAMPLE_V6: [&str; 5] = [
    "-A @ -s fd00:22::/64 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
    "-A @ -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:22::2]:80",
    "-A @ -s fd00:22::/64 -p udp -m udp --dport 8081 -j CNI-HOSTPORT-SETMARK",
    "-A @ -p udp -m udp --dport 8081 -j DNAT --to-destination [fd00:22::2]:81",
    "-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"net1\\\" id: \\\"cid-0001\\\"\" -m multiport --dports 8080 -j @",
];
