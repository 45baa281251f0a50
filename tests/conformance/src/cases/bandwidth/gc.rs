//! GC of bandwidth removes the ifbs of dead attachments, and no others.

use super::{both, ifb_of, ifbs};
use crate::case::Table;
use crate::failure::{Failure, equal};
use crate::kernel::{has_link, ifb, script};
use crate::lab::Pods;
use crate::request::Request;

/// Cases of GC.
pub fn cases(table: &mut Table) {
    table.case(
        "GC removes the ifb of an attachment that is not valid",
        |lab| {
            let pods = lab.pod()?;
            added(&pods, 0, "net1", "dead")?.gc(&[])?.silent()?;
            equal("ifbs", &ifbs(&pods.net.host)?, &Vec::new())
        },
    );
    table.case(
        "GC removes the ifb of an attachment whose interface is gone",
        |lab| {
            let pods = lab.pod()?;
            let request = added(&pods, 0, "net1", "dead")?;
            script(&pods.net.host, "ip link del veth0")?;
            request.gc(&[])?.silent()?;
            equal("ifbs", &ifbs(&pods.net.host)?, &Vec::new())
        },
    );
    table.case(
        "GC lets the container of an attachment that is not valid send",
        |lab| {
            let pods = lab.pod()?;
            added(&pods, 0, "net1", "dead")?.gc(&[])?.silent()?;
            super::free(&pods.net.host, "veth0")
        },
    );
    table.case("GC keeps a valid attachment", |lab| {
        let pods = lab.pod()?;
        let request = added(&pods, 0, "net1", "alive")?;
        request.gc(&[("alive", "eth0")])?.silent()?;
        request.check()?.silent()
    });
    table.case("GC removes the dead and keeps the valid", |lab| {
        let pods = lab.pods(2)?;
        let alive = added(&pods, 0, "net1", "alive")?;
        added(&pods, 1, "net1", "dead")?;
        alive
            .gc(&[("alive", "eth0"), ("unknown", "eth0")])?
            .silent()?;
        alive.check()?.silent()?;
        equal(
            "ifbs",
            &ifbs(&pods.net.host)?,
            &vec![ifb_of(&pods, "veth0")?],
        )
    });
    table.case("GC of one network leaves another network alone", |lab| {
        let pods = lab.pod()?;
        let theirs = added(&pods, 0, "net2", "cid")?;
        pods.usual().gc(&[])?.silent()?;
        theirs.check()?.silent()
    });
    table.case("GC tells networks apart whose names begin alike", |lab| {
        let pods = lab.pods(2)?;
        let theirs = added(&pods, 0, "net-ab", "1")?;
        added(&pods, 1, "net-a", "b1")?.gc(&[])?.silent()?;
        theirs.check()?.silent()?;
        equal("ifbs", &ifbs(&pods.net.host)?.len(), &1)
    });
    table.case("GC leaves an ifb alone that names no owner", |lab| {
        let pods = lab.pod()?;
        let name = ifb("other", "cid");
        script(&pods.net.host, &format!("ip link add {name} type ifb"))?;
        pods.usual().gc(&[])?.silent()?;
        equal("ifb", &has_link(&pods.net.host, &name), &true)
    });
    table.case("GC twice succeeds", |lab| {
        let pods = lab.pod()?;
        let request = added(&pods, 0, "net1", "dead")?;
        request.gc(&[])?.silent()?;
        request.gc(&[])?.silent()
    });
}

fn added<'p>(
    pods: &'p Pods<'p>,
    pod: usize,
    network: &str,
    id: &str,
) -> Result<Request<'p>, Failure> {
    pods.request_for(pod, both())
        .version("1.1.0")
        .network(network)
        .id(id)
        .added()
}
