//! Where tuning takes its settings from, and which wins.

use serde_json::{Value, json};

use crate::case::Table;
use crate::cases::refused;
use crate::failure::{Verdict, ensure};
use crate::kernel::{has_flag, link_has, sysctl_is};
use crate::lab::Pods;

/// Cases of configuration.
pub fn cases(table: &mut Table) {
    precedence(table);
    spellings(table);
    refusals(table);
}

fn precedence(table: &mut Table) {
    let mac = |last: u8| json!(format!("02:00:00:00:01:{last:02x}"));
    let sources: [(&str, Value, &str, u8); 6] = [
        ("the configuration", json!({"mac": mac(1)}), "", 1),
        (
            "CNI_ARGS over the configuration",
            json!({"mac": mac(1)}),
            "MAC=02:00:00:00:01:02",
            2,
        ),
        (
            "CNI_ARGS alone",
            json!({}),
            "IgnoreUnknown=1;MAC=02:00:00:00:01:02",
            2,
        ),
        (
            "runtimeConfig over CNI_ARGS",
            json!({"mac": mac(1), "runtimeConfig": {"mac": mac(3)}}),
            "MAC=02:00:00:00:01:02",
            3,
        ),
        (
            "args.cni over runtimeConfig",
            json!({"mac": mac(1), "runtimeConfig": {"mac": mac(3)}, "args": {"cni": {"mac": mac(4)}}}),
            "MAC=02:00:00:00:01:02",
            4,
        ),
        (
            "the configuration when the others are empty",
            json!({"mac": mac(1), "runtimeConfig": {"mac": ""}, "args": {"cni": {}}}),
            "IgnoreUnknown=1",
            1,
        ),
    ];
    for (name, conf, args, last) in sources {
        table.case(
            format!("the hardware address is taken from {name}"),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(conf.clone()).env("CNI_ARGS", args).added()?;
                link(
                    &pods,
                    "address",
                    json!(format!("02:00:00:00:01:{last:02x}")),
                )
            },
        );
    }
    table.case(
        "args.cni sets MTU, transmit queue length, promisc and allmulti",
        |lab| {
            let pods = lab.pod()?;
            let args = json!({"mtu": 1300, "txQLen": 55, "promisc": true, "allmulti": true});
            pods.request(json!({"mtu": 1400, "txQLen": 66, "args": {"cni": args}}))
                .added()?;
            link(&pods, "mtu", json!(1300))?;
            link(&pods, "txqlen", json!(55))?;
            let pod = &pods.net.containers[0];
            ensure(
                has_flag(pod, "eth0", "PROMISC")? && has_flag(pod, "eth0", "ALLMULTI")?,
                || "flags".into(),
            )
        },
    );
    table.case("args.cni.sysctl is merged into sysctl and wins", |lab| {
        let pods = lab.pod()?;
        let conf = json!({"sysctl": {"net.core.somaxconn": "500", "net.ipv4.ip_default_ttl": "61"},
            "args": {"cni": {"sysctl": {"net.core.somaxconn": "501"}}}});
        pods.request(conf).added()?;
        sysctl_is(&pods.net.containers[0], "net.core.somaxconn", "501")?;
        sysctl_is(&pods.net.containers[0], "net.ipv4.ip_default_ttl", "61")
    });
    for verb in ["ADD", "CHECK", "DEL"] {
        table.case(
            format!("{verb} works with args.cni.sysctl and no sysctl of the configuration"),
            move |lab| {
                let pods = lab.pod()?;
                let conf = json!({"args": {"cni": {"sysctl": {"net.core.somaxconn": "501"}}}});
                let request = pods.request(conf);
                pods.net.containers[0].set_sysctl("net.core.somaxconn", "501")?;
                request.call(verb)?.ok()?;
                sysctl_is(&pods.net.containers[0], "net.core.somaxconn", "501")
            },
        );
    }
}

fn spellings(table: &mut Table) {
    for mac in [
        "02-aa-00-00-00-05",
        "02aa.0000.0005",
        "02:aa:00:00:00:05",
        "02:AA:00:00:00:05",
    ] {
        table.case(
            format!("the hardware address may be written {mac}"),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(json!({"mac": mac})).added()?.check()?.ok()?;
                link(&pods, "address", json!("02:aa:00:00:00:05"))
            },
        );
    }
    for key in ["MTU", "Mtu", "mTU"] {
        table.case(format!("the key mtu may be written {key}"), move |lab| {
            let pods = lab.pod()?;
            pods.request(json!({key: 1234})).added()?;
            link(&pods, "mtu", json!(1234))
        });
    }
    for (key, value, shown) in [
        ("TXQLEN", json!(33), ("txqlen", json!(33))),
        ("txqlen", json!(34), ("txqlen", json!(34))),
        (
            "MAC",
            json!("02:00:00:00:01:09"),
            ("address", json!("02:00:00:00:01:09")),
        ),
    ] {
        table.case(
            format!("the key {key} is understood without regard to case"),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(json!({key: value})).added()?;
                link(&pods, shown.0, shown.1.clone())
            },
        );
    }
    let nulls = [
        "sysctl",
        "mac",
        "mtu",
        "promisc",
        "allmulti",
        "txQLen",
        "args",
        "runtimeConfig",
        "capabilities",
    ];
    for key in nulls {
        table.case(format!("{key} may be null"), move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(json!({}))
                .set(key, Value::Null)
                .added()?
                .check()?
                .ok()?;
            pods.unchanged(&before)
        });
    }
    table.case("of two keys mtu the last wins", |lab| {
        let pods = lab.pod()?;
        let text = pods.request(json!({"mtu": 1300})).conf().to_string();
        let raw = text.replacen("\"mtu\":1300", "\"mtu\":1300,\"mtu\":1200", 1);
        pods.request(json!({})).raw(raw).add()?.ok()?;
        link(&pods, "mtu", json!(1200))
    });
}

fn refusals(table: &mut Table) {
    let cases: [(&str, Value); 34] = [
        ("a MAC that is none", json!({"mac": "not-a-mac"})),
        ("a MAC of five bytes", json!({"mac": "02:00:00:00:05"})),
        (
            "a MAC of eight bytes",
            json!({"mac": "02:00:00:00:00:00:00:05"}),
        ),
        (
            "a MAC of twenty bytes",
            json!({"mac": "02:00:00:00:00:00:00:05:02:00:00:00:00:00:00:05:00:00:00:01"}),
        ),
        ("a multicast MAC", json!({"mac": "01:00:5e:00:00:01"})),
        ("the MAC of zeros", json!({"mac": "00:00:00:00:00:00"})),
        ("a MAC that is a number", json!({"mac": 5})),
        ("an MTU that is text", json!({"mtu": "1400"})),
        ("a fractional MTU", json!({"mtu": 1400.5})),
        ("a negative MTU", json!({"mtu": -1})),
        ("an MTU the kernel refuses", json!({"mtu": 1_000_000})),
        ("an MTU of 2^32 + 1400", json!({"mtu": 4_294_968_696_u64})),
        ("an MTU that is a list", json!({"mtu": [1400]})),
        ("an MTU that is true", json!({"mtu": true})),
        ("a negative transmit queue length", json!({"txQLen": -1})),
        (
            "a transmit queue length of 2^32 + 5",
            json!({"txQLen": 4_294_967_301_u64}),
        ),
        (
            "a transmit queue length that is text",
            json!({"txQLen": "5"}),
        ),
        ("a promisc that is text", json!({"promisc": "true"})),
        ("a promisc that is a number", json!({"promisc": 1})),
        ("an allmulti that is a number", json!({"allmulti": 1})),
        (
            "sysctl that is a list",
            json!({"sysctl": ["net.core.somaxconn"]}),
        ),
        (
            "a sysctl that is a boolean",
            json!({"sysctl": {"net.core.somaxconn": true}}),
        ),
        (
            "a sysctl outside of net",
            json!({"sysctl": {"kernel.hostname": "evil"}}),
        ),
        (
            "a sysctl outside of net with slashes",
            json!({"sysctl": {"kernel/hostname": "evil"}}),
        ),
        (
            "a sysctl that leaves net with dots",
            json!({"sysctl": {"net/../kernel/hostname": "evil"}}),
        ),
        (
            "a sysctl that leaves /proc/sys",
            json!({"sysctl": {"net/../../../tmp/evil": "1"}}),
        ),
        (
            "a sysctl with an absolute path",
            json!({"sysctl": {"/net/core/somaxconn": "500"}}),
        ),
        (
            "a sysctl with an empty part",
            json!({"sysctl": {"net..core.somaxconn": "500"}}),
        ),
        (
            "a sysctl that does not exist",
            json!({"sysctl": {"net.core.no_such_key": "1"}}),
        ),
        (
            "a sysctl that is a directory",
            json!({"sysctl": {"net.core": "1"}}),
        ),
        ("a sysctl with an empty key", json!({"sysctl": {"": "1"}})),
        (
            "a sysctl value the kernel refuses",
            json!({"sysctl": {"net.core.somaxconn": "many"}}),
        ),
        (
            "a sysctl given twice, with dots and with slashes",
            json!({"sysctl": {"net.core.somaxconn": "500", "net/core/somaxconn": "501"}}),
        ),
        (
            "a sysctl key with a newline",
            json!({"sysctl": {"net.core.somaxconn\n": "500"}}),
        ),
    ];
    refused::configurations(table, cases);
    table.case("ADD refuses a sysctl written twice literally", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let text = pods
            .request(json!({"sysctl": {"net.core.somaxconn": "500"}}))
            .conf()
            .to_string();
        let twice = "\"net.core.somaxconn\":\"500\",\"net.core.somaxconn\":\"501\"";
        let raw = text.replacen("\"net.core.somaxconn\":\"500\"", twice, 1);
        pods.request(json!({})).raw(raw).add()?.error()?;
        pods.unchanged(&before)
    });
    table.case("ADD refuses an interface that is not there", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.usual().env("CNI_IFNAME", "net7").add()?.error()?;
        pods.unchanged(&before)
    });
}

fn link(pods: &Pods, key: &str, expected: Value) -> Verdict {
    link_has(&pods.net.containers[0], "eth0", key, &expected)
}
