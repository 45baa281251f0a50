//! Requests and tables that nobody should send or write.

use super::node::{
    Backend, Host, mapping, mapping_on, on_both_variants, on_every_backend, request, request_of,
};

on_every_backend!(bad_input_is_refused_by_name_and_changes_nothing);
on_both_variants!(
    conditions_that_iptables_refuses_are_refused_and_change_nothing,
    refused_conditions_leave_nothing_of_the_attachment,
    foreign_rules_of_every_kind_disturb_no_verb,
);

fn bad_input_is_refused_by_name_and_changes_nothing(backend: Backend) {
    let host = Host::usual(backend);
    let before = host.state();
    let entry = |host_port: &str, container_port: &str, protocol: &str, host_ip: &str| {
        format!(
            r#"{{"hostPort":{host_port},"containerPort":{container_port},"protocol":{protocol},"hostIP":{host_ip}}}"#
        )
    };
    for (entry, code, named) in [
        (entry("0", "80", "\"tcp\"", "\"\""), 7, "hostPort = 0"),
        (entry("-1", "80", "\"tcp\"", "\"\""), 7, "hostPort = -1"),
        (
            entry("65536", "80", "\"tcp\"", "\"\""),
            7,
            "hostPort = 65536",
        ),
        (
            entry("8080", "0", "\"tcp\"", "\"\""),
            7,
            "containerPort = 0",
        ),
        (entry("\"8080\"", "80", "\"tcp\"", "\"\""), 6, "hostPort"),
        (entry("8080.5", "80", "\"tcp\"", "\"\""), 6, "hostPort"),
        (entry("8080", "80", "\"icmp\"", "\"\""), 7, "protocol"),
        (entry("8080", "80", "\"tcp; drop\"", "\"\""), 7, "protocol"),
        (entry("8080", "80", "1", "\"\""), 6, "protocol"),
        (entry("8080", "80", "\"tcp\"", "\"not-an-ip\""), 7, "hostIP"),
        (
            entry("8080", "80", "\"tcp\"", r#""1.2.3.4 -j ACCEPT\n-A INPUT""#),
            7,
            "hostIP",
        ),
        (
            entry("8080", "80", "\"tcp\"", r#""1.2.3.4; add table ip x""#),
            7,
            "hostIP",
        ),
        (entry("8080", "80", "\"tcp\"", r#""\"""#), 7, "hostIP"),
        (entry("8080", "80", "\"tcp\"", "[]"), 6, "hostIP"),
        (
            entry("8080", "80", "\"tcp\"", r#""224.0.0.1""#),
            7,
            "hostIP",
        ),
        (
            entry("8080", "80", "\"udp\"", r#""255.255.255.255""#),
            7,
            "hostIP",
        ),
        (entry("8080", "80", "\"tcp\"", r#""ff02::1""#), 7, "hostIP"),
    ] {
        let both = [mapping("tcp", 1000, 80), entry].join(",");
        let said = host.fails(&host.call("ADD", &request("", &both)), code);
        assert!(
            said.contains("portMappings[1]") && said.contains(named),
            "{said}"
        );
    }
    for (options, code) in [
        (r#""markMasqBit":32,"#, 7),
        (r#""markMasqBit":"13","#, 6),
        (r#""onConflict":"x","#, 7),
        (r#""snat":"no","#, 6),
        (r#""conditionsV4":["-s\n-F"],"#, 7),
        (r#""conditionsV4":"-s","#, 6),
    ] {
        host.fails(
            &host.call("ADD", &request(options, &mapping("tcp", 1000, 80))),
            code,
        );
    }
    let nobody = request_of("", &mapping("tcp", 1000, 80), &[]);
    assert!(
        host.fails(&host.call("ADD", &nobody), 7)
            .contains("no address of eth0")
    );
    assert_eq!(host.state(), before);
}

fn conditions_that_iptables_refuses_are_refused_and_change_nothing(backend: Backend) {
    let host = Host::usual(backend);
    host.run("ADD", &request("", &mapping("tcp", 1000, 80)));
    let before = host.state();
    for words in [
        r#"["--no-such-option"]"#,
        r#"["-m","no-such-match"]"#,
        r#"["-s","no.such.address.invalid"]"#,
        r#"["-j","ACCEPT"]"#,
        r#"["-t","filter"]"#,
        r#"["-p","icmp"]"#,
        r#"["-s"]"#,
        r#"["-F"]"#,
        r#"["!"]"#,
        r#"["-A","INPUT"]"#,
    ] {
        for key in ["conditionsV4", "conditionsV6"] {
            let options = format!(r#""{key}":{words},"#);
            let request = request(&options, &mapping("tcp", 8080, 80));
            let call = host
                .call("ADD", &request)
                .env("CNI_CONTAINERID", "cid-0002");
            let said = host.fails(&call, 7);
            assert!(said.contains(key), "{said}");
            assert_eq!(host.state(), before, "{key} {words}");
        }
    }
}

/// What is made for the first ADD goes with it. iptables' own tables come by looking at them.
fn refused_conditions_leave_nothing_of_the_attachment(backend: Backend) {
    let bad_v4 = r#""conditionsV4":["-m","no-such-match"],"#;
    // IPv4 is done when IPv6 is refused.
    let bad_v6 = r#""conditionsV6":["-s","fd00::1","-j","ACCEPT"],"#;
    let to_a_pod = [mapping("tcp", 8080, 80), mapping("udp", 8081, 80)].join(",");
    for options in [bad_v4, bad_v6] {
        let host = Host::usual(backend);
        host.fails(&host.call("ADD", &request(options, &to_a_pod)), 7);
        for base in ["iptables", "ip6tables"] {
            for table in ["nat", "mangle"] {
                let left = host.table(base, table);
                let is_ours = |line: &str| line.contains("CNI-DN-") || line.contains("dnat name");
                assert!(!left.lines().any(is_ours), "{options} {left}");
            }
        }
    }
}

fn foreign_rules_of_every_kind_disturb_no_verb(backend: Backend) {
    let host = Host::usual(backend);
    let long = "x".repeat(255);
    for command in [
        "-t nat -N EMPTY".to_owned(),
        "-t nat -N CNI-DN-".to_owned(),
        "-t nat -N CNI-DN-not-a-hash".to_owned(),
        "-t nat -N CNI-HOSTPORT-DNAT".to_owned(),
        format!("-t nat -A EMPTY -m comment --comment {long} -j RETURN"),
        "-t nat -A EMPTY -m comment --comment \"'\\_-j_CNI-DN-e3b332d931428973f7ef7".to_owned(),
        "-t nat -A EMPTY -p tcp -m multiport --dports 1:65535 -j EMPTY2".to_owned(),
        "-t nat -A CNI-HOSTPORT-DNAT -m comment --comment dnat_name:_\"net1\"_id:_\" -j EMPTY".to_owned(),
        "-t nat -A CNI-HOSTPORT-DNAT -m comment --comment dnat_name:_\"net1\"_id:_\"cid-0001\" -j EMPTY".to_owned(),
        "-t nat -A CNI-HOSTPORT-DNAT -m comment --comment dnat_name:_\"net1\"_id:_\"cid-0001\"".to_owned(),
        "-t nat -A PREROUTING -p 47 -j EMPTY".to_owned(),
        "-t nat -A POSTROUTING -m statistic --mode random --probability 0.5 -j EMPTY".to_owned(),
        "-t nat -A OUTPUT -m comment --comment :CNI-DN-x_-_[0:0] -j EMPTY".to_owned(),
    ] {
        if command.contains("EMPTY2") {
            host.iptables("iptables", "-t nat -N EMPTY2");
        }
        host.iptables("iptables", &command);
    }
    let before = host.nat("iptables");
    let request = request(
        "",
        &[
            mapping("tcp", 8080, 80),
            mapping_on("10.99.0.1", "udp", 1, 1),
        ]
        .join(","),
    );
    for _ in 0..2 {
        host.run("ADD", &request);
        host.run("CHECK", &request);
    }
    host.run("DEL", &request);
    let after = host.nat("iptables");
    for line in before.lines().filter(|line| line.contains("EMPTY")) {
        assert!(after.contains(line), "{line} in {after}");
    }
    assert!(!after.contains("10.22.0.2"), "{after}");
    host.run(
        "GC",
        r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","x":1}"#,
    );
    assert!(host.nat("iptables").contains("-N EMPTY") || host.nat("iptables").contains(":EMPTY "));
}
