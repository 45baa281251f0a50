//! `hostInterfaces`.

use super::*;

on_every_backend!(
    what_comes_to_a_left_out_interface_later_is_left_out,
    a_new_address_of_an_interface_is_a_drift_that_add_repairs,
    an_ipv6_address_that_the_kernel_still_checks_for_duplicates_is_mapped,
    an_ipv6_address_that_has_no_route_yet_is_mapped,
    a_route_of_a_transparent_proxy_makes_no_address_one_of_an_interface,
    an_interface_that_is_not_there_refuses_add_and_nothing_else,
    a_mapping_of_an_address_that_is_left_out_is_refused,
);

fn what_comes_to_a_left_out_interface_later_is_left_out(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["!kube-ipvs0"],"#;
    pods.does("ADD", 0, options);
    pods.serve([Some(0), Some(0)]);
    pods.node("ip link add kube-ipvs0 type bridge");
    pods.node("ip address add 10.99.0.200/32 dev kube-ipvs0");
    assert_eq!(pods.server("10.99.0.200"), None);
    pods.does("CHECK", 0, options);
    pods.does("ADD", 0, options);
    pods.does("CHECK", 0, options);
    assert_eq!(pods.server("10.99.0.200"), None);
    pods.serve([Some(0), Some(0)]);
    // Without the key it is one of the node's addresses as any other.
    pods.does("ADD", 1, "");
    assert_eq!(pods.server("10.99.0.200"), Some(1));
    pods.serve([Some(0), Some(0)]);
}

fn a_new_address_of_an_interface_is_a_drift_that_add_repairs(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["out0"],"#;
    pods.does("ADD", 0, options);
    pods.serve([Some(0), Some(0)]);
    let loopback = SocketAddr::new("127.0.0.1".parse().unwrap(), PORT);
    assert_eq!(
        tcp::exchange(&pods.0.host.net.host, loopback).server(),
        None
    );
    pods.node("ip address add 10.99.0.78/24 dev out0");
    pods.fails("CHECK", 0, options, 101);
    assert_eq!(pods.server("10.99.0.78"), None);
    pods.does("ADD", 0, options);
    pods.does("CHECK", 0, options);
    assert_eq!(pods.server("10.99.0.78"), Some(0));
    pods.node("ip address del 10.99.0.78/24 dev out0");
    pods.fails("CHECK", 0, options, 101);
    pods.does("ADD", 0, options);
    pods.does("CHECK", 0, options);
}

fn an_ipv6_address_that_the_kernel_still_checks_for_duplicates_is_mapped(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["out0"],"#;
    let settings = "/proc/sys/net/ipv6/conf/out0";
    pods.shell(&format!(
        "echo 1 > {settings}/accept_dad; echo 5 > {settings}/dad_transmits"
    ));
    pods.node("ip address add fd99::78/64 dev out0");
    let tentative = || {
        let host = &pods.0.host.net.host;
        !host
            .sh(["ip", "-6", "address", "show", "dev", "out0", "tentative"])
            .is_empty()
    };
    assert!(tentative());
    pods.does("ADD", 0, options);
    assert!(wait_until(Duration::from_secs(30), || !tentative()));
    pods.does("CHECK", 0, options);
    assert_eq!(pods.server("fd99::78"), Some(0));
}

fn an_ipv6_address_that_has_no_route_yet_is_mapped(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["out0"],"#;
    // As between the end of the kernel's look for duplicates and the route that follows from it.
    pods.node("ip address add fd99::78/64 dev out0 nodad");
    let host = &pods.0.host.net.host;
    let route = [
        "ip", "-6", "route", "del", "local", "fd99::78", "dev", "out0", "table", "local",
    ];
    let is_gone = || host.try_sh(&route).is_ok();
    assert!(wait_until(Duration::from_secs(10), is_gone));
    pods.does("ADD", 0, options);
    pods.node("ip -6 route add local fd99::78 dev out0 table local");
    pods.does("CHECK", 0, options);
    assert_eq!(pods.server("fd99::78"), Some(0));
}

fn a_route_of_a_transparent_proxy_makes_no_address_one_of_an_interface(backend: Backend) {
    let pods = Pods::new(backend);
    for family in ["-4", "-6"] {
        pods.node(&format!(
            "ip {family} route add local default dev lo table 100"
        ));
    }
    let options = r#""hostInterfaces":["lo"],"#;
    pods.does("ADD", 0, options);
    pods.serve([None, None]);
    let loopback = SocketAddr::new("127.0.0.1".parse().unwrap(), PORT);
    let node = &pods.0.host.net.host;
    assert_eq!(tcp::exchange(node, loopback).server(), Some("0"));
}

fn an_interface_that_is_not_there_refuses_add_and_nothing_else(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["out0","wan7"],"#;
    let before = pods.0.host.state();
    let said = pods.fails("ADD", 0, options, 100);
    assert!(
        said.contains("hostInterfaces") && said.contains("wan7"),
        "{said}"
    );
    let network =
        format!(r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap",{options}"x":0}}"#);
    let said = pods.0.host.fails(&pods.0.host.call("STATUS", &network), 50);
    assert!(said.contains("wan7"), "{said}");
    assert_eq!(pods.0.host.state(), before);
    pods.node("ip link add wan7 type bridge");
    pods.does("ADD", 0, options);
    pods.node("ip link del wan7");
    pods.does("DEL", 0, options);
    pods.0.host.is_clean();
}

fn a_mapping_of_an_address_that_is_left_out_is_refused(backend: Backend) {
    let pods = Pods::new(backend);
    let on = |address: &str| vec![mapping_on(address, "tcp", PORT, 80)];
    let call = |options: &str, address: &str| {
        let request = pods.0.request(0, options, &[on(address)]);
        pods.0.host.call("ADD", &request)
    };
    let before = pods.0.host.state();
    for (options, address) in [
        (ONLY_FIRST, "10.99.0.77"),
        (r#""hostInterfaces":["lo"],"#, "10.99.0.77"),
        (r#""hostInterfaces":["!out0"],"#, "fd99::77"),
    ] {
        let said = pods.0.host.fails(&call(options, address), 7);
        assert!(said.contains(address), "{said}");
    }
    assert_eq!(pods.0.host.state(), before);
    for (options, address) in [
        (ONLY_FIRST, "10.99.0.1"),
        (r#""hostInterfaces":["out0"],"#, "fd99::1"),
    ] {
        pods.0.host.ok(&call(options, address));
        assert_eq!(pods.server(address), Some(0));
    }
    // One that is on no interface may come.
    pods.0
        .host
        .ok(&call(r#""hostInterfaces":["lo"],"#, "10.99.0.201"));
    pods.node("ip address add 10.99.0.201/24 dev out0");
    assert_eq!(pods.server("10.99.0.201"), Some(0));
}
