//! DEL of tuning restores what ADD changed, and leaves nothing.

use std::fs;

use serde_json::{Value, json};

use super::pass::Sniffer;
use crate::case::Table;
use crate::failure::{ensure, equal};
use crate::kernel::{has_flag, link_has, script, sysctl_is};
use crate::lab::Lab;

fn everything() -> Value {
    json!({"mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true, "txQLen": 77,
        "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1",
            "net.ipv4.ip_local_port_range": "1024 65000"}})
}

/// Cases of DEL.
pub fn cases(table: &mut Table) {
    restores(table);
    backup(table);
    nothing_left(table);
    chains(table);
}

fn restores(table: &mut Table) {
    for (name, conf) in [
        ("the MTU", json!({"mtu": 1400})),
        ("the hardware address", json!({"mac": "02:aa:00:00:00:05"})),
        ("promisc", json!({"promisc": true})),
        ("allmulti", json!({"allmulti": true})),
        ("the transmit queue length", json!({"txQLen": 77})),
        ("a sysctl", json!({"sysctl": {"net.core.somaxconn": "500"}})),
        (
            "several sysctls",
            json!({"sysctl": {"net.core.somaxconn": "500",
            "net.ipv4.conf.IFNAME.arp_filter": "1", "net.ipv4.ip_local_port_range": "1024\t65000"}}),
        ),
        ("everything", everything()),
    ] {
        table.case(format!("DEL restores {name}"), move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(conf.clone()).added()?.del()?.silent()?;
            pods.unchanged(&before)
        });
    }
    table.case("DEL without prevResult restores everything", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let request = pods.request(everything()).added()?;
        request
            .without("prevResult")
            .without("runtimeConfig")
            .del()?
            .silent()?;
        pods.unchanged(&before)
    });
    table.case(
        "DEL restores promisc and allmulti that were on before",
        |lab| {
            let pods = lab.pod()?;
            let pod = &pods.net.containers[0];
            script(pod, "ip link set eth0 promisc on allmulticast on")?;
            let request = pods
                .request(json!({"promisc": false, "allmulti": false, "mtu": 1400}))
                .added()?;
            request.del()?.ok()?;
            ensure(has_flag(pod, "eth0", "ALLMULTI")?, || {
                "allmulti is off".into()
            })?;
            ensure(has_flag(pod, "eth0", "PROMISC")?, || {
                "promisc is off".into()
            })
        },
    );
    table.case(
        "DEL does not switch promisc on for good when a sniffer ran during ADD",
        |lab| {
            let pods = lab.pod()?;
            let pod = &pods.net.containers[0];
            let _sniffer = Sniffer::start(pod)?;
            pods.request(json!({"promisc": true, "mtu": 1400}))
                .added()?
                .del()?
                .ok()?;
            ensure(!has_flag(pod, "eth0", "PROMISC")?, || {
                "PROMISC stays".into()
            })
        },
    );
    table.case(
        "DEL works from the backup when the configuration has changed",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods.request(everything()).added()?;
            let bare = json!({"mtu": Value::Null, "mac": Value::Null, "sysctl": Value::Null,
            "promisc": Value::Null, "allmulti": Value::Null, "txQLen": Value::Null});
            request.with(bare).del()?.ok()?;
            pods.unchanged(&before)
        },
    );
    for id in ["a", "x_y.z-0", "ABCDEF0123456789abcdef"] {
        table.case(
            format!("DEL restores for the container ID {id}"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                pods.usual().id(id).added()?.del()?.ok()?;
                pods.unchanged(&before)
            },
        );
    }
}

fn backup(table: &mut Table) {
    table.case("the backup file has the reference's name and keys", |lab| {
        let pods = lab.pod()?;
        pods.request(everything()).added()?;
        let saved: Value = serde_json::from_str(&fs::read_to_string(file(lab))?)?;
        for (key, value) in [
            ("mac", json!("02:00:00:00:00:0c")),
            ("mtu", json!(1500)),
            ("promisc", json!(false)),
            ("allmulti", json!(false)),
        ] {
            equal(key, &saved[key], &value)?;
        }
        ensure(saved["txQLen"].as_u64().is_some(), || saved.to_string())
    });
    table.case(
        "the backup file and its directory are for root alone",
        |lab| {
            use std::os::unix::fs::PermissionsExt;
            let pods = lab.pod()?;
            let directory = lab.data_dir().join("new");
            pods.request(json!({"mtu": 1400, "dataDir": directory}))
                .added()?;
            let mode = |path: std::path::PathBuf| {
                Ok::<_, std::io::Error>(fs::metadata(path)?.permissions().mode() & 0o777)
            };
            equal(
                "mode of the file",
                &mode(directory.join("cid-0001_eth0.json"))?,
                &0o600,
            )?;
            equal("mode of the directory", &mode(directory)?, &0o700)
        },
    );
    table.case(
        "no backup is written when nothing is configured that needs one",
        |lab| {
            let pods = lab.pod()?;
            pods.request(json!({})).added()?;
            pods.no_files()
        },
    );
    table.case("no temporary file stays beside the backup", |lab| {
        let pods = lab.pod()?;
        pods.request(everything()).added()?;
        let count = fs::read_dir(lab.data_dir())?.count();
        equal("files", &count, &1)
    });
    table.case("DEL restores from a backup of the reference", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let saved = json!({"mac": "02:00:00:00:00:0c", "promisc": false, "mtu": 1500,
            "allmulti": false, "txQLen": 1000});
        fs::write(file(lab), saved.to_string())?;
        script(
            &pods.net.containers[0],
            "ip link set eth0 mtu 1400 txqueuelen 77",
        )?;
        pods.request(json!({"mtu": 1400, "txQLen": 77}))
            .del()?
            .ok()?;
        pods.unchanged(&before)
    });
    for (name, text) in [
        ("truncated", "{\"mac\":\"02:00:00"),
        ("empty", ""),
        ("no JSON", "\0\0\0\0"),
        ("a list", "[1, 2]"),
        ("null", "null"),
        ("of wrong types", "{\"mtu\": \"big\", \"mac\": 5}"),
        (
            "with a bad MAC",
            "{\"mtu\": 1500, \"mac\": \"zz\", \"promisc\": false, \"allmulti\": false, \"txQLen\": 1000}",
        ),
    ] {
        table.case(
            format!("DEL removes a backup file that is {name}"),
            move |lab| {
                let pods = lab.pod()?;
                fs::write(file(lab), text)?;
                pods.usual().del()?.orderly()?;
                pods.no_files()
            },
        );
    }
    table.case(
        "ADD half-applies nothing when it finds a truncated backup file",
        |lab| {
            let pods = lab.pod()?;
            fs::write(file(lab), "{\"mac\":")?;
            let before = pods.state()?;
            let reply = pods.usual().add()?;
            if reply.ok().is_ok() {
                return link_has(&pods.net.containers[0], "eth0", "mtu", &json!(1400));
            }
            reply.error()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "a backup that stayed after a crash is not the other pod's",
        |lab| {
            // The container ID is the same in another network: each has its own interface.
            let pods = lab.pod()?;
            let pod = &pods.net.containers[0];
            script(pod, "ip link add net1 mtu 1300 type veth peer name x")?;
            let first = pods.usual().added()?;
            let second = pods
                .usual()
                .network("net2")
                .env("CNI_IFNAME", "net1")
                .added()?;
            first.del()?.ok()?;
            link_has(pod, "eth0", "mtu", &json!(1500))?;
            link_has(pod, "net1", "mtu", &json!(1400))?;
            second.del()?.ok()?;
            link_has(pod, "net1", "mtu", &json!(1300))?;
            pods.no_files()
        },
    );
}

fn nothing_left(table: &mut Table) {
    table.case("DEL removes the backup when the namespace is gone", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        request.forgotten().del()?.silent()?;
        pods.no_files()
    });
    table.case(
        "DEL removes the backup when the path of the namespace is gone",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            request
                .env("CNI_NETNS", "/run/netns/no-such-namespace")
                .del()?
                .silent()?;
            pods.no_files()
        },
    );
    table.case("DEL removes the backup when CNI_NETNS is not set", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        request.no_env("CNI_NETNS").del()?.silent()?;
        pods.no_files()
    });
    table.case("DEL removes the backup when the interface is gone", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        script(&pods.net.containers[0], "ip link del eth0")?;
        request.del()?.silent()?;
        pods.no_files()
    });
    table.case("DEL twice succeeds", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let request = pods.usual().added()?;
        request.del()?.silent()?;
        request.del()?.silent()?;
        pods.unchanged(&before)
    });
    table.case("DEL without ADD succeeds and changes nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.request(everything()).del()?.silent()?;
        pods.unchanged(&before)
    });
    table.case("DEL without ADD and namespace succeeds", |lab| {
        let pods = lab.pod()?;
        pods.usual().forgotten().del()?.silent()
    });
    table.case("ADD twice and DEL restore what was there first", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let request = pods.request(everything());
        request.clone().added()?;
        request.added()?.del()?.silent()?;
        pods.unchanged(&before)
    });
    table.case(
        "ADD, ADD with another MTU and DEL restore what was there first",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(json!({"mtu": 1400})).added()?;
            pods.request(json!({"mtu": 1300}))
                .added()?
                .del()?
                .silent()?;
            pods.unchanged(&before)
        },
    );
    table.case("ADD, DEL, ADD, DEL restore what was there first", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.request(everything()).added()?.del()?.ok()?;
        pods.request(everything()).added()?.del()?.ok()?;
        pods.unchanged(&before)
    });
}

fn chains(table: &mut Table) {
    table.case(
        "two tunings in one chain are both restored by DEL in reverse",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let first = pods.request(json!({"mtu": 1400})).added()?;
            let second = first
                .clone()
                .without("mtu")
                .with(json!({"txQLen": 5}))
                .added()?;
            second.del()?.silent()?;
            first.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "two tunings of the same thing in one chain are restored",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let first = pods.request(json!({"mtu": 1400})).added()?;
            let second = first.clone().with(json!({"mtu": 1300})).added()?;
            second.del()?.silent()?;
            first.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "two interfaces of one container are restored apart",
        |lab| {
            let pods = lab.pod()?;
            let pod = &pods.net.containers[0];
            script(pod, "ip link add net1 mtu 1350 type veth peer name x")?;
            let before = pods.state()?;
            let first = pods.usual().added()?;
            let second = pods
                .request(json!({"mtu": 1250, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}}))
                .env("CNI_IFNAME", "net1")
                .added()?;
            second.del()?.silent()?;
            link_has(pod, "eth0", "mtu", &json!(1400))?;
            link_has(pod, "net1", "mtu", &json!(1350))?;
            sysctl_is(pod, "net.ipv4.conf.net1.arp_filter", "0")?;
            first.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
}

fn file(lab: &Lab) -> std::path::PathBuf {
    lab.data_dir().join("cid-0001_eth0.json")
}
