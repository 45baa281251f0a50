//! What limits leave behind: nothing.

use super::*;

on_every_backend!(
    a_failed_add_leaves_the_others_their_addresses,
    del_and_gc_find_everything_from_the_owner_alone,
    del_with_other_limits_leaves_none_of_the_former_ones,
    gc_removes_limits_that_nobody_has,
);

on_both_variants!(
    the_reference_removes_what_has_limits,
    del_finds_a_jump_that_somebody_led_elsewhere,
);

fn a_failed_add_leaves_the_others_their_addresses(backend: Backend) {
    let pods = Pods::new(backend);
    let host = &pods.0.host;
    let switch = "/proc/sys/net/ipv4/conf/cni0/route_localnet";
    let strace = ["strace", "-qq", "-o", "/dev/null", "-P", switch];
    let inject = [&strace[..], &["-e", "inject=write:error=EIO"]].concat();
    let sysctl = "net.ipv4.conf.cni0.route_localnet";
    host.net.host.set_sysctl(sysctl, "0").unwrap();
    host.fails(&pods.call("ADD", 0, ONLY_FIRST).under(&inject), 100);
    host.is_clean();
    host.net.host.set_sysctl(sysctl, "1").unwrap();
    pods.does("ADD", 0, ONLY_FIRST);
    pods.does("ADD", 1, ONLY_SECOND);
    let before = pods.0.rules();
    host.net.host.set_sysctl(sysctl, "0").unwrap();
    host.fails(&pods.call("ADD", 2, ONLY_FIRST).under(&inject), 100);
    host.net.host.set_sysctl(sysctl, "1").unwrap();
    assert_eq!(pods.0.rules(), before);
    pods.serve([Some(0), Some(1)]);
}

fn del_and_gc_find_everything_from_the_owner_alone(backend: Backend) {
    let pods = Pods::new(backend);
    let bare = r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","#;
    for (number, limits) in [ONLY_FIRST, ONLY_SECOND, ""].into_iter().enumerate() {
        pods.does("ADD", number, limits);
    }
    let del = pods.0.host.call("DEL", &format!(r#"{bare}"ignored":1}}"#));
    pods.0.host.ok(&del.env("CNI_CONTAINERID", "cid-0"));
    pods.serve([Some(2), Some(1)]);
    let valid = r#""cni.dev/valid-attachments":[{"containerID":"cid-2","ifname":"eth0"}]"#;
    let gc = pods.0.host.call("GC", &format!("{bare}{valid}}}"));
    pods.0.host.ok(&gc);
    pods.serve([Some(2), Some(2)]);
    pods.does("DEL", 2, "");
    pods.0.host.is_clean();
}

fn del_with_other_limits_leaves_none_of_the_former_ones(backend: Backend) {
    let pods = Pods::new(backend);
    for (options, served) in [
        (ONLY_FIRST, [Some(0), None]),
        (ONLY_SECOND, [None, Some(0)]),
        ("", [Some(0), Some(0)]),
        (ONLY_FIRST, [Some(0), None]),
    ] {
        pods.does("DEL", 0, options);
        pods.does("ADD", 0, options);
        pods.does("CHECK", 0, options);
        pods.serve(served);
    }
    pods.does("DEL", 0, ONLY_SECOND);
    pods.0.host.is_clean();
}

fn gc_removes_limits_that_nobody_has(backend: Backend) {
    let pods = Pods::new(backend);
    let words = match backend {
        Backend::Nftables => r#"["ip","saddr","10.0.0.0/8"]"#,
        Backend::IptablesNft | Backend::IptablesLegacy => r#"["-s","10.0.0.0/8"]"#,
    };
    let conditional = format!(r#"{ONLY_SECOND}"conditionsV4":{words},"#);
    let third = r#""hostAddresses":["10.98.0.7","fd98::7"],"#;
    let gc = |valid: &[usize]| {
        let valid = valid
            .iter()
            .map(|n| format!(r#"{{"containerID":"cid-{n}","ifname":"eth0"}}"#));
        let valid: Vec<String> = valid.collect();
        let request = format!(
            r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[{}]}}"#,
            valid.join(",")
        );
        pods.0.host.ok(&pods.0.host.call("GC", &request));
    };
    pods.does("ADD", 0, ONLY_FIRST);
    pods.does("ADD", 1, &conditional);
    pods.does("ADD", 2, third);
    let limits = || {
        let rules = pods.0.host.net.host.sh(["nft", "list", "ruleset"]);
        let sets = rules.lines().filter(|line| line.contains("set addresses_"));
        (sets.count(), rules.matches("within_").count())
    };
    pods.does("DEL", 2, third);
    let before = limits();
    gc(&[0, 1]);
    pods.does("CHECK", 0, ONLY_FIRST);
    pods.does("CHECK", 1, &conditional);
    if backend == Backend::Nftables {
        assert_eq!((before.0, limits().0), (6, 4));
        assert!(limits().1 < before.1);
    }
    // What is gone is made again.
    pods.does("ADD", 2, third);
    pods.does("CHECK", 2, third);
    gc(&[]);
    assert_eq!(limits(), (0, 0));
    pods.does("ADD", 0, ONLY_FIRST);
    pods.does("CHECK", 0, ONLY_FIRST);
    pods.serve([Some(0), None]);
}

fn the_reference_removes_what_has_limits(backend: Backend) {
    let pods = Pods::new(backend);
    pods.does("ADD", 0, ONLY_FIRST);
    let request = pods.0.request(0, ONLY_FIRST, &[everywhere(PORT)]);
    let call = pods.0.host.call_of(REFERENCE, "DEL", &request);
    pods.0.host.ok(&call.env("CNI_CONTAINERID", "cid-0"));
    pods.0.host.is_clean();
}

fn del_finds_a_jump_that_somebody_led_elsewhere(backend: Backend) {
    let pods = Pods::new(backend);
    let limits = r#""hostAddresses":["10.99.0.0/26","10.99.0.128/25"],"#;
    pods.does("ADD", 0, limits);
    let lines = pods.0.host.nat("iptables");
    let jump = lines.lines().find(|line| line.contains("-d 10.99.0.0/26"));
    let (jump, _) = jump.unwrap().rsplit_once(" -j ").unwrap();
    let program = format!("iptables-{} -t nat", backend.infix());
    let place = "-R CNI-HOSTPORT-DNAT 1";
    pods.shell(&format!(
        "{program} {} -j RETURN",
        jump.replace("-A CNI-HOSTPORT-DNAT", place)
    ));
    pods.does("DEL", 0, limits);
    pods.0.host.is_clean();
}
