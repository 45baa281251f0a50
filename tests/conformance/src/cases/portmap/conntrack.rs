//! Stale connection tracking entries go, and only those that belong.

use std::time::Duration;

use sandbox::probe::udp;
use sandbox::{Topology, wait_until};
use serde_json::json;

use super::{mapping, mapping_at, mappings};
use crate::case::Table;
use crate::failure::{Failure, Verdict, ensure};
use crate::kernel::script;
use crate::lab::Pods;

/// Cases of connection tracking.
pub fn cases(table: &mut Table) {
    table.case(
        "a UDP client that keeps sending is served by the new container",
        |lab| {
            let pods = lab.build(&Topology::new().containers(2).client())?;
            let _one = udp::Server::start(&pods.net.containers[0], 81, "pod 0")?;
            let _two = udp::Server::start(&pods.net.containers[1], 81, "pod 1")?;
            let conf = mappings(&[mapping("udp", 8081, 81)]);
            let first = pods.request(conf.clone()).added()?;
            let flow = udp::Flow::start(
                pods.net.client(),
                ([10, 99, 0, 2], 0).into(),
                pods.net.host.v4(8081),
            )?;
            served(&flow, "pod 0")?;
            first.del()?.ok()?;
            pods.request_for(1, conf).id("cid-0002").added()?;
            served(&flow, "pod 1")
        },
    );
    table.case(
        "a UDP client that began before ADD is served by the container",
        |lab| {
            let pods = lab.build(&Topology::new().client())?;
            let _one = udp::Server::start(&pods.net.containers[0], 81, "pod 0")?;
            let flow = udp::Flow::start(
                pods.net.client(),
                ([10, 99, 0, 2], 0).into(),
                pods.net.host.v4(8081),
            )?;
            wait_until(Duration::from_secs(2), || flow.counts().0 > 2);
            pods.request(mappings(&[mapping("udp", 8081, 81)]))
                .added()?;
            served(&flow, "pod 0")
        },
    );
    for (name, entry, goes) in [
        (
            "of the host port at the host's address",
            entry("udp", "10.99.0.1", 8081, 6, "10.22.0.9"),
            true,
        ),
        (
            "of another port",
            entry("udp", "10.99.0.1", 8082, 7, "10.22.0.9"),
            false,
        ),
        (
            "whose client's port is that number",
            entry("udp", "10.99.0.1", 9, 8081, "10.22.0.9"),
            false,
        ),
        ("of TCP", entry_tcp("10.99.0.1", 8081), false),
        (
            "to another machine",
            entry("udp", "10.98.0.2", 8081, 8, "10.98.0.2"),
            false,
        ),
    ] {
        let verb = if goes { "removes" } else { "keeps" };
        table.case(format!("ADD {verb} an entry {name}"), move |lab| {
            let pods = lab.build(&Topology::new().client())?;
            script(&pods.net.host, &entry)?;
            pods.request(port("udp")).added()?;
            entries(&pods, usize::from(!goes))
        });
    }
    table.case("ADD removes an entry of IPv6", |lab| {
        let pods = lab.build(&Topology::new().client())?;
        track_udp(&pods, "fd99::1", 8081, 6, "fd00:22::9")?;
        pods.request(port("udp")).added()?;
        entries(&pods, 0)
    });
    table.case("ADD removes an entry of SCTP", |lab| {
        let pods = lab.build(&Topology::new().client())?;
        script(
            &pods.net.host,
            &format!(
                "{} --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
                entry("sctp", "10.99.0.1", 8081, 6, "10.22.0.9")
            ),
        )?;
        pods.request(port("sctp")).added()?;
        entries(&pods, 0)
    });
    table.case(
        "ADD with a hostIP keeps an entry of another address of the host",
        |lab| {
            let pods = lab.build(&Topology::new().client())?;
            script(&pods.net.host, "ip addr add 10.99.0.11/24 dev out0")?;
            track_udp(&pods, "10.99.0.1", 8081, 6, "10.22.0.9")?;
            track_udp(&pods, "10.99.0.11", 8081, 7, "10.22.0.9")?;
            pods.request(mappings(&[mapping_at("10.99.0.11", "udp", 8081, 81)]))
                .added()?;
            entries(&pods, 1)
        },
    );
    table.case("DEL removes the entries of its host port", |lab| {
        let pods = lab.build(&Topology::new().client())?;
        let request = pods.request(port("udp")).added()?;
        track_udp(&pods, "10.99.0.1", 8081, 6, "10.22.0.2")?;
        request.del()?.ok()?;
        entries(&pods, 0)
    });
    table.case(
        "DEL keeps the entries that lead to another container",
        |lab| {
            let pods = lab.build(&Topology::new().client())?;
            let request = pods.request(port("udp")).added()?;
            track_udp(&pods, "10.99.0.1", 8081, 6, "10.22.0.9")?;
            track_udp(&pods, "10.99.0.1", 8099, 6, "10.22.0.2")?;
            request.del()?.ok()?;
            entries(&pods, 2)
        },
    );
    table.case(
        "conntrack that is not installed does not stop ADD and DEL",
        |lab| {
            let pods = lab.pod()?;
            let hide = "mount --bind /dev/null /usr/sbin/conntrack";
            let request = pods.request(port("udp")).with(json!({})).prepared(hide);
            request.add()?.ok()?;
            request.check()?.ok()?;
            request.del()?.ok()
        },
    );
}

/// Port 8081 to 81.
fn port(protocol: &str) -> serde_json::Value {
    mappings(&[mapping(protocol, 8081, 81)])
}

fn served(flow: &udp::Flow, server: &str) -> Verdict {
    let served = wait_until(Duration::from_secs(3), || {
        flow.latest().server() == Some(server)
    });
    ensure(served, || {
        format!("expected {server}, saw {:?}", flow.latest())
    })
}

/// A command that makes an entry from 10.99.0.2 (or its IPv6 address) which was translated to `to`.
fn entry(protocol: &str, host: &str, port: u16, source: u16, to: &str) -> String {
    let client = if host.contains(':') {
        "fd99::2"
    } else {
        "10.99.0.2"
    };
    format!(
        "conntrack -I -p {protocol} -s {client} -d {host} --sport {source} --dport {port} \
         --reply-src {to} --reply-dst {client} --reply-port-src 81 --reply-port-dst {source} -t 600 -u ASSURED"
    )
}

/// Makes an [`entry`] of UDP.
fn track_udp(pods: &Pods, host: &str, port: u16, source: u16, to: &str) -> Verdict {
    let command = entry("udp", host, port, source, to);
    script(&pods.net.host, &command).map(drop)
}

fn entry_tcp(host: &str, port: u16) -> String {
    format!(
        "{} --state ESTABLISHED",
        entry("tcp", host, port, 5, "10.22.0.9")
    )
}

/// Fails unless so many entries made by [`entry`] are left: they are the ones with a long life.
fn entries(pods: &Pods, expected: usize) -> Verdict {
    let text: Result<_, Failure> = script(
        &pods.net.host,
        "(conntrack -L; conntrack -L -f ipv6) 2>/dev/null | grep 81 || true",
    );
    let text = text?;
    let count = text
        .lines()
        .filter(|line| line.contains("10.99.0.2") || line.contains("fd99::2"))
        .count();
    ensure(count == expected, || {
        format!("{count} entries instead of {expected}: {text}")
    })
}
