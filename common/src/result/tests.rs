use super::*;
use crate::decode::Object;
use crate::error::{Code, Error};
use crate::version::Version;

fn parse(version: Version, text: &str) -> Result<CniResult, Error> {
    match Json::parse(text.as_bytes()).unwrap() {
        Json::Object(fields) => CniResult::parse(Object::root(&fields), version),
        other => panic!("{other:?}"),
    }
}

fn printed(version: Version, text: &str) -> String {
    parse(version, text).unwrap().to_json(version).to_string()
}

const FULL: &str = r#"{"cniVersion":"1.1.0","dns":{"domain":"d","nameservers":["1.1.1.1"]},"interfaces":[{"mac":"02:00:00:00:00:0a","mtu":1500,"name":"veth0","pciID":"0","socketPath":"/x"},{"name":"eth0","sandbox":"/n"}],"ips":[{"address":"10.22.0.2/16","gateway":"10.22.0.1","interface":1},{"address":"fd00::2/64"}],"routes":[{"advmss":1300,"dst":"0.0.0.0/0","gw":"10.22.0.1","table":0},{"dst":"::/0"}]}"#;

#[test]
fn a_result_in_its_own_version_is_printed_as_it_was_read() {
    assert_eq!(printed(Version::V110, FULL), FULL);
    let old = r#"{"cniVersion":"0.4.0","interfaces":[{"name":"eth0","mac":"m","sandbox":"/n"}],"ips":[{"version":"6","interface":0,"address":"fd00::2/64","gateway":"fd00::1"}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{}}"#;
    assert_eq!(printed(Version::V040, old), old);
    let oldest = r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.22.0.2/16","gateway":"10.22.0.1","routes":[{"dst":"0.0.0.0/0"}]},"dns":{"nameservers":["1.1.1.1"]}}"#;
    assert_eq!(printed(Version::V020, oldest), oldest);
}

#[test]
fn results_convert_down_and_up_again_losing_only_what_the_version_cannot_say() {
    let full = parse(Version::V110, FULL).unwrap();
    for version in Version::ALL {
        let down = full.to_json(*version).to_string();
        let again = parse(*version, &down).unwrap();
        assert_eq!(again.to_json(*version).to_string(), down, "{version}");
        assert_eq!(again.ips.len(), 2, "{version}");
        assert_eq!(again.routes, full.routes, "{version}");
        assert_eq!(again.dns, full.dns, "{version}");
    }
    let lists = full.to_json(Version::V031).to_string();
    assert!(
        !lists.contains("mtu") && lists.contains(r#""version":"4""#),
        "{lists}"
    );
    assert_eq!(
        full.to_json(Version::V100)
            .to_string()
            .replace("1.0.0", "1.1.0"),
        FULL
    );
}

#[test]
fn unknown_fields_are_carried_along_and_known_ones_found_in_any_case() {
    let text = r#"{"CNIVERSION":"1.0.0","Interfaces":[{"Name":"eth0","x":[1]}],"ips":[{"Address":"10.0.0.1/8","y":null,"z":2}],"own":{"b":1,"a":2}}"#;
    assert_eq!(
        printed(Version::V100, text),
        r#"{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","x":[1]}],"ips":[{"address":"10.0.0.1/8","z":2}],"own":{"a":2,"b":1}}"#
    );
}

#[test]
fn a_result_without_version_takes_the_configuration_s_and_families_do_not_mix() {
    assert!(parse(Version::V040, r#"{"ips":[]}"#).is_ok());
    assert!(parse(Version::V110, r#"{"cniVersion":"1.0.0"}"#).is_ok());
    assert!(parse(Version::V031, r#"{"cniVersion":"0.4.0"}"#).is_ok());
    for (version, own) in [
        (Version::V100, "0.4.0"),
        (Version::V040, "1.0.0"),
        (Version::V020, "0.3.0"),
        (Version::V110, "2.0.0"),
    ] {
        let error = parse(version, &format!(r#"{{"cniVersion":"{own}"}}"#)).unwrap_err();
        assert_eq!(error.code, Code::IncompatibleVersion, "{own} in {version}");
    }
}

#[test]
fn malformed_results_are_refused_with_the_path() {
    let cases = [
        (r#"{"ips":[null]}"#, "ips[0]: expected an object, got null"),
        (
            r#"{"interfaces":[null]}"#,
            "interfaces[0]: expected an object, got null",
        ),
        (r#"{"ips":{}}"#, "ips: expected a list, got an object"),
        (
            r#"{"ips":[{"address":"10.0.0.1"}]}"#,
            "ips[0].address: expected an address",
        ),
        (
            r#"{"ips":[{"address":"10.0.0.1/33"}]}"#,
            "ips[0].address: expected",
        ),
        (
            r#"{"ips":[{"address":"10.0.0.1/+8"}]}"#,
            "ips[0].address: expected",
        ),
        (r#"{"ips":[{}]}"#, "ips[0]: address is missing"),
        (
            r#"{"ips":[{"address":"::1/64","interface":"0"}]}"#,
            "ips[0].interface: expected",
        ),
        (
            r#"{"routes":[{"dst":"0.0.0.0/0","gw":"x"}]}"#,
            "routes[0].gw: expected an IP address",
        ),
        (
            r#"{"dns":{"search":[1]}}"#,
            "dns.search[0]: expected a string",
        ),
    ];
    for (text, message) in cases {
        let error = parse(Version::V100, text).unwrap_err();
        assert!(error.to_string().starts_with(message), "{text}: {error}");
    }
}

/// The indices in `ips` of the container's addresses, and the names of the interfaces in the host.
fn sides(interfaces: &str, indices: &[&str]) -> (Option<usize>, Vec<usize>, Vec<String>) {
    let ips: Vec<String> = (0..)
        .zip(indices)
        .map(|(n, index)| format!(r#"{{"address":"10.0.0.{n}/24"{index}}}"#))
        .collect();
    let text = format!(
        r#"{{"interfaces":[{interfaces}],"ips":[{}]}}"#,
        ips.join(",")
    );
    let result = parse(Version::V100, &text).unwrap();
    let own = result
        .container_ips("eth0")
        .map(|ip| result.ips.iter().position(|i| i == ip));
    (
        result.container_interface("eth0"),
        own.flatten().collect(),
        result
            .host_interfaces("eth0")
            .map(|i| i.name.clone())
            .collect(),
    )
}

#[test]
fn the_container_s_interface_is_known_with_and_without_a_sandbox() {
    let all = [
        "",
        r#","interface":0"#,
        r#","interface":1"#,
        r#","interface":9"#,
    ];
    type Case<'a> = (&'a str, Option<usize>, &'a [usize], &'a [&'a str]);
    let cases: [Case<'_>; 7] = [
        (
            r#"{"name":"v"},{"name":"eth0","sandbox":"/n"}"#,
            Some(1),
            &[0, 2, 3],
            &["v"],
        ),
        // Azure's and Terway's.
        (r#"{"name":"eth0"}"#, Some(0), &[0, 1, 2, 3], &[]),
        (
            r#"{"name":"v"},{"name":"eth0","mac":"02:00:00:00:00:01"}"#,
            Some(1),
            &[0, 2, 3],
            &["v"],
        ),
        // The node has an interface of that name, too.
        (
            r#"{"name":"eth0"},{"name":"eth0","sandbox":"/n"}"#,
            Some(1),
            &[0, 2, 3],
            &["eth0"],
        ),
        // Calico's.
        (r#"{"name":"cali1"}"#, None, &[0, 1, 2, 3], &["cali1"]),
        (
            r#"{"name":"v"},{"name":"net1","sandbox":"/n"}"#,
            None,
            &[0, 3],
            &["v"],
        ),
        ("", None, &[0, 1, 2, 3], &[]),
    ];
    for (interfaces, own, ips, host) in cases {
        let (found, addresses, names) = sides(interfaces, &all);
        assert_eq!(found, own, "{interfaces}");
        assert_eq!(addresses, ips, "{interfaces}");
        assert_eq!(names, host, "{interfaces}");
    }
}
