//! `explain`: broken nodes, and the station that is the answer.

use std::net::SocketAddr;

use sandbox::probe::tcp::Server;
use serde_json::json;

use super::broken::broken_nodes;
use super::place::{Backend, Place};

broken_nodes! {
    nobody_who_listens_is_the_answer: IptablesNft, "explain 8000/tcp", "error", "8000/tcp IPv4: listener",
        "no process listens on 80/tcp in the container",
        |node| node.server = None;
    a_server_on_loopback_alone_is_the_answer: Nftables, "explain 8000/tcp", "error", "8000/tcp IPv4: listener",
        "no process listens on 10.22.0.2, only on: 127.0.0.1:80/tcp",
        |node| {
            node.server = None;
            let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
            node.server = Some(Server::start_at(node.place.pod(0), address, "pod").unwrap());
        };
    a_container_with_another_address_is_the_answer: Nftables, "explain 8000/tcp", "error",
        "8000/tcp IPv4: container's address", "it does not have 10.22.0.2, but ",
        |node| node.pod("ip address del 10.22.0.2/16 dev eth0; ip address add 10.22.0.9/16 dev eth0");
    a_container_that_is_gone_is_the_answer: IptablesNft, "explain 8000/tcp", "error", "8000/tcp IPv4: rule",
        "its namespace is gone",
        |node| {
            let mut entry = node.place.recall(0);
            entry["netns"] = json!("/nowhere");
            node.place.remember_as(0, &entry);
        };
    a_flush_is_the_answer: IptablesLegacy, "explain 8000/tcp", "error", "8000/tcp IPv4: rule",
        "is in the runtime's cache, but no rule exists; run: cnictl reconcile",
        |node| node.place.reload();
    a_foreign_translation_is_the_answer: Nftables, "explain 8000/tcp", "error", "8000/tcp IPv4: other rules",
        "takes it before ours",
        |node| node.host("nft 'table ip mine { chain pre { type nat hook prerouting priority -110;
            tcp dport 8000 dnat to 10.9.9.9:1; }; }'");
    a_search_that_ends_early_is_the_answer: IptablesNft, "explain 8000/tcp", "error",
        "8000/tcp IPv4: other rules", "-p tcp -j RETURN (chain PREROUTING of ip nat) ends the traversal",
        |node| node.host("iptables-nft -t nat -I PREROUTING -p tcp -j RETURN");
    a_rule_that_reconcile_moves_is_put_right_by_it: IptablesNft, "explain 8000/tcp", "error",
        "8000/tcp IPv4: other rules", "ends the traversal before ours; run: cnictl reconcile",
        |node| node.host("iptables-nft -t nat -I PREROUTING -p tcp -j ACCEPT");
    a_rule_that_reconcile_leaves_is_to_be_deleted: IptablesNft, "explain 8000/tcp", "error",
        "8000/tcp IPv4: other rules", "leaves it there: delete it, or move it behind ours; \
         run: nft -a list chain ip nat PREROUTING",
        |node| node.host("nft 'insert rule ip nat PREROUTING tcp dport vmap { 8000 : accept }'");
    a_table_of_others_is_to_be_looked_at: Nftables, "explain 8000/tcp", "error",
        "8000/tcp IPv4: other rules", "run: nft -a list chain ip mine pre",
        |node| node.host("nft 'table ip mine { chain pre { type nat hook prerouting priority -110;
            tcp dport 8000 dnat to 10.9.9.9:1; }; }'");
    a_rule_for_one_of_the_node_s_addresses_is_a_warning: IptablesNft, "explain 8000/tcp", "warning",
        "8000/tcp IPv4: other rules", "ends the traversal before ours on 10.99.0.7",
        |node| node.host("ip address add 10.99.0.7/32 dev veth0
            iptables-nft -t nat -I PREROUTING -d 10.99.0.7 -j ACCEPT");
    a_dormant_table_is_the_answer: IptablesNft, "explain 8000/tcp", "error",
        "8000/tcp IPv4: other rules", "table ip nat is dormant, so no packet meets its rules; \
         run: nft add table ip nat",
        |node| node.host("nft 'add table ip nat { flags dormant; }'");
    a_filter_before_translation_is_the_answer: Nftables, "explain 8000/tcp", "error",
        "8000/tcp IPv4: filters of PREROUTING", "drops it",
        |node| node.host("iptables-nft -t raw -A PREROUTING -p tcp --dport 8000 -j DROP");
    forward_that_drops_is_the_answer: IptablesNft, "explain 8000/tcp", "error", "8000/tcp IPv4: FORWARD",
        "policy DROP (chain FORWARD of ip filter) drops it",
        |node| node.host("iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -i veth0 -j ACCEPT
            iptables-nft -D FORWARD -i veth0 -j ACCEPT");
    forwarding_that_is_off_is_the_answer: Nftables, "explain 8000/tcp", "error", "8000/tcp IPv4: forwarding",
        "net.ipv4.ip_forward is 0",
        |node| node.host("sysctl -qw net.ipv4.ip_forward=0");
    an_address_that_the_node_does_not_have_is_the_answer: Nftables, "explain 9000/udp", "error",
        "9000/udp IPv4: address", "10.22.0.1, which this node does not have",
        |node| node.host("for veth in veth0 veth1; do ip address del 10.22.0.1/32 dev $veth; done");
    a_container_without_a_way_back_is_the_answer: Nftables, "explain 8000/tcp", "error",
        "8000/tcp IPv4: way back", "the container has no route to 192.0.2.1",
        |node| node.pod("ip route del default");
    a_firewall_in_the_container_is_the_answer: Nftables, "explain 8000/tcp", "error",
        "8000/tcp IPv4: container's filters", "drops it",
        |node| node.pod("nft 'table ip mesh { chain in { type filter hook input priority 0;
            iifname \"eth0\" tcp dport 80 drop; }; }'");
    a_node_without_a_route_to_the_container_is_the_answer: Nftables, "explain 8000/tcp", "error",
        "8000/tcp IPv4: route", "the node has no route to 10.22.0.2",
        |node| node.host("ip route del 10.22.0.2");
    loopback_that_is_not_routed_is_the_answer: Nftables, "explain 8000/tcp --from 127.0.0.1", "error",
        "8000/tcp IPv4: loopback", "route_localnet of veth0 is 0",
        |node| node.host("sysctl -qw net.ipv4.conf.veth0.route_localnet=0");
    a_port_that_nobody_has_is_the_answer: Nftables, "explain 8123/tcp", "error", "8123/tcp: rule",
        "nobody has it", |_| {};
    a_process_of_the_node_is_the_answer: Nftables, "explain 8123/tcp", "warning", "8123/tcp: rule",
        "no container has it; processes of the node: [::]:8123/tcp",
        |node| node.server = Some(Server::start(&node.place.net.host, 8123, "node").unwrap());
    a_container_that_refuses_is_found_by_a_probe: Nftables, "explain 8000/tcp --probe", "error",
        "8000/tcp IPv4: probe", "does not answer this node",
        |node| node.pod("nft 'table netdev n { chain c { type filter hook ingress device eth0 priority 0;
            policy drop; }; }'");
}

#[test]
fn a_file_that_cannot_be_read_is_not_the_answer_where_a_station_is() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    std::fs::write(place.cache_dir().join("results/foreign"), "[").unwrap();
    let said = place.run("portmap", &["explain", "8000/tcp"]);
    let lines = said.stderr.lines().next_back();
    let expected = "cnictl: broken at 8000/tcp IPv4: listener";
    assert_eq!((said.code, lines), (Some(1), Some(expected)), "{said:?}");
}
