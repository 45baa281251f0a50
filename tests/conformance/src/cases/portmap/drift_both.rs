//! Drift that means the same on every backend.

use super::{mapping, mappings, web};
use crate::case::Table;
use crate::failure::ensure;
use crate::kernel::script;

/// Cases of drift that know nothing of the backend's rules.
pub fn cases(table: &mut Table) {
    table.case("CHECK fails when everything was flushed", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        script(&pods.net.host, FLUSH)?;
        request.check()?.drift()
    });
    table.case(
        "CHECK passes again after everything was flushed and ADD was repeated",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            script(&pods.net.host, FLUSH)?;
            request.add()?.ok()?;
            request.check()?.silent()
        },
    );
    table.case("CHECK fails when route_localnet was switched off", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        pods.net
            .host
            .set_sysctl("net.ipv4.conf.veth0.route_localnet", "0")?;
        request.check()?.drift()
    });
    table.case("CHECK fails when there was no ADD", |lab| {
        let pods = lab.pod()?;
        pods.usual().check()?.drift()
    });
    table.case("CHECK fails after DEL", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        request.del()?.ok()?;
        request.check()?.drift()
    });
    table.case("CHECK fails for one port more than ADD was given", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(web()).added()?;
        let more = mappings(&[mapping("tcp", 8080, 80), mapping("tcp", 8090, 90)]);
        request.with(more).check()?.drift()
    });
    table.case("CHECK fails for one port fewer than ADD was given", |lab| {
        let pods = lab.pod()?;
        let more = mappings(&[mapping("tcp", 8080, 80), mapping("tcp", 8090, 90)]);
        let request = pods.request(more).added()?;
        request.with(web()).check()?.drift()
    });
    table.case(
        "CHECK fails for another container port than ADD was given",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(web()).added()?;
            request
                .with(mappings(&[mapping("tcp", 8080, 81)]))
                .check()?
                .drift()
        },
    );
    table.case(
        "CHECK fails when a newer attachment has taken the host port",
        |lab| {
            let pods = lab.pods(2)?;
            let request = pods.request(web()).added()?;
            pods.request_for(1, web())
                .id("cid-0002")
                .added()?
                .check()?
                .ok()?;
            request.check()?.drift()
        },
    );
    table.case("CHECK names what is missing", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        script(&pods.net.host, FLUSH)?;
        let error = request.check()?.error()?;
        ensure(
            error.value["details"]
                .as_str()
                .is_some_and(|text| text.len() > 10),
            || error.value.to_string(),
        )
    });
    table.case("CHECK changes nothing", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        let before = pods.state()?;
        request.check()?.ok()?;
        pods.unchanged(&before)?;
        script(&pods.net.host, FLUSH)?;
        let before = pods.state()?;
        request.check()?.drift()?;
        pods.unchanged(&before)
    });
}

/// What `firewall-cmd --reload` and a restart of the firewall do.
const FLUSH: &str = "nft flush ruleset; for t in iptables-legacy ip6tables-legacy; do $t -w -t nat -F; $t -w -t nat -X; done";
