//! ADD of bandwidth that fails in the middle leaves nothing.

use super::{both, ifbs};
use crate::at_once::at_once;
use crate::case::Table;
use crate::failure::equal;
use crate::kernel::{ifb, script};
use crate::request::Request;

/// Cases of faults.
pub fn cases(table: &mut Table) {
    table.case("ADD killed at any moment is cleaned by DEL", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        for delay in [1, 2, 3, 4, 6, 8, 12, 20] {
            let kill = format!("( sleep 0.{delay:03}; kill -9 $$ ) >/dev/null 2>&1 </dev/null &");
            // The plugin ends by the signal or in time; either way DEL comes next.
            let _ = pods.request(both()).prepared(&kill).add()?;
            pods.request(both()).del()?.silent()?;
            pods.unchanged(&before)?;
        }
        Ok(())
    });
    table.case("ADD killed at any moment is completed by ADD", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        for delay in [1, 2, 3, 4, 6, 8] {
            let kill = format!("( sleep 0.{delay:03}; kill -9 $$ ) >/dev/null 2>&1 </dev/null &");
            let _ = pods.request(both()).prepared(&kill).add()?;
            let request = pods.request(both()).added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            pods.unchanged(&before)?;
        }
        Ok(())
    });
    table.case("ADD that finds a half of itself completes it", |lab| {
        for half in ["ip link add IFB type ifb", "tc qdisc add dev veth0 ingress", "tc qdisc add dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000",
            "ip link add IFB type ifb; tc qdisc add dev veth0 ingress; tc filter add dev veth0 parent ffff: protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev IFB"] {
            let pods = lab.pod()?;
            script(&pods.net.host, &half.replace("IFB", &ifb("net1", "cid-0001")))?;
            let request = pods.request(both()).added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            equal("ifbs", &ifbs(&pods.net.host)?, &Vec::new())?;
        }
        Ok(())
    });
    table.case(
        "sixteen pods at once are added, checked and deleted",
        |lab| {
            let pods = lab.pods(16)?;
            let before = pods.state()?;
            let pod = |n| pods.request_for(n, both()).id(&format!("pod-{n}"));
            at_once((0..16).map(pod), Request::comes_and_goes)?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "eight ADDs of one attachment at once leave one ifb, and DEL removes it",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| pods.request(both()).add());
                }
            });
            let request = pods.request(both()).added()?;
            request.check()?.silent()?;
            equal("ifbs", &ifbs(&pods.net.host)?.len(), &1)?;
            request.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "DEL after a failed ADD leaves everything as it was",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods.request(both()).env("CNI_IFNAME", "net7");
            request.add()?.error()?;
            request.without("prevResult").del()?.silent()?;
            pods.unchanged(&before)
        },
    );
}
