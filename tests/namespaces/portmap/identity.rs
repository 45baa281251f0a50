//! Attachments that could be taken for each other are not.

use super::node::{Backend, Host, mapping, on_both_variants, on_every_backend, request_of};

on_every_backend!(
    two_interfaces_of_one_container_do_not_disturb_each_other,
    names_whose_concatenations_are_equal_do_not_disturb_each_other,
    one_container_on_two_networks_is_two_attachments,
);
on_both_variants!(the_plain_single_attachment_has_the_reference_s_chain);

const FIRST: [&str; 1] = ["10.22.0.2/16"];
const SECOND: [&str; 1] = ["10.22.0.3/16"];

/// A network, a container, an interface.
type Who = (&'static str, &'static str, &'static str);

fn do_not_disturb_each_other(backend: Backend, first: Who, second: Who) {
    let orders = [(first, second), (second, first)];
    for (older, newer) in orders {
        let host = Host::usual(backend);
        let call = |verb: &str, (network, container, ifname): Who, port, addresses: &[&str]| {
            let request = request_of("", &mapping("tcp", port, 80), addresses)
                .replacen("net1", network, 1)
                .replace("eth0", ifname);
            host.call(verb, &request)
                .env("CNI_CONTAINERID", container)
                .env("CNI_IFNAME", ifname)
        };
        host.ok(&call("ADD", older, 8080, &FIRST));
        host.ok(&call("ADD", newer, 9090, &SECOND));
        host.ok(&call("CHECK", older, 8080, &FIRST));
        host.ok(&call("CHECK", newer, 9090, &SECOND));
        host.ok(&call("ADD", older, 8080, &FIRST));
        host.ok(&call("CHECK", newer, 9090, &SECOND));
        // Without prevResult, as a runtime's second DEL is.
        let bare = |who: Who| {
            let request = format!(
                r#"{{"cniVersion":"1.0.0","name":"{}","type":"portmap","x":1}}"#,
                who.0
            );
            host.call("DEL", &request)
                .env("CNI_CONTAINERID", who.1)
                .env("CNI_IFNAME", who.2)
        };
        host.ok(&bare(newer));
        host.ok(&call("CHECK", older, 8080, &FIRST));
        host.fails(&call("CHECK", newer, 9090, &SECOND), 101);
        host.ok(&call("ADD", newer, 9090, &SECOND));
        host.ok(&call("DEL", older, 8080, &FIRST));
        host.ok(&call("CHECK", newer, 9090, &SECOND));
        host.ok(&call("ADD", newer, 9090, &SECOND));
        host.ok(&call("CHECK", newer, 9090, &SECOND));
        host.ok(&bare(newer));
        host.is_clean();
    }
}

fn two_interfaces_of_one_container_do_not_disturb_each_other(backend: Backend) {
    do_not_disturb_each_other(backend, ("net1", "cid", "eth0"), ("net1", "cid", "net1"));
    do_not_disturb_each_other(backend, ("net1", "cid", "net1"), ("net1", "cid", "net2"));
}

fn names_whose_concatenations_are_equal_do_not_disturb_each_other(backend: Backend) {
    do_not_disturb_each_other(backend, ("net-a", "b1", "eth0"), ("net-ab", "1", "eth0"));
    do_not_disturb_each_other(backend, ("net-a", "b1", "net1"), ("net-ab", "1", "net1"));
}

fn one_container_on_two_networks_is_two_attachments(backend: Backend) {
    do_not_disturb_each_other(backend, ("net1", "cid", "eth0"), ("net2", "cid", "eth0"));
}

fn the_plain_single_attachment_has_the_reference_s_chain(backend: Backend) {
    let host = Host::usual(backend);
    for ifname in ["eth0", "net1"] {
        let request = request_of("", &mapping("tcp", 8080, 80), &FIRST).replace("eth0", ifname);
        let call = |verb| host.call(verb, &request).env("CNI_IFNAME", ifname);
        host.ok(&call("ADD"));
        assert!(
            host.nat("iptables")
                .contains(":CNI-DN-e3b332d931428973f7ef7 ")
        );
        host.ok(&call("DEL"));
    }
}
