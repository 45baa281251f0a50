//! The sysctls an administrator permits: /etc/cni/tuning/allowlist.conf, one regular expression a line.

use serde_json::json;

use crate::case::Table;
use crate::kernel::sysctl_is;

/// The list, the sysctl asked for, and whether it may be set.
const CASES: [(&str, &str, &str, bool); 11] = [
    (
        "a line that is the key permits it",
        "^net.core.somaxconn$\\n",
        "net.core.somaxconn",
        true,
    ),
    (
        "a line that matches a part permits it",
        "somaxconn\\n",
        "net.core.somaxconn",
        true,
    ),
    (
        "an expression permits it",
        "^net\\\\.core\\\\..*$\\n",
        "net.core.somaxconn",
        true,
    ),
    (
        "an anchored expression refuses what it does not match",
        "^net\\\\.ipv4\\\\.",
        "net.core.somaxconn",
        false,
    ),
    (
        "the second line permits it",
        "^nothing$\\n^net.core.somaxconn$\\n",
        "net.core.somaxconn",
        true,
    ),
    (
        "a blank before and behind a line does not count",
        "  ^net.core.somaxconn$  \\n",
        "net.core.somaxconn",
        true,
    ),
    (
        "empty lines permit nothing",
        "\\n\\n^nothing$\\n\\n",
        "net.core.somaxconn",
        false,
    ),
    (
        "a list without a match refuses it",
        "^net.ipv4.conf.IFNAME.arp_filter$\\n",
        "net.core.somaxconn",
        false,
    ),
    (
        "IFNAME in the list and the key permit it",
        "^net.ipv4.conf.IFNAME.[a-z_]*$\\n",
        "net.ipv4.conf.IFNAME.arp_filter",
        true,
    ),
    (
        "a line without newline at the end permits it",
        "^net.core.somaxconn$",
        "net.core.somaxconn",
        true,
    ),
    (
        "lines with carriage returns permit it",
        "^net.core.somaxconn$\\r\\n",
        "net.core.somaxconn",
        true,
    ),
];

/// Cases of the allowlist.
pub fn cases(table: &mut Table) {
    for (name, list, key, permitted) in CASES {
        table.case(format!("allowlist: {name}"), move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods
                .request(json!({"sysctl": {key: "1"}}))
                .prepared(&etc(list));
            let reply = request.add()?;
            if permitted {
                reply.ok()?;
                let real = key.replace("IFNAME", "eth0");
                return sysctl_is(&pods.net.containers[0], &real, "1");
            }
            reply.error()?;
            pods.unchanged(&before)
        });
    }
    table.case(
        "allowlist: without a list every sysctl of net is permitted",
        |lab| {
            let pods = lab.pod()?;
            let prepare = "mount -t tmpfs tmpfs /etc";
            pods.request(json!({"sysctl": {"net.core.somaxconn": "1"}}))
                .prepared(prepare)
                .add()?
                .ok()
        },
    );
    table.case(
        "allowlist: a list that cannot be read is an error that changes nothing",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let prepare = "mount -t tmpfs tmpfs /etc; mkdir -p /etc/cni/tuning/allowlist.conf";
            pods.request(json!({"sysctl": {"net.core.somaxconn": "1"}, "mtu": 1400}))
                .prepared(prepare)
                .add()?
                .error()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "allowlist: an expression that is none is an error that changes nothing",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(json!({"sysctl": {"net.core.somaxconn": "1"}, "mtu": 1400}))
                .prepared(&etc("net.(core\\n"))
                .add()?
                .error()?;
            pods.unchanged(&before)
        },
    );
    table.case("allowlist: it holds for args.cni.sysctl too", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let conf = json!({"sysctl": {}, "args": {"cni": {"sysctl": {"net.core.somaxconn": "1"}}}});
        pods.request(conf)
            .prepared(&etc("^nothing$\\n"))
            .add()?
            .error()?;
        pods.unchanged(&before)
    });
    table.case(
        "allowlist: DEL restores what the list no longer permits",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods
                .request(json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "1"}}))
                .added()?;
            request.prepared(&etc("^nothing$\\n")).del()?.orderly()?;
            pods.unchanged(&before)
        },
    );
    table.case("allowlist: the other settings need no permission", |lab| {
        let pods = lab.pod()?;
        pods.request(json!({"mtu": 1400}))
            .prepared(&etc("^nothing$\\n"))
            .add()?
            .ok()
    });
}

fn etc(list: &str) -> String {
    format!(
        "mount -t tmpfs tmpfs /etc; mkdir -p /etc/cni/tuning; printf '{list}' > /etc/cni/tuning/allowlist.conf"
    )
}
