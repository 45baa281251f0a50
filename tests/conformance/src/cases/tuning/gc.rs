//! GC of tuning removes the backups of dead attachments, and no others.

use std::fs;

use crate::case::Table;
use crate::failure::{Failure, Verdict, equal};
use crate::lab::{Lab, Pods};
use crate::request::Request;

/// Cases of GC.
pub fn cases(table: &mut Table) {
    table.case(
        "GC removes the backup of an attachment that is not valid",
        |lab| {
            let pods = lab.pod()?;
            let request = added(&pods, "dead", "net1")?;
            request.gc(&[])?.silent()?;
            left(lab, &[])
        },
    );
    table.case("GC keeps the backup of a valid attachment", |lab| {
        let pods = lab.pod()?;
        let request = added(&pods, "alive", "net1")?;
        request.gc(&[("alive", "eth0")])?.silent()?;
        left(lab, &["alive_eth0.json"])
    });
    table.case("GC removes the dead and keeps the valid", |lab| {
        let pods = lab.pods(2)?;
        added(&pods, "alive", "net1")?;
        let request = pods
            .request_for(1, lab.usual())
            .version("1.1.0")
            .id("dead")
            .added()?;
        request
            .gc(&[("alive", "eth0"), ("other", "eth0")])?
            .silent()?;
        left(lab, &["alive_eth0.json"])
    });
    table.case("GC tells interfaces of one container apart", |lab| {
        let pods = lab.pod()?;
        pods.net.containers[0].sh([
            "ip", "link", "add", "net1", "type", "veth", "peer", "name", "x",
        ]);
        added(&pods, "one", "net1")?;
        let request = pods
            .usual()
            .version("1.1.0")
            .id("one")
            .env("CNI_IFNAME", "net1")
            .added()?;
        request.gc(&[("one", "net1")])?.silent()?;
        left(lab, &["one_net1.json"])
    });
    table.case("GC of one network leaves another network alone", |lab| {
        let pods = lab.pod()?;
        added(&pods, "theirs", "net2")?;
        pods.usual().gc(&[])?.silent()?;
        left(lab, &["theirs_eth0.json"])
    });
    table.case("GC leaves a file alone that is no backup", |lab| {
        let pods = lab.pod()?;
        fs::write(lab.data_dir().join("notes.txt"), "mine")?;
        pods.usual().gc(&[])?.silent()?;
        left(lab, &["notes.txt"])
    });
    table.case("GC without a data directory succeeds", |lab| {
        let pods = lab.pod()?;
        fs::remove_dir_all(lab.data_dir())?;
        pods.usual().gc(&[])?.silent()
    });
    table.case("GC twice succeeds", |lab| {
        let pods = lab.pod()?;
        let request = added(&pods, "dead", "net1")?;
        request.gc(&[])?.silent()?;
        request.gc(&[])?.silent()
    });
}

fn added<'p>(pods: &'p Pods<'p>, id: &str, network: &str) -> Result<Request<'p>, Failure> {
    pods.usual()
        .version("1.1.0")
        .network(network)
        .id(id)
        .added()
}

fn left(lab: &Lab, expected: &[&str]) -> Verdict {
    let mut names: Vec<_> = fs::read_dir(lab.data_dir())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    equal(
        "files",
        &names,
        &expected.iter().map(ToString::to_string).collect(),
    )
}
