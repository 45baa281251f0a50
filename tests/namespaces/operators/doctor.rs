//! `doctor`: broken nodes, and the line that names the cause.

use std::fs;
use std::net::SocketAddr;

use common::base64;
use sandbox::probe::tcp::Server;
use serde_json::json;

use super::broken::{Node, broken_nodes, says};
use super::place::{Backend, NETWORK, Said, on_every_backend};

broken_nodes! {
    a_policy_of_forward_is_named: IptablesNft, "doctor", "error", "FORWARD (IPv4)",
        "policy DROP (chain FORWARD of ip filter) drops packets to 10.22.0.2:53/udp, 10.22.0.2:80/tcp",
        |node| node.host("iptables-nft -P FORWARD DROP");
    a_policy_of_the_legacy_forward_is_named: IptablesLegacy, "doctor", "error", "FORWARD (IPv4)",
        "policy DROP (chain FORWARD of filter (legacy)) drops packets to 10.22.0.2:53/udp, 10.22.0.2:80/tcp",
        |node| node.host("iptables-legacy -P FORWARD DROP");
    a_policy_of_raw_prerouting_is_named: IptablesNft, "doctor", "error", "PREROUTING (IPv4)",
        "policy DROP (chain PREROUTING of ip raw) drops packets to 8000/tcp, 9000/udp",
        |node| node.host("iptables-nft -t raw -P PREROUTING DROP");
    a_policy_of_mangle_prerouting_is_named: IptablesLegacy, "doctor", "error", "PREROUTING (IPv4)",
        "policy DROP (chain PREROUTING of mangle (legacy)) drops packets to 8000/tcp, 9000/udp",
        |node| node.host("iptables-legacy -t mangle -P PREROUTING DROP");
    a_policy_of_a_nat_chain_before_ours_is_named: Nftables, "doctor", "error", "host ports",
        "policy DROP (chain pre of ip mine) comes before ours and takes 9000/udp, 8000/tcp",
        |node| node.host("nft 'table ip mine { chain pre { type nat hook prerouting priority -110; policy drop; }; }'");
    a_zone_of_nft_that_rejects_is_named: Nftables, "doctor", "error", "FORWARD (IPv4)",
        "(chain zone of inet fw) drops packets to 10.22.0.2:53/udp, 10.22.0.2:80/tcp",
        |node| node.host("nft 'table inet fw { chain zone { oifname \"veth0\" reject; }
            chain forward { type filter hook forward priority 10; ct state established accept; jump zone; }; }'");
    a_rule_of_forward_that_cannot_be_judged_is_a_warning: IptablesNft, "doctor", "warning", "FORWARD (IPv4)",
        "may drop packets to 10.22.0.2:53/udp, 10.22.0.2:80/tcp",
        |node| node.host("iptables-nft -A FORWARD -m length --length 100 -j DROP");
    ports_in_the_variant_that_nobody_uses_are_named: IptablesLegacy, "doctor", "warning", "iptables",
        "in iptables-legacy, but new ones go to iptables-nft",
        |node| {
            node.host(&format!("rm {0}/iptables* {0}/ip6tables*", node.place.directory.display()));
            Backend::IptablesNft.link_programs(&node.place.directory);
        };
    rules_in_both_variants_are_named: IptablesNft, "doctor", "warning", "iptables",
        "both variants have rules",
        |node| node.host("iptables-legacy -A INPUT -p tcp -j ACCEPT");
    two_backends_at_once_are_named: IptablesNft, "doctor", "warning", "host ports",
        "two backends in use",
        |node| {
            let place = &node.place;
            let mut conf = place.conf("portmap", 1, &place.asking(&[8001]));
            conf["backend"] = json!("nftables");
            let call = place.call("portmap", "ADD", 1, &json!({})).stdin(conf.to_string());
            assert_eq!(call.run(&place.net.host).unwrap().code, Some(0));
        };
    a_port_of_both_backends_is_named: IptablesNft, "doctor", "error", "host ports",
        "contested: 8000/tcp",
        |node| {
            let place = &node.place;
            let mut conf = place.conf("portmap", 1, &place.asking(&[8000]));
            conf["backend"] = json!("nftables");
            let call = place.call("portmap", "ADD", 1, &json!({})).stdin(conf.to_string());
            assert_eq!(call.run(&place.net.host).unwrap().code, Some(0));
            place.remember(1, &place.asking(&[8000]));
        };
    a_file_of_the_cache_that_cannot_be_read_is_named: Nftables, "doctor", "error", "cache ",
        "1 of its files cannot be read",
        |node| fs::write(node.place.cache_dir().join("results/net1-x-eth0"), "torn").unwrap();
    a_cache_that_is_not_there_is_named: Nftables, "doctor", "warning", "cache ",
        "does not exist",
        |node| fs::remove_dir_all(node.place.cache_dir().join("results")).unwrap();
    a_cache_that_is_no_directory_is_named: Nftables, "doctor", "error", "cache ",
        "could not be checked",
        |node| {
            fs::remove_dir_all(node.place.cache_dir().join("results")).unwrap();
            fs::write(node.place.cache_dir().join("results"), "").unwrap();
        };
    a_rule_that_ends_the_search_before_ours_is_named: IptablesNft, "doctor", "error", "portmap",
        "-j RETURN before it",
        |node| node.host("iptables-nft -t nat -I PREROUTING -j RETURN");
    a_foreign_translation_of_a_mapped_port_is_named: IptablesNft, "doctor", "error", "host ports",
        "comes before ours and takes 8000/tcp",
        |node| node.host("iptables-nft -t nat -I PREROUTING -p tcp --dport 8000 -j DNAT --to 10.9.9.9:1");
    forwarding_that_is_off_is_named: Nftables, "doctor", "error", "net.ipv4.ip_forward",
        "is 0: packets from outside do not reach containers; run: sysctl -w net.ipv4.ip_forward=1",
        |node| node.host("sysctl -qw net.ipv4.ip_forward=0");
    a_strict_filter_of_routes_is_named: Nftables, "doctor", "warning", "rp_filter", "is strict on veth0",
        |node| node.host("sysctl -qw net.ipv4.conf.veth0.rp_filter=1");
    loopback_addresses_without_a_guard_are_named: Nftables, "doctor", "warning", "route_localnet",
        "but the guard rule is missing",
        |node| node.place.reload();
    a_process_that_listens_on_a_mapped_port_is_named: Nftables, "doctor", "warning", "host ports",
        "a process listens on a mapped port and gets no connections from outside: [::]:8000/tcp",
        |node| node.server = Some(Server::start(&node.place.net.host, 8000, "node").unwrap());
    a_pod_that_is_gone_is_named: Nftables, "doctor", "warning", "portmap", "the network namespace is gone",
        |node| {
            let mut entry = node.place.recall(0);
            entry["netns"] = json!("/nowhere");
            node.place.remember_as(0, &entry);
        };
    what_is_left_of_a_dead_attachment_is_named: IptablesNft, "doctor", "warning", "portmap",
        "which is not in the runtime's cache; run: cnictl gc --dry-run",
        |node| fs::remove_file(node.place.cache_file(0)).unwrap();
    a_network_without_capabilities_is_named: Nftables, "doctor", "warning", "networks", "portMappings",
        |node| node.network(|list| drop(list["plugins"][2].as_object_mut().unwrap().remove("capabilities")));
    a_network_that_is_no_json_is_named: Nftables, "doctor", "error", "networks", "10-net1.conflist",
        |node| fs::write(node.conf_dir().join("10-net1.conflist"), "{").unwrap();
    a_directory_without_networks_is_named: Nftables, "doctor", "warning", "networks",
        "has no network that a runtime could use",
        |node| fs::remove_file(node.conf_dir().join("10-net1.conflist")).unwrap();
    a_plugin_that_is_not_installed_is_named: Nftables, "doctor", "error", "networks",
        "net1 needs bridge, which is not in",
        |node| fs::remove_file(node.bin_dir().join("bridge")).unwrap();
    our_plugin_that_is_not_installed_is_named_with_the_way_out: Nftables, "doctor", "error", "networks",
        "none of its pods can start; run: cnictl install",
        |node| fs::remove_file(node.bin_dir().join("tuning")).unwrap();
    a_backend_that_a_key_forbids_is_named: Nftables, "doctor", "error", "portmap of net1", "every ADD fails",
        |node| node.network(|list| list["plugins"][2]["externalSetMarkChain"] = json!("KUBE-MARK-MASQ"));
    host_ports_that_a_flush_removed_are_named: IptablesNft, "doctor", "error", "host ports",
        "missing: 8000/tcp",
        |node| node.place.reload();
    attachments_that_have_changed_are_named: Nftables, "doctor", "error", "portmap",
        "1 attachment changed since ADD",
        |node| node.place.reload();
    masquerading_that_is_gone_is_named: Nftables, "doctor", "error", "masquerading",
        "no rule masquerades 10.22.0.2",
        |node| {
            let mut entry = node.place.recall(0);
            let list = json!({"cniVersion": "1.0.0", "name": NETWORK,
                              "plugins": [{"type": "bridge", "ipMasq": true}]});
            entry["config"] = json!(base64::encode(list.to_string().as_bytes()));
            node.place.remember_as(0, &entry);
        };
    a_foreign_translation_that_may_take_a_mapped_port_is_a_warning: IptablesNft, "doctor", "warning", "host ports",
        "comes before ours and may take 8000/tcp",
        |node| node.host("iptables-nft -t nat -I PREROUTING -s 10.99.0.0/16 -p tcp --dport 8000 -j DNAT --to 10.9.9.9:1");
}

on_every_backend!(a_node_in_order_has_no_error_and_no_warning);

fn a_node_in_order_has_no_error_and_no_warning(backend: Backend) {
    let node = Node::new(backend);
    for line in [
        "doctor",
        "explain 8000",
        "explain 8000/tcp --from 127.0.0.1 --probe",
    ] {
        let said = node.run(line);
        assert_eq!(said.code, Some(0), "{said:?}");
        let mut lines = said.stdout.lines().skip(1);
        assert!(lines.all(|line| line.starts_with("ok ")), "{}", said.stdout);
    }
    let before = node.place.rules();
    assert_eq!(node.run("doctor").code, Some(0));
    assert_eq!(node.place.rules(), before);
}

#[test]
fn a_table_of_connections_that_is_nearly_full_is_named() {
    let node = Node::new(Backend::Nftables);
    let most = node.place.directory.join("most");
    fs::write(&most, "1\n").unwrap();
    let client = node.place.pod(0);
    let address = SocketAddr::from(([10, 22, 0, 1], 8000));
    let connected = client.run(|| std::net::TcpStream::connect(address));
    drop(connected);
    let script = format!(
        "mount --bind {} /proc/sys/net/netfilter/nf_conntrack_max && exec \"$@\"",
        most.display()
    );
    let call = node
        .tool("doctor")
        .under(&["unshare", "-m", "sh", "-c", &script, "sh"]);
    let said = Said::of(call.run(&node.place.net.host).unwrap());
    says(&said, "error", "conntrack", "the table is nearly full");
}

#[test]
fn host_ports_on_addresses_of_services_are_named() {
    let node = Node::new(Backend::Nftables);
    node.host("ip link add kube-ipvs0 type bridge; ip address add 10.96.0.1/32 dev kube-ipvs0");
    let said = node.run("doctor");
    let text = "such as 10.96.0.1 of kube-ipvs0";
    says(&said, "warning", "portmap of net1", text);
    for (key, value) in [
        ("hostInterfaces", json!(["!kube-ipvs0"])),
        ("backend", json!("iptables")),
    ] {
        node.network(|list| list["plugins"][2][key] = value);
        let said = node.run("doctor");
        assert!(!said.stdout.contains(text), "{said:?}");
    }
}

#[test]
fn sysctls_without_the_list_that_they_need_are_named() {
    let node = Node::new(Backend::Nftables);
    node.network(|list| list["plugins"][1]["requireAllowlist"] = json!(true));
    // Nothing is in /etc of this mount namespace.
    let script = "mount -t tmpfs tmpfs /etc && exec \"$@\"";
    let call = node
        .tool("doctor")
        .under(&["unshare", "-m", "sh", "-c", script, "sh"]);
    let said = Said::of(call.run(&node.place.net.host).unwrap());
    says(&said, "error", "tuning of net1", "requireAllowlist is true");
}

/// Runs `doctor` while a system call fails.
fn refused(node: &Node, inject: &str) -> Said {
    let log = node.place.directory.join("strace");
    let log = log.display().to_string();
    let strace = ["strace", "-f", "-o", &log, "-e", inject];
    Said::of(
        node.tool("doctor")
            .under(&strace)
            .run(&node.place.net.host)
            .unwrap(),
    )
}

#[test]
fn a_kernel_without_namespaces_to_try_things_in_is_named() {
    let node = Node::new(Backend::Nftables);
    let said = refused(&node, "inject=unshare:error=EPERM");
    says(&said, "error", "kernel", "could not be checked");
}

#[test]
fn a_part_of_the_kernel_that_is_refused_is_named() {
    let node = Node::new(Backend::Nftables);
    // The third socket of the thread that tries everything is netfilter's.
    let said = refused(&node, "inject=socket:error=EPROTONOSUPPORT:when=3");
    says(
        &said,
        "error",
        "kernel",
        "no nf_tables (IPv4): portmap's nftables backend cannot map host ports",
    );
}
