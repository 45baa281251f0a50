//! Packets through a host port: who answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sandbox::probe::{Outcome, sctp, tcp, udp};
use sandbox::{Namespace, Topology};
use serde_json::json;

use super::{mapping, mapping_at, mappings, web};
use crate::case::Table;
use crate::failure::{Failure, Verdict, ensure, equal};
use crate::kernel::script;
use crate::lab::{Lab, Pods};

/// How long to wait where no answer is expected.
pub const SHORT: Duration = Duration::from_millis(250);

/// Cases of traffic.
pub fn cases(table: &mut Table) {
    reached(table);
    not_reached(table);
}

/// A host with so many pods, and a client outside.
pub fn outside(lab: &Lab, pods: u8) -> Result<Pods<'_>, Failure> {
    lab.build(&Topology::new().containers(pods).client())
}

/// The case of one protocol: a server of it, and a question that waits for the answer.
fn from_outside<Server: 'static>(
    table: &mut Table,
    protocol: &'static str,
    (host, container): (u16, u16),
    start: fn(&Namespace, u16, &str) -> io::Result<Server>,
    exchange: fn(&Namespace, SocketAddr) -> Outcome,
) {
    table.case(
        format!("{protocol} from outside reaches the container, IPv4 and IPv6"),
        move |lab| {
            let pods = outside(lab, 1)?;
            let _server = start(&pods.net.containers[0], container, "pod 0")?;
            let mapping = mapping(&protocol.to_lowercase(), host, container);
            pods.request(mappings(&[mapping])).added()?;
            for target in pods.net.host.both(host) {
                let outcome = exchange(pods.net.client(), target);
                expect(protocol, target, &outcome, "pod 0")?;
            }
            Ok(())
        },
    );
}

/// Has a server in the first pod, to which the host's port 8080 leads from now on.
fn published(pods: &Pods) -> Result<tcp::Server, Failure> {
    let server = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
    pods.request(web()).added()?;
    Ok(server)
}

fn reached(table: &mut Table) {
    from_outside(table, "TCP", (8080, 80), tcp::Server::start, exchange_tcp);
    from_outside(table, "UDP", (8081, 81), udp::Server::start, udp::exchange);
    from_outside(
        table,
        "SCTP",
        (8082, 82),
        sctp::Server::start,
        sctp::exchange,
    );
    table.case("the host reaches the container by its own address", |lab| {
        let pods = outside(lab, 1)?;
        let _server = published(&pods)?;
        reaches_both(&pods, &pods.net.host)
    });
    table.case("the host reaches the container by 127.0.0.1", |lab| {
        let pods = outside(lab, 1)?;
        let _server = published(&pods)?;
        reaches(&pods.net.host, ([127, 0, 0, 1], 8080).into(), "pod 0")
    });
    table.case(
        "the container reaches itself through the host port",
        |lab| {
            let pods = lab.build(&Topology::new().bridge("cni0").hairpin().client())?;
            let _server = published(&pods)?;
            reaches_both(&pods, &pods.net.containers[0])
        },
    );
    table.case(
        "another container reaches the container through the host port",
        |lab| {
            let pods = lab.build(&Topology::new().containers(2).client())?;
            let _server = published(&pods)?;
            reaches_both(&pods, &pods.net.containers[1])
        },
    );
    table.case(
        "another container on the bridge reaches the container through the host port",
        |lab| {
            let pods = lab.build(
                &Topology::new()
                    .containers(2)
                    .bridge("cni0")
                    .hairpin()
                    .client(),
            )?;
            let _server = published(&pods)?;
            reaches_both(&pods, &pods.net.containers[1])
        },
    );
    table.case(
        "the container sees the address of a client outside",
        |lab| {
            let pods = outside(lab, 1)?;
            let _server = published(&pods)?;
            seen_as("10.99.0.2", pods.net.client(), pods.net.host.v4(8080))
        },
    );
    table.case(
        "with masqAll the container sees an address of the host",
        |lab| {
            let pods = outside(lab, 1)?;
            let _server = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
            pods.request(web()).with(json!({"masqAll": true})).added()?;
            let [v4, v6] = pods.net.host.both(8080);
            seen_as("10.22.0.1", pods.net.client(), v4)?;
            seen_as("fd00:22::1", pods.net.client(), v6)
        },
    );
    table.case("a hostIP is reached by that address and no other", |lab| {
        let pods = outside(lab, 1)?;
        script(
            &pods.net.host,
            "ip addr add 10.99.0.11/24 dev out0; ip addr add fd99::11/64 dev out0 nodad",
        )?;
        let _server = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
        let list = [
            mapping_at("10.99.0.11", "tcp", 8080, 80),
            mapping_at("fd99::11", "tcp", 8080, 80),
        ];
        pods.request(mappings(&list)).added()?.check()?.ok()?;
        let client = pods.net.client();
        reaches(client, ([10, 99, 0, 11], 8080).into(), "pod 0")?;
        reaches(client, address("[fd99::11]:8080")?, "pod 0")?;
        nobody(client, pods.net.host.v4(8080))?;
        nobody(client, pods.net.host.v6(8080))
    });
    for (ip, v4, v6) in [
        ("0.0.0.0", true, false),
        ("::", false, true),
        ("", true, true),
    ] {
        table.case(
            format!("a mapping with hostIP {ip:?} is reached by every address of its family"),
            move |lab| {
                let pods = outside(lab, 1)?;
                let _server = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
                pods.request(mappings(&[mapping_at(ip, "tcp", 8080, 80)]))
                    .added()?
                    .check()?
                    .ok()?;
                let client = pods.net.client();
                for (wanted, target) in [v4, v6].into_iter().zip(pods.net.host.both(8080)) {
                    if wanted {
                        reaches(client, target, "pod 0")?
                    } else {
                        nobody(client, target)?
                    }
                }
                Ok(())
            },
        );
    }
    table.case("every one of 60 mappings leads to its own port", |lab| {
        let pods = outside(lab, 1)?;
        let list: Vec<_> = (0..60)
            .map(|n| mapping("tcp", 20_000 + n, 1000 + n))
            .collect();
        pods.request(mappings(&list)).added()?.check()?.ok()?;
        for n in [0, 14, 15, 30, 59] {
            let _server = tcp::Server::start(&pods.net.containers[0], 1000 + n, &n.to_string())?;
            reaches(
                pods.net.client(),
                pods.net.host.v4(20_000 + n),
                &n.to_string(),
            )?;
        }
        Ok(())
    });
}

fn not_reached(table: &mut Table) {
    table.case("a port that is not mapped stays closed", |lab| {
        let pods = outside(lab, 1)?;
        let _server = published(&pods)?;
        nobody(pods.net.client(), pods.net.host.v4(80))?;
        nobody(pods.net.client(), pods.net.host.v4(8081))
    });
    table.case("a TCP mapping does not take UDP", |lab| {
        let pods = outside(lab, 1)?;
        let _server = udp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
        pods.request(web()).added()?;
        let outcome = udp::exchange_within(pods.net.client(), pods.net.host.v4(8080), SHORT);
        ensure(outcome.server().is_none(), || format!("{outcome:?}"))
    });
    table.case(
        "traffic forwarded to another machine's port of the same number is left alone",
        |lab| {
            let pods = lab.build(&Topology::new().client().server())?;
            let _pod = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
            let _other = tcp::Server::start(pods.net.server(), 8080, "other machine")?;
            pods.request(web()).added()?;
            for target in pods.net.server().both(8080) {
                reaches(pods.net.client(), target, "other machine")?;
                reaches(&pods.net.containers[0], target, "other machine")?;
            }
            Ok(())
        },
    );
    table.case("DEL closes the port", |lab| {
        let pods = outside(lab, 1)?;
        let _server = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
        let request = pods.request(web()).added()?;
        reaches(pods.net.client(), pods.net.host.v4(8080), "pod 0")?;
        request.del()?.silent()?;
        for target in pods.net.host.both(8080) {
            nobody(pods.net.client(), target)?;
        }
        Ok(())
    });
    table.case(
        "a neighbour on the bridge cannot reach the host's 127.0.0.1",
        |lab| {
            let pods = lab.build(&Topology::new().containers(2).bridge("cni0").client())?;
            let neighbour = &pods.net.containers[1];
            let _secret =
                tcp::Server::start_at(&pods.net.host, ([127, 0, 0, 1], 9999).into(), "secret")?;
            pods.request(web()).added()?;
            script(
                neighbour,
                "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
            echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet
            ip addr del 127.0.0.1/8 dev lo; ip route flush table local dev lo
            ip route add 127.0.0.0/8 via 10.22.0.1 dev eth0 src 10.22.0.3",
            )?;
            nobody(neighbour, ([127, 0, 0, 1], 9999).into())
        },
    );
    table.case(
        "conditions of one attachment do not touch another's",
        |lab| {
            let pods = outside(lab, 2)?;
            let _one = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
            let _two = tcp::Server::start(&pods.net.containers[1], 80, "pod 1")?;
            let never = match lab.group.backend() {
                "nftables" => json!({"conditionsV4": ["ip", "saddr", "192.0.2.7"]}),
                _ => json!({"conditionsV4": ["-s", "192.0.2.7/32"]}),
            };
            pods.request(web()).added()?;
            let second = pods
                .request_for(1, mappings(&[mapping("tcp", 8090, 80)]))
                .id("cid-0002")
                .network("net2");
            second.with(never).added()?.check()?.ok()?;
            reaches(pods.net.client(), pods.net.host.v4(8080), "pod 0")?;
            nobody(pods.net.client(), pods.net.host.v4(8090))?;
            reaches(pods.net.client(), pods.net.host.v6(8090), "pod 1")
        },
    );
    table.case("conditions let through whom they name", |lab| {
        let pods = outside(lab, 1)?;
        let _one = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
        let only = match lab.group.backend() {
            "nftables" => json!({"conditionsV4": ["ip", "saddr", "10.99.0.2"]}),
            _ => json!({"conditionsV4": ["-s", "10.99.0.2/32"]}),
        };
        pods.request(web()).with(only).added()?.check()?.ok()?;
        reaches(pods.net.client(), pods.net.host.v4(8080), "pod 0")?;
        nobody(&pods.net.host, pods.net.host.v4(8080))
    });
}

fn address(text: &str) -> Result<SocketAddr, Failure> {
    Ok(text.parse()?)
}

/// Fails unless that server answers over TCP.
pub fn reaches(from: &Namespace, target: SocketAddr, server: &str) -> Verdict {
    expect("TCP", target, &exchange_tcp(from, target), server)
}

fn exchange_tcp(from: &Namespace, target: SocketAddr) -> Outcome {
    tcp::exchange_within(from, target, Duration::from_secs(3))
}

/// Fails unless the first pod answers at the host's port 8080, over IPv4 and IPv6.
fn reaches_both(pods: &Pods, from: &Namespace) -> Verdict {
    for target in pods.net.host.both(8080) {
        reaches(from, target, "pod 0")?;
    }
    Ok(())
}

/// Fails unless the container sees that address as the client's.
pub fn seen_as(expected: &str, from: &Namespace, target: SocketAddr) -> Verdict {
    let outcome = tcp::exchange(from, target);
    let peer = outcome.peer().map(|peer| peer.ip().to_string());
    equal("peer", &peer.as_deref(), &Some(expected))
}

/// Fails when somebody answers over TCP.
pub fn nobody(from: &Namespace, target: SocketAddr) -> Verdict {
    let outcome = tcp::exchange_within(from, target, SHORT);
    ensure(outcome.server().is_none(), || {
        format!("{target} answers: {outcome:?}")
    })
}

fn expect(protocol: &str, target: SocketAddr, outcome: &Outcome, server: &str) -> Verdict {
    ensure(outcome.server() == Some(server), || {
        format!("{protocol} {target}: expected {server}, saw {outcome:?}")
    })
}
