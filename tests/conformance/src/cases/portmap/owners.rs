//! Who gets the packets when a host port has several owners, one after the other.

use sandbox::probe::tcp;
use serde_json::json;

use super::traffic::{SHORT, nobody, outside, reaches};
use super::{mapping, mappings, web};
use crate::case::Table;
use crate::failure::{Failure, ensure};
use crate::lab::Pods;

/// Cases of owners.
pub fn cases(table: &mut Table) {
    table.case("the newest owner of a host port wins", |lab| {
        let pods = outside(lab, 2)?;
        let _servers = two_servers(&pods)?;
        pods.request(web()).added()?;
        pods.request_for(1, web()).id("cid-0002").added()?;
        for target in pods.net.host.both(8080) {
            reaches(pods.net.client(), target, "pod 1")?;
        }
        Ok(())
    });
    table.case(
        "when the newest owner goes the port is closed or the older one's again, and never dead",
        |lab| {
            let pods = outside(lab, 2)?;
            let _servers = two_servers(&pods)?;
            let first = pods.request(web()).added()?;
            let second = pods.request_for(1, web()).id("cid-0002").added()?;
            second.del()?.ok()?;
            let outcome = tcp::exchange_within(pods.net.client(), pods.net.host.v4(8080), SHORT);
            ensure(outcome.server() != Some("pod 1"), || format!("{outcome:?}"))?;
            // A busy machine may answer late; one whose CHECK passes answers in the end.
            if outcome.server().is_none() && first.check()?.drift().is_ok() {
                first.add()?.ok()?;
            }
            reaches(pods.net.client(), pods.net.host.v4(8080), "pod 0")
        },
    );
    table.case(
        "DEL of the older owner leaves the newest one's port open",
        |lab| {
            let pods = outside(lab, 2)?;
            let _servers = two_servers(&pods)?;
            let first = pods.request(web()).added()?;
            let second = pods.request_for(1, web()).id("cid-0002").added()?;
            first.del()?.silent()?;
            second.check()?.ok()?;
            reaches(pods.net.client(), pods.net.host.v4(8080), "pod 1")
        },
    );
    table.case(
        "onConflict error refuses a taken host port and names its owner",
        |lab| {
            let pods = outside(lab, 2)?;
            let _servers = two_servers(&pods)?;
            pods.request(web()).added()?;
            let second = pods
                .request_for(1, web())
                .id("cid-0002")
                .with(json!({"onConflict": "error"}));
            let error = second.add()?.error()?;
            ensure(error.value.to_string().contains("cid-0001"), || {
                error.value.to_string()
            })?;
            reaches(pods.net.client(), pods.net.host.v4(8080), "pod 0")
        },
    );
    table.case(
        "ADD with a new address of the container leads to the new address",
        |lab| {
            let pods = outside(lab, 2)?;
            let _servers = two_servers(&pods)?;
            pods.request(web()).added()?;
            let request = pods.request_for(1, web()).added()?;
            request.check()?.ok()?;
            for target in pods.net.host.both(8080) {
                reaches(pods.net.client(), target, "pod 1")?;
            }
            super::traces::none_of(&pods.net.host, &["10.22.0.2", "fd00:22::2"])
        },
    );
    table.case("ADD with other ports closes the former", |lab| {
        let pods = outside(lab, 1)?;
        let _server = tcp::Server::start(&pods.net.containers[0], 80, "pod 0")?;
        pods.request(web()).added()?;
        pods.request(mappings(&[mapping("tcp", 8090, 80)]))
            .added()?
            .check()?
            .ok()?;
        reaches(pods.net.client(), pods.net.host.v4(8090), "pod 0")?;
        nobody(pods.net.client(), pods.net.host.v4(8080))
    });
    table.case(
        "two interfaces of one container have their own ports",
        |lab| {
            let pods = outside(lab, 2)?;
            let _servers = two_servers(&pods)?;
            let first = pods.request(web()).added()?;
            let second = pods
                .request_for(1, mappings(&[mapping("tcp", 8090, 80)]))
                .interface("net1")
                .added()?;
            first.check()?.ok()?;
            second.check()?.ok()?;
            second.del()?.ok()?;
            reaches(pods.net.client(), pods.net.host.v4(8080), "pod 0")?;
            nobody(pods.net.client(), pods.net.host.v4(8090))
        },
    );
}

fn two_servers(pods: &Pods) -> Result<[tcp::Server; 2], Failure> {
    let [one, two] = [&pods.net.containers[0], &pods.net.containers[1]];
    Ok([
        tcp::Server::start(one, 80, "pod 0")?,
        tcp::Server::start(two, 80, "pod 1")?,
    ])
}
