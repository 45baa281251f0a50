//! A node on which no `iptables` is installed.

use sandbox::plugin::Call;
use sandbox::probe::tcp;

use super::node::{Backend, Host, mapping, request};

/// A call of the plugin where the directories of programs hold none of iptables' programs.
fn call(host: &Host, verb: &str, request: &str) -> Call {
    let script = "exec unshare --mount sh -c 'mount -t tmpfs none /usr/sbin && exec PLUGIN'";
    let call = host.call_by_script(script, verb, request);
    call.env("PATH", "/usr/bin:/bin")
}

/// A request of the same network without `backend`, and without mappings for STATUS.
fn unset(request: &str) -> String {
    request.replace(r#""type":"portmap","#, r#""type": "portmap","#)
}

#[track_caller]
fn served(host: &Host) {
    let _server = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let node = &host.net.host;
    let outside = host.net.host.both(8080).map(|to| (host.net.client(), to));
    let inside = [(node, ([127, 0, 0, 1], 8080).into())];
    for (from, to) in outside
        .into_iter()
        .map(|(from, to)| (&**from, to))
        .chain(inside.map(|(from, to)| (&**from, to)))
    {
        let outcome = tcp::exchange(from, to);
        assert_eq!(outcome.server(), Some("pod"), "{outcome:?}");
    }
}

const STATUS: &str = r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","x":1}"#;

#[test]
fn rules_of_iptables_need_none_of_its_programs() {
    let host = Host::usual(Backend::IptablesNft);
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    let expected = host.nat("iptables");
    host.run("DEL", &request);
    host.ok(&call(&host, "STATUS", STATUS));
    for verb in ["ADD", "CHECK", "ADD"] {
        host.ok(&call(&host, verb, &request));
    }
    assert_eq!(host.nat("iptables"), expected);
    served(&host);
    host.ok(&call(&host, "DEL", &request));
    host.is_clean();
}

#[test]
fn conditions_say_that_they_need_a_program() {
    let host = Host::usual(Backend::IptablesNft);
    let options = r#""conditionsV4":["-s","10.0.0.0/8"],"#;
    let request = request(options, &mapping("tcp", 8080, 80));
    let status = STATUS.replace(r#""x":1"#, r#""conditionsV4":["-s","10.0.0.0/8"]"#);
    for (verb, request, code) in [("ADD", &request, 103), ("STATUS", &status, 50)] {
        let said = host.fails(&call(&host, verb, request), code);
        assert!(
            said.contains("iptables-") && said.contains("restore"),
            "{said}"
        );
    }
    host.is_clean();
}

/// kube-proxy in iptables mode brings its own program.
#[test]
fn beside_kube_proxy_a_port_works_with_every_way_to_mark_packets() {
    for options in [
        "",
        r#""externalSetMarkChain":"KUBE-MARK-MASQ","#,
        r#""externalSetMarkChain":"NO-SUCH-CHAIN","#,
        r#""externalSetMarkChain":"CNI-HOSTPORT-SETMARK","#,
    ] {
        for has_kube_proxy in [true, false] {
            let host = Host::usual(Backend::IptablesNft);
            if has_kube_proxy {
                for rule in [
                    "-N KUBE-SERVICES",
                    "-N KUBE-MARK-MASQ",
                    "-N KUBE-POSTROUTING",
                    "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
                    "-A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE",
                    "-A PREROUTING -j KUBE-SERVICES",
                    "-A OUTPUT -j KUBE-SERVICES",
                    "-A POSTROUTING -j KUBE-POSTROUTING",
                ] {
                    for base in ["iptables", "ip6tables"] {
                        host.iptables(base, &format!("-t nat {rule}"));
                    }
                }
            }
            let request = unset(&request(options, &mapping("tcp", 8080, 80)));
            let status = STATUS.replace(r#""x":1"#, &format!(r#"{options}"x":1"#));
            host.ok(&call(&host, "STATUS", &unset(&status)));
            host.ok(&call(&host, "ADD", &request));
            host.ok(&call(&host, "CHECK", &request));
            let uses_theirs = host
                .nat("iptables")
                .contains("--dport 8080 -j KUBE-MARK-MASQ");
            assert_eq!(
                uses_theirs,
                has_kube_proxy && options.contains("KUBE"),
                "{options}"
            );
            served(&host);
            host.ok(&call(&host, "DEL", &request));
            host.is_clean();
        }
    }
}
