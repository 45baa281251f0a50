//! tc is shared with others: what they put there stays and works.

use super::{both, egress, free};
use crate::case::Table;
use crate::failure::{Verdict, ensure};
use crate::kernel::script;
use crate::lab::{Lab, Pods};

/// What others may have on the host interface before ADD.
const THEIRS: [(&str, &str); 4] = [
    ("an ingress qdisc", "tc qdisc add dev veth0 ingress"),
    ("clsact", "tc qdisc add dev veth0 clsact"),
    (
        "clsact with filters",
        "tc qdisc add dev veth0 clsact; tc filter add dev veth0 ingress protocol ip pref 10 u32 match ip src 192.0.2.1 flowid 1:2; tc filter add dev veth0 egress protocol ip pref 10 u32 match ip src 192.0.2.1 flowid 1:2",
    ),
    (
        "an ingress qdisc with a filter of the same priority",
        "tc qdisc add dev veth0 ingress; tc filter add dev veth0 parent ffff: protocol ip pref 1 u32 match ip src 192.0.2.1 flowid 1:2",
    ),
];

/// Cases of sharing.
pub fn cases(table: &mut Table) {
    for (name, theirs) in THEIRS {
        table.case(
            format!("ADD, CHECK and DEL work beside {name}, which stays"),
            move |lab| {
                let pods = lab.pod()?;
                script(&pods.net.host, theirs)?;
                let before = pods.state()?;
                let request = pods.request(both()).added()?;
                request.check()?.silent()?;
                let during = filters(&pods)?;
                ensure(
                    !theirs.contains("192.0.2.1") || during.contains("c0000201"),
                    || format!("their filter is gone: {during}"),
                )?;
                request.del()?.silent()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case("DEL leaves a filter that somebody added after ADD", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(both()).added()?;
        script(&pods.net.host, "tc filter add dev veth0 ingress protocol ip pref 49 u32 match ip src 192.0.2.1 flowid 1:2")?;
        request.check()?.silent()?;
        request.del()?.silent()?;
        let left = filters(&pods)?;
        ensure(left.contains("c0000201") && !left.contains("mirred"), || left)
    });
    table.case(
        "ADD with a root qdisc of somebody else's is refused, or DEL brings it back",
        |lab| {
            let pods = lab.pod()?;
            script(
                &pods.net.host,
                "tc qdisc add dev veth0 root handle 9: pfifo limit 77",
            )?;
            let before = pods.state()?;
            let request = pods.request(both());
            let reply = request.add()?;
            reply.orderly()?;
            if reply.ok().is_ok() {
                request.check()?.ok()?;
                return request.del()?.silent();
            }
            pods.unchanged(&before)
        },
    );
    table.case(
        "an egress limit alone leaves a root qdisc of somebody else's alone",
        |lab| {
            let pods = lab.pod()?;
            script(
                &pods.net.host,
                "tc qdisc add dev veth0 root handle 9: pfifo limit 77",
            )?;
            let before = pods.state()?;
            let request = pods.request(egress()).added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case("an ifb of somebody else's is left alone", theirs_ifb);
}

fn theirs_ifb(lab: &Lab) -> Verdict {
    let pods = lab.pod()?;
    script(
        &pods.net.host,
        "ip link add ifb0 type ifb; ip link set ifb0 up; tc qdisc add dev ifb0 root tbf rate 1mbit burst 5000 limit 9000",
    )?;
    let before = pods.state()?;
    let request = pods.request(both()).added()?;
    request.del()?.silent()?;
    pods.usual().gc(&[])?.silent()?;
    pods.unchanged(&before)?;
    free(&pods.net.host, "veth0")
}

fn filters(pods: &Pods) -> Result<String, crate::failure::Failure> {
    script(
        &pods.net.host,
        "tc filter show dev veth0 ingress; tc filter show dev veth0 egress 2>/dev/null || true",
    )
}
