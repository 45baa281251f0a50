//! What ADD of tuning does, and what it returns.

use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::{Verdict, ensure, equal};
use crate::json::text;
use crate::kernel::{has_flag, link_has, sysctl_is};
use crate::lab::{Lab, Pods};

/// Cases of ADD.
pub fn cases(table: &mut Table) {
    attributes(table);
    sysctls(table);
    results(table);
}

fn attributes(table: &mut Table) {
    table.case("ADD sets the MTU", |lab| {
        added(lab, json!({"mtu": 1400}), |pods| {
            link(pods, "mtu", json!(1400))
        })
    });
    table.case("ADD sets the hardware address", |lab| {
        added(lab, json!({"mac": "02:AA:00:00:00:05"}), |pods| {
            link(pods, "address", json!("02:aa:00:00:00:05"))
        })
    });
    table.case("ADD sets the transmit queue length", |lab| {
        added(lab, json!({"txQLen": 77}), |pods| {
            link(pods, "txqlen", json!(77))
        })
    });
    table.case("ADD sets a transmit queue length of 0", |lab| {
        added(lab, json!({"txQLen": 0}), |pods| {
            // `ip` leaves out a length of 0.
            let link = crate::kernel::link(&pods.net.containers[0], "eth0")?;
            ensure(link["txqlen"].as_u64().unwrap_or(0) == 0, || {
                link["txqlen"].to_string()
            })
        })
    });
    for (key, on) in [("promisc", "PROMISC"), ("allmulti", "ALLMULTI")] {
        table.case(format!("ADD switches {key} on"), move |lab| {
            added(lab, json!({key: true}), |pods| {
                ensure(has_flag(&pods.net.containers[0], "eth0", on)?, || {
                    format!("no {on}")
                })
            })
        });
    }
    table.case(
        "ADD switches allmulti off when it is configured false",
        |lab| {
            let pods = lab.pod()?;
            pods.net.containers[0].sh(["ip", "link", "set", "eth0", "allmulticast", "on"]);
            pods.request(json!({"allmulti": false})).added()?;
            ensure(
                !has_flag(&pods.net.containers[0], "eth0", "ALLMULTI")?,
                || "still on".into(),
            )
        },
    );
    table.case("ADD leaves alone what is not configured", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.request(json!({})).added()?;
        pods.unchanged(&before)
    });
    table.case(
        "ADD changes the interface that CNI_IFNAME names, and no other",
        |lab| {
            let pods = lab.pod()?;
            pods.net.containers[0].sh([
                "ip", "link", "add", "net1", "mtu", "1500", "type", "veth", "peer", "name", "x",
            ]);
            pods.request(json!({"mtu": 1300}))
                .env("CNI_IFNAME", "net1")
                .added()?;
            link_has(&pods.net.containers[0], "net1", "mtu", &json!(1300))?;
            link(&pods, "mtu", json!(1500))
        },
    );
}

fn sysctls(table: &mut Table) {
    table.case("ADD sets a sysctl of the namespace", |lab| {
        added(lab, sysctl("net.core.somaxconn", "500"), |pods| {
            sysctl_is(&pods.net.containers[0], "net.core.somaxconn", "500")
        })
    });
    table.case("ADD does not set the sysctl on the host", |lab| {
        let pods = lab.pod()?;
        let before = pods.net.host.sysctl("net.core.somaxconn")?;
        pods.request(sysctl("net.core.somaxconn", "501")).added()?;
        sysctl_is(&pods.net.host, "net.core.somaxconn", &before)
    });
    for key in [
        "net.ipv4.conf.IFNAME.arp_filter",
        "net/ipv4/conf/IFNAME/arp_filter",
        "net/ipv4/conf/eth0/arp_filter",
        "net.ipv4.conf.eth0.arp_filter",
    ] {
        table.case(format!("ADD sets the sysctl {key}"), move |lab| {
            added(lab, sysctl(key, "1"), |pods| {
                sysctl_is(
                    &pods.net.containers[0],
                    "net.ipv4.conf.eth0.arp_filter",
                    "1",
                )
            })
        });
    }
    for key in [
        "net/ipv4/conf/eth0.100/arp_filter",
        "net/ipv4/conf/IFNAME/arp_filter",
    ] {
        table.case(
            format!("ADD sets {key} of an interface with a dot in its name"),
            move |lab| {
                let pods = lab.pod()?;
                let pod = &pods.net.containers[0];
                pod.sh([
                    "ip", "link", "add", "eth0.100", "type", "veth", "peer", "name", "x",
                ]);
                pods.request(sysctl(key, "1"))
                    .env("CNI_IFNAME", "eth0.100")
                    .added()?;
                sysctl_is(pod, "net/ipv4/conf/eth0.100/arp_filter", "1")
            },
        );
    }
    table.case("ADD sets a sysctl with tabs between its numbers", |lab| {
        added(
            lab,
            sysctl("net.ipv4.ip_local_port_range", "1024\t65000"),
            |pods| {
                sysctl_is(
                    &pods.net.containers[0],
                    "net.ipv4.ip_local_port_range",
                    "1024\t65000",
                )
            },
        )
    });
    table.case(
        "ADD sets sysctls in the order in which they are written",
        |lab| {
            // The last write wins: `all` writes through to every interface.
            for (first, second, expected) in [("all", "eth0", "0"), ("eth0", "all", "1")] {
                let pods = lab.pod()?;
                let value = |scope: &str| if scope == "all" { "1" } else { "0" };
                let key = |scope: &str| format!("net.ipv6.conf.{scope}.disable_ipv6");
                let conf = pods.request(json!({})).conf().to_string();
                let sysctls = format!(
                    "{{\"sysctl\":{{\"{}\":\"{}\",\"{}\":\"{}\"}},",
                    key(first),
                    value(first),
                    key(second),
                    value(second)
                );
                let raw = conf.replacen('{', &sysctls, 1);
                pods.request(json!({})).raw(raw).add()?.ok()?;
                sysctl_is(&pods.net.containers[0], &key("eth0"), expected)?;
            }
            Ok(())
        },
    );
}

fn results(table: &mut Table) {
    table.case(
        "the result has the new hardware address at the container's interface",
        |lab| {
            let pods = lab.pod()?;
            let result = pods
                .request(json!({"mac": "02:00:00:00:01:05"}))
                .add()?
                .result()?;
            equal(
                "mac",
                &text(&result, "/interfaces/1/mac"),
                &"02:00:00:00:01:05",
            )?;
            equal(
                "host mac",
                &text(&result, "/interfaces/0/mac"),
                &"02:00:00:00:00:0a",
            )
        },
    );
    table.case(
        "the result leaves the address of a host interface of the same name alone",
        |lab| {
            let pods = lab.pod()?;
            let mut request = pods.request(json!({"mac": "02:00:00:00:01:05"}));
            let mut previous = request.conf()["prevResult"].clone();
            if let Some(list) = previous["interfaces"].as_array_mut() {
                list.push(json!({"name": "eth0", "mac": "02:00:00:00:00:77"}));
            }
            request = request.set("prevResult", previous);
            let result = request.add()?.result()?;
            equal(
                "mac",
                &text(&result, "/interfaces/2/mac"),
                &"02:00:00:00:00:77",
            )
        },
    );
    table.case("the result of spec version 1.1.0 has the new MTU", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(json!({"mtu": 1400})).version("1.1.0");
        let result = request.add()?.result()?;
        equal("mtu", &result["interfaces"][1]["mtu"], &json!(1400))
    });
    table.case(
        "the result of spec version 1.1.0 keeps an MTU that tuning did not set",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(json!({"txQLen": 5})).version("1.1.0");
            let mut previous = request.conf()["prevResult"].clone();
            previous["interfaces"][1]["mtu"] = json!(1500);
            let result = request.set("prevResult", previous).add()?.result()?;
            equal("mtu", &result["interfaces"][1]["mtu"], &json!(1500))
        },
    );
}

fn added(lab: &Lab, conf: Value, look: impl Fn(&Pods) -> Verdict) -> Verdict {
    let pods = lab.pod()?;
    pods.request(conf).added()?;
    look(&pods)
}

fn link(pods: &Pods, key: &str, expected: Value) -> Verdict {
    link_has(&pods.net.containers[0], "eth0", key, &expected)
}

fn sysctl(key: &str, value: &str) -> Value {
    json!({"sysctl": {key: value}})
}
