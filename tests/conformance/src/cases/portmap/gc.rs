//! GC of portmap removes what dead attachments left, and nothing else.

use super::traces::{all_of, none_of};
use super::{mapping, mappings, web};
use crate::case::Table;
use crate::failure::Failure;
use crate::lab::Pods;
use crate::request::Request;

/// Cases of GC.
pub fn cases(table: &mut Table) {
    table.case(
        "GC removes the rules of an attachment that is not valid",
        |lab| {
            let pods = lab.pod()?;
            added(&pods, 0, "net1", "dead")?.gc(&[])?.silent()?;
            none_of(&pods.net.host, &["10.22.0.2", "fd00:22::2", "dead"])
        },
    );
    table.case("GC keeps the rules of a valid attachment", |lab| {
        let pods = lab.pod()?;
        let request = added(&pods, 0, "net1", "alive")?;
        request.gc(&[("alive", "eth0")])?.silent()?;
        request.check()?.silent()
    });
    table.case("GC removes the dead and keeps the valid", |lab| {
        let pods = lab.pods(3)?;
        let first = added(&pods, 0, "net1", "alive")?;
        added(&pods, 1, "net1", "dead")?;
        let third = added(&pods, 2, "net1", "alive-2")?;
        first
            .gc(&[("alive", "eth0"), ("alive-2", "eth0"), ("unknown", "eth0")])?
            .silent()?;
        none_of(&pods.net.host, &["10.22.0.3", "dead"])?;
        first.check()?.silent()?;
        third.check()?.silent()
    });
    table.case("GC of one network leaves another network alone", |lab| {
        let pods = lab.pods(2)?;
        let theirs = added(&pods, 0, "net2", "cid")?;
        let ours = added(&pods, 1, "net1", "cid")?;
        ours.gc(&[])?.silent()?;
        theirs.check()?.silent()?;
        none_of(&pods.net.host, &["10.22.0.3"])
    });
    table.case("GC tells networks apart whose names begin alike", |lab| {
        let pods = lab.pods(2)?;
        let theirs = added(&pods, 0, "net-ab", "1")?;
        let ours = added(&pods, 1, "net-a", "b1")?;
        ours.gc(&[])?.silent()?;
        theirs.check()?.silent()?;
        none_of(&pods.net.host, &["10.22.0.3"])
    });
    table.case("GC leaves other people's rules alone", |lab| {
        let pods = lab.pod()?;
        let variant = lab.group.variant();
        crate::kernel::script(&pods.net.host, &format!("iptables-{variant} -w -t nat -A PREROUTING -p tcp --dport 22 -j DNAT --to 10.22.0.7:22
            nft add table inet theirs; nft 'add chain inet theirs c'; nft add rule inet theirs c tcp dport 22 accept comment theirs"))?;
        added(&pods, 0, "net1", "dead")?.gc(&[])?.silent()?;
        all_of(&pods.net.host, &["10.22.0.7:22", "theirs"])
    });
    table.case("GC on a clean node succeeds and makes nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.usual().gc(&[])?.silent()?;
        pods.unchanged(&before)
    });
    table.case("GC twice succeeds", |lab| {
        let pods = lab.pod()?;
        let request = added(&pods, 0, "net1", "dead")?;
        request.gc(&[])?.silent()?;
        request.gc(&[])?.silent()
    });
    table.case(
        "GC keeps a valid attachment with a second interface that is not",
        |lab| {
            let pods = lab.pods(2)?;
            let first = added(&pods, 0, "net1", "cid")?;
            pods.request_for(1, mappings(&[mapping("tcp", 8090, 80)]))
                .version("1.1.0")
                .id("cid")
                .interface("net1")
                .added()?;
            first.gc(&[("cid", "eth0")])?.silent()?;
            first.check()?.silent()?;
            none_of(&pods.net.host, &["10.22.0.3", "8090"])
        },
    );
}

fn added<'p>(
    pods: &'p Pods<'p>,
    pod: usize,
    network: &str,
    id: &str,
) -> Result<Request<'p>, Failure> {
    let port = 8080 + u16::try_from(pod).unwrap_or(0);
    let conf = if pod == 0 {
        web()
    } else {
        mappings(&[mapping("tcp", port, 80)])
    };
    pods.request_for(pod, conf)
        .version("1.1.0")
        .network(network)
        .id(id)
        .added()
}
