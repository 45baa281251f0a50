//! The legacy variant: what cannot be read is an error, and what iptables cannot remove goes all the same.

use std::fs;
use std::os::unix::fs::symlink;

use sandbox::executable;
use sandbox::plugin::Call;

use super::node::{Backend, Host, mapping, request};

/// Looks at the tables fail in these ways.
const FAULTS: [(&str, &str); 4] = [
    ("socket", "EMFILE"),
    ("getsockopt", "ENOMEM"),
    ("setsockopt", "ENOMEM"),
    ("openat", "EMFILE"),
];
/// GC of a network of which nothing is alive.
const GC: &str =
    r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[]}"#;

#[test]
fn whichever_look_fails_del_and_gc_leave_nothing_or_say_so() {
    let host = Host::usual(Backend::IptablesLegacy);
    let request = request("", &mapping("tcp", 8080, 80));
    let mut failed = 0;
    for (verb, input) in [("DEL", request.as_str()), ("GC", GC)] {
        for (name, errno) in FAULTS {
            for nth in 1..40 {
                host.run("ADD", &request);
                let log = host.directory.join("strace").display().to_string();
                let inject = format!("inject={name}:error={errno}:when={nth}");
                let strace = ["strace", "-f", "-qq", "-o", &log, "-e", &inject];
                let call = host.call(verb, input).under(&strace);
                let answer = call.run(&host.net.host).unwrap();
                if !fs::read_to_string(&log).unwrap().contains("(INJECTED)") {
                    host.is_clean();
                    break;
                }
                match answer.code {
                    Some(0) => host.is_clean(),
                    code => {
                        assert_eq!(code, Some(1), "{verb} {name} {nth}: {answer:?}");
                        failed += 1;
                    }
                }
                host.run(verb, input);
                host.is_clean();
            }
        }
    }
    assert!(failed >= 20, "only {failed} faults were met");
}

#[test]
fn what_iptables_does_not_find_again_goes_and_what_others_count_stays() {
    let host = Host::usual(Backend::IptablesLegacy);
    host.iptables("iptables", "-t nat -A OUTPUT -p udp -c 7 9 -j RETURN");
    let stays = request("", &mapping("tcp", 8081, 80)).replace("10.22.0.2", "10.22.0.3");
    host.ok(&host.call("ADD", &stays).env("CNI_CONTAINERID", "stays"));
    host.iptables(
        "iptables",
        "-t nat -A CNI-HOSTPORT-DNAT -p sctp -c 3 4 -j RETURN",
    );
    for words in [
        r#""recent","--rcheck","--name","a""#,
        r#""connlimit","--connlimit-above","3""#,
        r#""statistic","--mode","nth","--every","3","--packet","0""#,
    ] {
        let options = format!(r#""conditionsV4":["-m",{words}],"#);
        let request = request(&options, &mapping("tcp", 8080, 80));
        for verb in ["DEL", "GC"] {
            host.run("ADD", &request);
            host.run("ADD", &request);
            let input = match verb {
                "GC" => GC.replace("[]", r#"[{"containerID":"stays","ifname":"eth0"}]"#),
                _ => request.clone(),
            };
            host.run(verb, &input);
            let nat = host.table("iptables", "nat");
            assert!(!nat.contains("cid-0001"), "{words}: {nat}");
            assert_eq!(nat.matches("10.22.0.3:80").count(), 1, "{nat}");
        }
    }
    let counted = host
        .net
        .host
        .sh(["iptables-legacy-save", "-c", "-t", "nat"]);
    for rule in [
        "[7:9] -A OUTPUT -p udp -j RETURN",
        "[3:4] -A CNI-HOSTPORT-DNAT -p sctp -j RETURN",
    ] {
        assert!(counted.contains(rule), "{rule}: {counted}");
    }
}

/// iptables-save calls it a success when it cannot write: what it did not print is not absent.
#[test]
fn a_list_without_an_end_is_an_error_and_changes_nothing() {
    let host = Host::usual(Backend::IptablesLegacy);
    let ours = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &ours);
    // CHECK can read this without iptables no more.
    let rule = "-t nat -A CNI-HOSTPORT-DNAT -p sctp -m statistic --mode random --probability 0.5";
    host.iptables("iptables", rule);
    symlink(
        "/usr/sbin/iptables-legacy-restore",
        host.directory.join("iptables-legacy-restore"),
    )
    .unwrap();
    let rules = || -> Vec<String> {
        let nat = [host.nat("iptables"), host.nat("ip6tables")].concat();
        let rules = nat.lines().filter(|line| line.starts_with("-A "));
        rules.map(str::to_owned).collect()
    };
    let before = rules();
    let program = host.directory.join("iptables-save");
    for printed in ["", "*nat\n:PREROUTING ACCEPT [0:0]\n"] {
        executable::script(&program, &format!("#!/bin/sh\nprintf '{printed}'\n")).unwrap();
        let by_its_name = host.directory.join("iptables-legacy-save");
        executable::copy(&program, &by_its_name).unwrap();
        let other = request("", &mapping("tcp", 8081, 80));
        for (verb, request) in [("ADD", &other), ("CHECK", &ours)] {
            let said = host.fails(&host.call(verb, request), 100);
            assert!(said.contains("is truncated"), "{said}");
            assert_eq!(rules(), before);
        }
        let path = host.directory.display();
        let call = Call::bare("cnictl").arguments(&["ports"]);
        let call = call.env("PATH", &format!("{path}:/usr/sbin:/usr/bin"));
        let answer = call.run(&host.net.host).unwrap();
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.stderr.contains("is truncated"), "{answer:?}");
    }
}
