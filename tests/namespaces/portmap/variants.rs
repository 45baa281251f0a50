//! Both variants of iptables on one node, and what older versions left.

use super::node::{Backend, Host, mapping, on_both_variants, request, request_of};

on_both_variants!(
    add_moves_to_the_variant_that_iptables_is_now_or_leaves_what_was,
    del_cleans_the_variant_that_iptables_is_no_longer,
    gc_cleans_the_variant_that_iptables_is_no_longer,
    del_cleans_rules_that_lead_there_from_elsewhere,
    what_bears_the_owner_s_mark_and_leads_elsewhere_goes_with_add_del_and_gc,
    del_cleans_without_mappings_result_and_namespace,
    verbs_start_as_few_programs_as_promised,
);

/// The other variant's programs in place of the usual ones.
fn swap(host: &Host) {
    let other = match host.backend {
        Backend::IptablesNft => Backend::IptablesLegacy,
        Backend::IptablesLegacy | Backend::Nftables => Backend::IptablesNft,
    };
    link(host, other);
}

fn link(host: &Host, variant: Backend) {
    for base in ["iptables", "ip6tables"] {
        for end in ["", "-restore", "-save"] {
            let link = host.directory.join(format!("{base}{end}"));
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(format!("/usr/sbin/{base}-{}{end}", variant.infix()), link)
                .unwrap();
        }
    }
}

fn add_moves_to_the_variant_that_iptables_is_now_or_leaves_what_was(backend: Backend) {
    let host = Host::usual(backend);
    let own = request("", &mapping("tcp", 8080, 80));
    let neighbour = host.call("ADD", &request("", &mapping("tcp", 9090, 80)));
    host.ok(&neighbour.env("CNI_CONTAINERID", "cid-0002"));
    // What all attachments share stays from now on.
    swap(&host);
    host.run("ADD", &own);
    host.run("DEL", &own);
    link(&host, backend);
    for only in [false, true] {
        // The last one has no IPv6 any longer.
        let addresses = ["10.22.0.2/16", "fd00:22::2/64"];
        let addresses = addresses.split_at(if only { 1 } else { 2 }).0;
        let moved = request_of("", &mapping("tcp", 8080, 80), addresses);
        host.run("ADD", &own);
        let before = rules(&host);
        swap(&host);
        let full = ["sh", "-c", "exec \"$0\" >/dev/full"];
        let call = host.call("ADD", &moved).under(&full);
        assert_eq!(call.run(&host.net.host).unwrap().code, Some(1));
        assert_eq!(rules(&host), before);
        host.run("ADD", &moved);
        host.run("CHECK", &moved);
        for base in ["iptables", "ip6tables"] {
            let left = host.nat(base);
            assert!(!left.contains("cid-0001"), "{left}");
            assert!(left.contains("cid-0002"), "{left}");
        }
        host.run("DEL", &moved);
        link(&host, backend);
    }
}

/// The rules of both variants.
fn rules(host: &Host) -> Vec<String> {
    let print = "iptables-legacy-save; ip6tables-legacy-save; nft --stateless list ruleset";
    let all = host.net.host.sh(["sh", "-c", print]);
    let lines = all.lines().filter(|line| !line.starts_with(['#', ':']));
    lines.map(str::to_owned).collect()
}

fn del_cleans_the_variant_that_iptables_is_no_longer(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    swap(&host);
    host.run("DEL", &request);
    host.is_clean();
    swap(&host);
    host.fails(&host.call("CHECK", &request), 101);
}

fn gc_cleans_the_variant_that_iptables_is_no_longer(backend: Backend) {
    let host = Host::usual(backend);
    host.run("ADD", &request("", &mapping("tcp", 8080, 80)));
    swap(&host);
    let gc =
        r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[]}"#;
    host.run("GC", gc);
    host.is_clean();
}

fn what_bears_the_owner_s_mark_and_leads_elsewhere_goes_with_add_del_and_gc(backend: Backend) {
    const CHANGED: &str = "-t nat -R CNI-HOSTPORT-DNAT 1 -p tcp -m comment --comment dnat_name:_\"net1\"_id:_\"cid-0001\" -m multiport --dports 8080 -j RETURN";
    const GC: &str =
        r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[]}"#;
    let host = Host::usual(backend);
    let request = request(
        "",
        &[mapping("tcp", 8080, 80), mapping("udp", 8081, 81)].join(","),
    );
    for (verb, input) in [("ADD", request.as_str()), ("DEL", &request), ("GC", GC)] {
        host.run("ADD", &request);
        host.iptables("iptables", CHANGED);
        assert!(host.nat("iptables").contains("--dports 8080 -j RETURN"));
        host.run(verb, input);
        let nat = host.nat("iptables");
        assert!(!nat.contains("-j RETURN"), "{verb}: {nat}");
    }
    host.is_clean();
}

fn del_cleans_rules_that_lead_there_from_elsewhere(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    for command in [
        "-t nat -N MINE",
        "-t nat -A MINE -p tcp -j CNI-DN-e3b332d931428973f7ef7",
        "-t nat -A MINE -p udp -g CNI-DN-e3b332d931428973f7ef7",
        "-t nat -A PREROUTING -i lo -j CNI-DN-e3b332d931428973f7ef7",
        "-t nat -A MINE -j ACCEPT",
    ] {
        host.iptables("iptables", command);
    }
    host.run("DEL", &request);
    host.is_clean();
    let nat = host.nat("iptables");
    assert!(nat.contains("-A MINE -j ACCEPT"), "{nat}");
}

fn del_cleans_without_mappings_result_and_namespace(backend: Backend) {
    let host = Host::usual(backend);
    let full = request("", &mapping("tcp", 8080, 80));
    let bare = r#"{"cniVersion":"1.0.0","name":"net1","type":"portmap","backend":null}"#;
    let garbage = r#"{"cniVersion":"1.0.0","name":"net1","type":"portmap","markMasqBit":99,
        "runtimeConfig":{"portMappings":[{"hostPort":-1,"protocol":"x"}]},"prevResult":{"ips":7}}"#;
    for request in [bare, garbage] {
        host.run("ADD", &full);
        host.ok(&host.call("DEL", request).env("CNI_NETNS", ""));
        host.is_clean();
    }
}

fn verbs_start_as_few_programs_as_promised(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    let bare = r#"{"cniVersion":"1.0.0","name":"net1","type":"portmap","x":1}"#;
    let of_a_change = match backend {
        Backend::IptablesNft => 0,
        _ => 2,
    };
    // A pod without ports on a node that never had any.
    assert_eq!(programs(&host, "DEL", bare, "none"), 0);
    host.run("ADD", &request);
    let other = request.replace("8080", "8081");
    assert_eq!(programs(&host, "ADD", &other, "other"), of_a_change);
    assert_eq!(programs(&host, "CHECK", &request, "cid-0001"), 0);
    assert_eq!(programs(&host, "DEL", bare, "none"), 0);
    let of_a_removal = 0;
    assert_eq!(programs(&host, "DEL", &request, "cid-0001"), of_a_removal);
    let status = bare.replace("1.0.0", "1.1.0");
    let of_a_probe = of_a_change / 2;
    assert_eq!(programs(&host, "STATUS", &status, ""), of_a_probe);
}

/// How many programs a call starts.
fn programs(host: &Host, verb: &str, request: &str, id: &str) -> usize {
    let log = host.directory.join("log");
    let script = format!(
        "exec strace -f -qq -e trace=execve -o {} PLUGIN",
        log.display()
    );
    host.ok(&host
        .call_by_script(&script, verb, request)
        .env("CNI_CONTAINERID", id));
    let text = std::fs::read_to_string(&log).unwrap();
    let started = text
        .lines()
        .filter(|line| line.contains("execve") && line.ends_with("= 0"));
    started.count() - 1
}
