use common::netconf::Unversioned;
use common::request::{Environment, Request};
use common::version::Version;
use common::{Attachment, Protocol};

use super::*;

/// A request of ADD whose configuration is `keys` and whose container has one address per family.
fn request(keys: &str) -> Request {
    let conf = format!(
        r#"{{"name":"net1","cniVersion":"1.0.0",{keys}{}
            "prevResult":{{"interfaces":[{{"name":"veth0"}},{{"name":"eth0","sandbox":"/n"}}],
            "ips":[{{"address":"10.0.0.1/16","interface":0}},{{"address":"10.22.0.2/16","interface":1}},
                   {{"address":"fd00:22::2/64"}}]}}}}"#,
        if keys.is_empty() { "" } else { "," }
    );
    request_of(&conf)
}

/// A request of ADD with a configuration.
fn request_of(conf: &str) -> Request {
    let environment = Environment::read(|name| {
        Some(match name {
            "CNI_COMMAND" => "ADD".into(),
            "CNI_IFNAME" => "eth0".into(),
            _ => "x".into(),
        })
    })
    .unwrap();
    let conf = Unversioned::parse(conf.as_bytes()).unwrap();
    environment.request(conf.supported(Version::ALL).unwrap())
}

/// That of such a request.
pub fn read(keys: &str) -> Result<Config, Error> {
    Config::parse(&request(keys)).map(|(config, _)| config)
}

fn mapped(mapping: &str) -> Result<Config, Error> {
    read(&format!(
        r#""runtimeConfig":{{"portMappings":[{mapping}]}}"#
    ))
}

#[test]
fn without_options_everything_has_its_default() {
    let config = read("").unwrap();
    assert_eq!(config.backend, None);
    assert_eq!(config.masquerade, Masquerade::Needed);
    assert_eq!(config.mark, Mark::Bit(13));
    assert_eq!(config.on_conflict, OnConflict::Replace);
    assert!(config.mappings.is_empty());
    assert_eq!(
        config.attachment,
        Attachment {
            network: "net1".into(),
            container: "x".into(),
            ifname: "eth0".into()
        }
    );
}

#[test]
fn the_container_s_address_is_one_that_packets_can_be_translated_to() {
    let result = |list: &str| {
        let ips: Vec<String> = list
            .split_whitespace()
            .map(|address| format!(r#"{{"address":"{address}"}}"#))
            .collect();
        let keys = format!(r#""prevResult":{{"ips":[{}]}}"#, ips.join(","));
        let conf = format!(r#"{{"name":"net1","cniVersion":"1.0.0",{keys}}}"#);
        let (config, _) = Config::parse(&request_of(&conf)).unwrap();
        Family::ALL.map(|family| config.container(family).map(|p| p.addr.to_string()))
    };
    for (list, expected) in [
        ("fe80::1/64 fd00::2/64", [None, Some("fd00::2")]),
        (
            "fe80::1/64 10.0.0.2/24",
            [Some("10.0.0.2"), Some("fe80::1")],
        ),
        ("127.0.0.1/8 10.0.0.2/24", [Some("10.0.0.2"), None]),
        (
            "::1/128 ::/0 ff02::1/128 ::ffff:127.0.0.1/128",
            [None, None],
        ),
        ("0.0.0.0/0 224.0.0.1/4 255.255.255.255/32", [None, None]),
        ("169.254.1.1/16 10.0.0.2/24", [Some("169.254.1.1"), None]),
    ] {
        assert_eq!(
            result(list),
            expected.map(|addr| addr.map(str::to_owned)),
            "{list}"
        );
    }
}

#[test]
fn the_container_s_addresses_are_those_of_its_interface_or_of_none() {
    let config = read("").unwrap();
    assert_eq!(config.container_v4.unwrap().to_string(), "10.22.0.2/16");
    assert_eq!(config.container_v6.unwrap().to_string(), "fd00:22::2/64");
}

#[test]
fn mappings_are_read_as_containerd_and_as_podman_write_them() {
    let config = mapped(
        r#"{"HostPort":8081,"ContainerPort":80,"Protocol":"TCP","HostIP":""},
           {"hostPort":53,"containerPort":53,"protocol":"udp","hostIP":"2001:DB8:0::1"},
           {"hostPort":9,"containerPort":9,"protocol":"sctp","hostIP":"::ffff:192.0.2.1"}"#,
    )
    .unwrap();
    let shown: Vec<String> = config.mappings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["8081/tcp", "[2001:db8::1]:53/udp", "192.0.2.1:9/sctp"]
    );
    assert_eq!(config.mappings[0].asked.protocol, Protocol::Tcp);
}

#[test]
fn impossible_mappings_are_refused_with_path_and_value() {
    let cases = [
        (
            r#"{"hostPort":0,"containerPort":80,"protocol":"tcp"}"#,
            "hostPort = 0",
        ),
        (
            r#"{"hostPort":-1,"containerPort":80,"protocol":"tcp"}"#,
            "hostPort = -1",
        ),
        (
            r#"{"hostPort":65536,"containerPort":80,"protocol":"tcp"}"#,
            "hostPort = 65536",
        ),
        (
            r#"{"hostPort":80,"containerPort":70000,"protocol":"tcp"}"#,
            "containerPort = 70000",
        ),
        (
            r#"{"hostPort":80,"protocol":"tcp"}"#,
            "containerPort is missing",
        ),
        (
            r#"{"hostPort":80,"containerPort":80}"#,
            "protocol is missing",
        ),
        (
            r#"{"hostPort":80,"containerPort":80,"protocol":""}"#,
            "protocol = \"\"",
        ),
        (
            r#"{"hostPort":80,"containerPort":80,"protocol":"icmp"}"#,
            "protocol = \"icmp\"",
        ),
        (
            r#"{"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"not-an-ip"}"#,
            "hostIP",
        ),
        (
            r#"{"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"1.1.1.1\n-j ACCEPT"}"#,
            "hostIP",
        ),
        (
            r#"{"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"fe80::1%eth0"}"#,
            "hostIP",
        ),
    ];
    for (json, named) in cases {
        let error = mapped(json).unwrap_err();
        assert_eq!(error.code, Code::InvalidConfig, "{json}");
        assert!(
            error.msg.contains("runtimeConfig.portMappings[0]"),
            "{error}"
        );
        assert!(error.msg.contains(named), "{error}");
    }
    let error = mapped(r#"{"hostPort":"80","containerPort":80,"protocol":"tcp"}"#).unwrap_err();
    assert_eq!(error.code, Code::Decoding);
}

#[test]
fn a_port_mapped_twice_is_mapped_once_and_the_first_counts() {
    let config = mapped(
        r#"{"hostPort":80,"containerPort":1,"protocol":"tcp"},
           {"hostPort":80,"containerPort":1,"protocol":"TCP"},
           {"hostPort":80,"containerPort":2,"protocol":"tcp"},
           {"hostPort":80,"containerPort":2,"protocol":"tcp","hostIP":"192.0.2.1"}"#,
    )
    .unwrap();
    let ports: Vec<u16> = config.mappings.iter().map(|m| m.container_port).collect();
    assert_eq!(ports, [1, 2]);
}

#[test]
fn impossible_options_are_refused() {
    for keys in [
        r#""backend":"ipvs""#,
        r#""backend":"""#,
        r#""markMasqBit":32"#,
        r#""markMasqBit":-1"#,
        r#""markMasqBit":13,"externalSetMarkChain":"X""#,
        r#""externalSetMarkChain":"""#,
        r#""externalSetMarkChain":"a b""#,
        r#""externalSetMarkChain":"-X""#,
        r#""externalSetMarkChain":"POSTROUTING""#,
        r#""externalSetMarkChain":"12345678901234567890123456789""#,
        r#""onConflict":"maybe""#,
        r#""backend":"nftables","externalSetMarkChain":"X""#,
        r#""backend":"nftables","conditionsV4":["-s","10.0.0.0/8"]"#,
        r#""backend":"iptables","conditionsV6":["ip6","saddr","::1"]"#,
    ] {
        assert_eq!(read(keys).unwrap_err().code, Code::InvalidConfig, "{keys}");
    }
    for keys in [r#""snat":1"#, r#""masqAll":"yes""#, r#""markMasqBit":1.5"#] {
        assert_eq!(read(keys).unwrap_err().code, Code::Decoding, "{keys}");
    }
}

#[test]
fn a_host_ip_that_the_prefixes_leave_out_is_refused_without_a_look_at_the_node() {
    let mapping = r#"{"hostPort":1,"containerPort":1,"protocol":"tcp","hostIP":"192.0.2.9"}"#;
    let of = |limits: &str| {
        read(&format!(
            r#"{limits},"runtimeConfig":{{"portMappings":[{mapping}]}}"#
        ))
    };
    let error = of(r#""hostAddresses":["192.0.2.0/29"]"#).unwrap_err();
    assert_eq!(error.code, Code::InvalidConfig);
    assert!(error.msg.contains("192.0.2.9") && error.msg.contains("hostAddresses"));
    for limits in [
        r#""hostAddresses":["192.0.2.8/29"]"#,
        r#""hostInterfaces":["not-there-0"]"#,
    ] {
        assert!(of(limits).is_ok(), "{limits}");
    }
}

#[test]
fn an_interface_that_has_no_address_cannot_have_ports() {
    let mut lost = request(
        r#""runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":1,"protocol":"tcp"}]}"#,
    );
    lost.attachment.ifname = "net1".into();
    assert_eq!(Config::parse(&lost).unwrap().0.container_v4, None);
    assert!(Config::parse(&lost).unwrap().0.container_v6.is_some());
}
