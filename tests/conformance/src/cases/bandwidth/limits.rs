//! Limits hold: measured, not read.

use std::time::Duration;

use sandbox::Topology;
use sandbox::probe::throughput::{self, Throughput};
use serde_json::json;

use super::{both, egress, ingress};
use crate::case::Table;
use crate::failure::{Failure, Verdict, ensure};
use crate::lab::Pods;

/// Long enough for one second after the burst.
const TIME: Duration = Duration::from_millis(2100);

/// How often a rate is measured that is not as expected.
const TRIES: usize = 3;

/// Cases of measured limits.
pub fn cases(table: &mut Table) {
    for (family, v6) in [("IPv4", false), ("IPv6", true)] {
        table.case(
            format!("TCP towards the container is limited over {family}"),
            move |lab| {
                let pods = lab.build(&Topology::new().client())?;
                pods.request(ingress()).added()?;
                near(8e6, || towards(&pods, v6))
            },
        );
        table.case(
            format!("TCP from the container is limited over {family}"),
            move |lab| {
                let pods = lab.build(&Topology::new().client())?;
                pods.request(egress()).added()?;
                near(16e6, || from(&pods, v6))
            },
        );
    }
    table.case("UDP towards the container is limited", |lab| {
        let pods = lab.build(&Topology::new().client())?;
        pods.request(ingress()).added()?;
        let pod = &pods.net.containers[0];
        let client = pods.net.client();
        near(8e6, || {
            Ok(throughput::udp(client, pod, pod.v4(0), 12_000_000, TIME)?)
        })
    });
    table.case("the direction that has no limit is free", |lab| {
        let pods = lab.build(&Topology::new().client())?;
        pods.request(ingress()).added()?;
        ensure_free(&from(&pods, false)?)
    });
    for (name, burst) in [
        ("kubelet", 2_147_483_647_u64),
        ("containerd", 4_294_967_295),
        ("CRI-O", 34_359_738_359),
    ] {
        table.case(
            format!("with the burst of {name} a limit of 10 Mbit/s holds from the first second on"),
            move |lab| {
                let pods = lab.build(&Topology::new().client())?;
                pods.request(json!({"ingressRate": 10_000_000, "ingressBurst": burst}))
                    .added()?;
                let seen = towards(&pods, false)?;
                let first = seen.first_second();
                ensure((5e6..22e6).contains(&first), || {
                    format!("{first:.0} bit/s in the first second")
                })?;
                near(10e6, || towards(&pods, false))
            },
        );
    }
    table.case(
        "an unshaped subnet is free, and the rest is limited",
        |lab| {
            let pods = lab.build(&Topology::new().client().server())?;
            pods.request(both())
                .with(json!({"unshapedSubnets": ["10.99.0.0/24"]}))
                .added()?
                .check()?
                .ok()?;
            ensure_free(&towards(&pods, false)?)?;
            ensure_free(&from(&pods, false)?)?;
            let pod = &pods.net.containers[0];
            let server = pods.net.server();
            near(8e6, || Ok(throughput::tcp(server, pod, pod.v4(0), TIME)?))
        },
    );
    table.case("only a shaped subnet is limited", |lab| {
        let pods = lab.build(&Topology::new().client().server())?;
        pods.request(both())
            .with(json!({"shapedSubnets": ["10.99.0.0/24"]}))
            .added()?
            .check()?
            .ok()?;
        near(8e6, || towards(&pods, false))?;
        near(16e6, || from(&pods, false))?;
        let pod = &pods.net.containers[0];
        ensure_free(&throughput::tcp(
            pods.net.server(),
            pod,
            pod.v4(0),
            Duration::from_millis(500),
        )?)
    });
    table.case(
        "after DEL nothing is limited and packets get through",
        |lab| {
            let pods = lab.build(&Topology::new().client())?;
            pods.request(both()).added()?.del()?.silent()?;
            ensure_free(&towards(&pods, false)?)?;
            ensure_free(&from(&pods, false)?)
        },
    );
}

fn towards(pods: &Pods, v6: bool) -> Result<Throughput, Failure> {
    let pod = &pods.net.containers[0];
    let target = if v6 { pod.v6(0) } else { pod.v4(0) };
    Ok(throughput::tcp(pods.net.client(), pod, target, TIME)?)
}

fn from(pods: &Pods, v6: bool) -> Result<Throughput, Failure> {
    let client = pods.net.client();
    let target = if v6 { client.v6(0) } else { client.v4(0) };
    Ok(throughput::tcp(
        &pods.net.containers[0],
        client,
        target,
        TIME,
    )?)
}

/// After the first second, which has the burst. Wide, because headers count and a bucket fills while
/// a busy machine lets nobody send; once more, because that may last.
fn near(rate: f64, measure: impl Fn() -> Result<Throughput, Failure>) -> Verdict {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let steady = measure()?.steady();
        if steady > rate * 0.6 && steady < rate * 1.3 {
            return Ok(());
        }
        seen.push(format!("{steady:.0}"));
    }
    ensure(false, || {
        format!("{} bit/s instead of {rate:.0}", seen.join(", "))
    })
}

/// Ten times the limits of these cases.
fn ensure_free(seen: &Throughput) -> Verdict {
    let first = seen.first_second();
    ensure(first > 100e6, || format!("{first:.0} bit/s"))
}
