//! Ours and Debian's reference (1.1.1), one after the other and side by side.

use super::node::{
    Backend, Host, REFERENCE, mapping, mapping_on, on_both_variants, request, request_of,
};

on_both_variants!(
    what_the_reference_added_passes_our_check_and_del,
    what_we_added_passes_the_reference_s_check_and_del,
    both_on_one_node_leave_nothing,
    conditions_of_one_ip_version_leave_nothing_in_the_other,
    conditions_of_an_ip_version_that_the_container_lacks_are_no_drift_and_leave_nothing,
    an_attachment_of_the_reference_is_taken_over_by_add,
    an_interface_of_another_name_that_the_reference_added_is_cleaned,
    the_reference_s_del_of_ours_with_another_interface_keeps_ours_consistent,
);

/// A directory with the programs of the request's IP version: this version of the reference demands
/// the chains of every IP version that it finds programs for.
fn only_one_ip_version(host: &Host, request: &str) -> String {
    let base = if request.contains("\"10.22.0.2/16\"") {
        "iptables"
    } else {
        "ip6tables"
    };
    let directory = host.directory.join(base.to_owned() + "-only");
    std::fs::create_dir_all(&directory).unwrap();
    let program = format!("/usr/sbin/{base}-{}", host.backend.infix());
    let _ = std::os::unix::fs::symlink(program, directory.join(base));
    directory.display().to_string()
}

fn requests() -> Vec<String> {
    // Of more than fifteen adjacent ones, ours are ranges.
    let ports: Vec<String> = (0..20).map(|n| mapping("tcp", 9000 + 2 * n, 80)).collect();
    let mixed = [
        mapping("tcp", 8080, 80),
        mapping("udp", 8080, 81),
        mapping_on("10.99.0.1", "tcp", 8081, 80),
        mapping_on("fd99::1", "tcp", 8082, 80),
        mapping_on("0.0.0.0", "udp", 8083, 80),
    ]
    .join(",");
    let mut all = Vec::new();
    for address in ["10.22.0.2/16", "fd00:22::2/64"] {
        all.push(request_of("", &mixed, &[address]));
        all.push(request_of("", &ports.join(","), &[address]));
        all.push(request_of(r#""snat":false,"#, &mixed, &[address]));
        all.push(request_of(r#""markMasqBit":5,"#, &mixed, &[address]));
        let conditions = match address.contains('.') {
            true => r#""conditionsV4":["-s","10.99.0.0/24"],"#,
            false => r#""conditionsV6":["!","-s","fd98::/64"],"#,
        };
        all.push(request_of(conditions, &mixed, &[address]));
    }
    all
}

fn what_the_reference_added_passes_our_check_and_del(backend: Backend) {
    // The legacy ip6tables takes rules for equal that are not, and the reference asks it which are
    // there already: it leaves out most of an IPv6 pod's rules.
    let is_sound =
        |request: &String| backend == Backend::IptablesNft || request.contains("\"10.22.0.2/16\"");
    for request in requests().into_iter().filter(is_sound) {
        let host = Host::usual(backend);
        host.ok(&host.call_of(REFERENCE, "ADD", &request));
        host.run("CHECK", &request);
        host.run("DEL", &request);
        host.is_clean();
    }
}

fn what_we_added_passes_the_reference_s_check_and_del(backend: Backend) {
    for request in requests() {
        let host = Host::usual(backend);
        host.run("ADD", &request);
        let check = host.call_of(REFERENCE, "CHECK", &request);
        host.ok(&check.env("PATH", &only_one_ip_version(&host, &request)));
        host.ok(&host.call_of(REFERENCE, "DEL", &request));
        host.is_clean();
        host.run("DEL", &request);
    }
}

fn both_on_one_node_leave_nothing(backend: Backend) {
    let host = Host::usual(backend);
    let at = |port| request("", &mapping("tcp", port, 80));
    let call = |plugin, verb, id: &str, port| {
        host.ok(&host
            .call_of(plugin, verb, &at(port))
            .env("CNI_CONTAINERID", id));
    };
    let plugins = ["portmap", REFERENCE];
    for (number, port) in (0..6).zip(9000..) {
        call(plugins[number % 2], "ADD", &format!("cid-{number}"), port);
    }
    for (number, port) in (0..6).zip(9000..) {
        call("portmap", "CHECK", &format!("cid-{number}"), port);
        call(
            plugins[(number / 2) % 2],
            "DEL",
            &format!("cid-{number}"),
            port,
        );
    }
    host.is_clean();
}

fn an_attachment_of_the_reference_is_taken_over_by_add(backend: Backend) {
    let host = Host::usual(backend);
    let old = request("", &mapping("tcp", 8080, 80));
    let new = request("", &mapping("tcp", 8081, 80));
    host.ok(&host.call_of(REFERENCE, "ADD", &old));
    host.run("ADD", &old);
    let once = host.nat("iptables");
    assert_eq!(once.matches("--to-destination").count(), 1, "{once}");
    host.run("CHECK", &old);
    host.run("ADD", &new);
    host.run("CHECK", &new);
    host.run("DEL", &new);
    host.is_clean();
}

fn conditions_of_one_ip_version_leave_nothing_in_the_other(backend: Backend) {
    for conditions in [
        r#""conditionsV4":["-s","10.99.0.0/24"],"#,
        r#""conditionsV6":["-s","fd99::/64"],"#,
        r#""conditionsV4":["-d","10.99.0.1"],"#,
        r#""conditionsV4":["-m","tcp","--sport","1024:65535"],"#,
    ] {
        let request = request(conditions, &mapping("tcp", 8080, 80));
        for is_added_again in [false, true] {
            let host = Host::usual(backend);
            host.ok(&host.call_of(REFERENCE, "ADD", &request));
            // The legacy ip6tables takes rules for equal that are not, and the reference leaves out some.
            if backend == Backend::IptablesNft {
                host.run("CHECK", &request);
            }
            if is_added_again {
                host.run("ADD", &request);
                host.run("CHECK", &request);
                for base in ["iptables", "ip6tables"] {
                    let nat = host.nat(base);
                    assert_eq!(nat.matches("--to-destination").count(), 1, "{nat}");
                }
            }
            host.run("DEL", &request);
            host.is_clean();
        }
    }
}

fn conditions_of_an_ip_version_that_the_container_lacks_are_no_drift_and_leave_nothing(
    backend: Backend,
) {
    let (v4, v6) = ("10.22.0.2/16", "fd00:22::2/64");
    for (conditions, address) in [
        (r#""conditionsV6":["-s","fd99::/64"],"#, v4),
        (r#""conditionsV4":["-s","10.99.0.0/24"],"#, v6),
    ] {
        // The legacy ip6tables takes rules for equal that are not, and the reference leaves out some.
        if backend == Backend::IptablesLegacy && address == v6 {
            continue;
        }
        let of = |port| request_of(conditions, &mapping("tcp", port, 80), &[address]);
        for is_added_again in [false, true] {
            let host = Host::usual(backend);
            host.ok(&host.call_of(REFERENCE, "ADD", &of(8080)));
            host.run("CHECK", &of(8080));
            host.fails(&host.call("CHECK", &of(8081)), 101);
            if is_added_again {
                host.run("ADD", &of(8080));
                host.run("CHECK", &of(8080));
            }
            host.run("DEL", &of(8080));
            host.is_clean();
        }
    }
}

fn an_interface_of_another_name_that_the_reference_added_is_cleaned(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80)).replace("eth0", "net1");
    host.ok(&host
        .call_of(REFERENCE, "ADD", &request)
        .env("CNI_IFNAME", "net1"));
    host.ok(&host.call("DEL", &request).env("CNI_IFNAME", "net1"));
    host.is_clean();
}

fn the_reference_s_del_of_ours_with_another_interface_keeps_ours_consistent(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80)).replace("eth0", "net1");
    let call = |plugin, verb| {
        host.call_of(plugin, verb, &request)
            .env("CNI_IFNAME", "net1")
    };
    host.ok(&call("portmap", "ADD"));
    host.ok(&call(REFERENCE, "DEL"));
    host.is_clean();
    host.ok(&call("portmap", "ADD"));
    host.ok(&call("portmap", "CHECK"));
}
