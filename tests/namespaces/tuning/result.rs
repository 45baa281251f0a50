//! What ADD says of the container's interface.

use serde_json::json;

use super::pod::Pod;

#[test]
fn mac_and_mtu_of_the_container_s_interface_are_the_new_ones() {
    let pod = Pod::new();
    let keys = |version: &str| {
        json!({
            "cniVersion": version, "mtu": 1400, "mac": "02-AA-00-00-00-05",
            "prevResult": {"cniVersion": version, "interfaces": [
                {"name": "eth0", "mac": "02:00:00:00:00:0a"},
                {"name": "eth0", "mac": "02:00:00:00:00:0c", "mtu": 1500, "sandbox": "/n"},
                {"name": "eth1", "mac": "02:00:00:00:00:0d", "sandbox": "/n"},
            ]},
        })
    };
    let result = pod.add(keys("1.1.0"));
    assert_eq!(
        result["interfaces"],
        json!([
            {"name": "eth0", "mac": "02:00:00:00:00:0a"},
            {"name": "eth0", "mac": "02:aa:00:00:00:05", "mtu": 1400, "sandbox": "/n"},
            {"name": "eth1", "mac": "02:00:00:00:00:0d", "sandbox": "/n"},
        ])
    );
    // 0.4.0 has no MTU in its results.
    let result = pod.add(keys("0.4.0"));
    assert_eq!(
        result["interfaces"][1],
        json!({"name": "eth0", "mac": "02:aa:00:00:00:05", "sandbox": "/n"})
    );
}

#[test]
fn a_result_is_passed_on_with_what_nobody_knows() {
    let pod = Pod::new();
    let prev_result = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": "/n", "vendor": {"x": [1, null]}}],
        "ips": [{"address": "10.0.0.5/24", "interface": 0, "vendor": 1}],
        "routes": [{"dst": "0.0.0.0/0", "mtu": 1400, "table": 7}],
        "dns": {"nameservers": ["10.0.0.53"]},
        "vendor": "x",
    });
    let result = pod.add(json!({"prevResult": prev_result}));
    assert_eq!(result, prev_result);
}
