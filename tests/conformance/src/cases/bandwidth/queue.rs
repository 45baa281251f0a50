//! The queue of a token bucket: `fq_codel` where the kernel has it.

use sandbox::Namespace;
use serde_json::{Value, json};

use super::{both, ifb_of};
use crate::case::Table;
use crate::failure::{Failure, Verdict, ensure};
use crate::json::merged;
use crate::kernel::script;
use crate::lab::{Lab, Pods};

/// Cases of queues.
pub fn cases(table: &mut Table) {
    table.case(
        "without a queue in the configuration each bucket has fq_codel, or a FIFO where the kernel has none",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods.request(both()).added()?;
            have(&pods, known(&pods.net.host)?)?;
            request.check()?.silent()?;
            request.add()?.ok()?;
            have(&pods, known(&pods.net.host)?)?;
            request.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "with queue fq_codel each bucket has one, or ADD is refused where the kernel has none",
        wanted,
    );
    table.case("with queue fifo each bucket has its own queue", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(queue("fifo")).added()?;
        have(&pods, false)?;
        request.check()?.silent()?;
        pods.request(both()).added()?;
        request.add()?.ok()?;
        have(&pods, false)?;
        request.check()?.silent()
    });
}

fn queue(kind: &str) -> Value {
    merged(&both(), &json!({"queue": kind}))
}

fn wanted(lab: &Lab) -> Verdict {
    let pods = lab.pod()?;
    let before = pods.state()?;
    let request = pods.request(queue("fq_codel"));
    if !known(&pods.net.host)? {
        request.add()?.code(103)?;
        return pods.unchanged(&before);
    }
    let request = request.added()?;
    for drift in [
        "tc qdisc change dev veth0 parent 1:1 handle 2: fq_codel target 77ms",
        "tc qdisc change dev IFB parent 1:1 handle 2: fq_codel memory_limit 1mb",
        "tc qdisc change dev veth0 parent 1:1 handle 2: fq_codel limit 1",
        "tc qdisc del dev veth0 parent 1:1",
        "tc qdisc replace dev IFB parent 1:1 handle 9: pfifo",
    ] {
        have(&pods, true)?;
        request.check()?.silent()?;
        script(
            &pods.net.host,
            &drift.replace("IFB", &ifb_of(&pods, "veth0")?),
        )?;
        request.check()?.drift()?;
        request.add()?.ok()?;
    }
    have(&pods, true)?;
    request.check()?.silent()?;
    request.del()?.silent()?;
    pods.unchanged(&before)
}

/// Whether this kernel has `fq_codel`, as `tc` finds it in a namespace of the test's.
fn known(namespace: &Namespace) -> Result<bool, Failure> {
    let tried = "tc qdisc add dev lo root fq_codel 2>/dev/null && tc qdisc del dev lo root && echo yes || true";
    Ok(script(namespace, tried)?.contains("yes"))
}

/// Fails unless both buckets have `fq_codel` as their queue, or neither.
fn have(pods: &Pods, fq_codel: bool) -> Verdict {
    for device in ["veth0".to_owned(), ifb_of(pods, "veth0")?] {
        let seen = script(&pods.net.host, &format!("tc qdisc show dev {device}"))?;
        ensure(seen.contains("fq_codel 2: parent 1:1") == fq_codel, || {
            format!("{device}: {seen}")
        })?;
    }
    Ok(())
}
