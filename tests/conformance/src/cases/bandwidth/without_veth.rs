//! Interfaces without a peer in the host are limited inside the container's namespace.

use serde_json::json;

use super::{both, bucket_says};
use crate::case::Table;
use crate::failure::Verdict;
use crate::kernel::script;
use crate::lab::{Lab, Pods};
use crate::request::Request;

/// Kind of interface, and the commands on the host that make `mv0`.
const KINDS: [(&str, &str); 1] = [(
    "macvlan",
    "ip link add link veth1 name mv0 type macvlan mode bridge",
)];

/// Cases of other interfaces.
pub fn cases(table: &mut Table) {
    for (kind, command) in KINDS {
        table.case(
            format!("{kind} is limited in the container, checked, and freed by DEL"),
            move |lab| {
                let pods = lab.pods(2)?;
                prepare(&pods, command)?;
                let before = pods.state()?;
                let request = request(&pods).added()?;
                bucket_says(&pods.net.containers[0], "net1", &["tbf"])?;
                request.check()?.silent()?;
                request.del()?.silent()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case(
        "CHECK fails when the limit inside the container is gone",
        |lab| {
            let pods = lab.pods(2)?;
            prepare(&pods, KINDS[0].1)?;
            let request = request(&pods).added()?;
            script(&pods.net.containers[0], "tc qdisc del dev net1 root")?;
            request.check()?.drift()
        },
    );
    table.case("DEL of a macvlan whose namespace is gone succeeds", |lab| {
        let pods = lab.pods(2)?;
        prepare(&pods, KINDS[0].1)?;
        request(&pods).added()?.forgotten().del()?.silent()
    });
    table.case(
        "loopback is refused, and nothing is changed, or limited and freed",
        lo,
    );
}

fn lo(lab: &Lab) -> Verdict {
    let pods = lab.pod()?;
    let before = pods.state()?;
    let request = pods.request(both()).with(json!({})).interface("lo");
    let reply = request.add()?;
    reply.orderly()?;
    if reply.ok().is_ok() {
        request.del()?.silent()?;
    }
    pods.unchanged(&before)
}

/// The main plugin's result has the container's interface alone.
fn request<'p>(pods: &'p Pods<'p>) -> Request<'p> {
    let request = pods.request(both()).interface("net1");
    let mut previous = request.conf()["prevResult"].clone();
    previous["interfaces"] = json!([previous["interfaces"][1].clone()]);
    for ip in previous["ips"].as_array_mut().into_iter().flatten() {
        ip["interface"] = json!(0);
    }
    request.set("prevResult", previous)
}

fn prepare(pods: &Pods, command: &str) -> Verdict {
    // `ip` takes the namespace of a process.
    let mut process = pods.net.containers[0].command("sleep").arg("60").spawn()?;
    let commands = format!(
        "{command}; ip link set mv0 netns {} name net1",
        process.id()
    );
    let moved = script(&pods.net.host, &commands);
    process.kill()?;
    process.wait()?;
    moved?;
    script(&pods.net.containers[0], "ip link set net1 up").map(drop)
}
