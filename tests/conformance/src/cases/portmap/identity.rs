//! Attachments of portmap are told apart.

use super::traces::{all_of, none_of};
use super::{mapping, mappings, web};
use crate::case::Table;
use crate::cases::alike::{ALIKE, Alike, Attachment};
use crate::failure::{Failure, Verdict};
use crate::lab::{Lab, Pods};
use crate::request::Request;

/// More of them: rules carry a network's name and a container's ID as text.
const ALIKE_HERE: [Alike; 3] = [
    (
        "two networks and interfaces with one container ID",
        ("net1", "cid", "eth0"),
        ("net2", "cid", "net1"),
    ),
    (
        "neta with b1 and netab with 1",
        ("neta", "b1", "eth0"),
        ("netab", "1", "eth0"),
    ),
    (
        "a network name and a longer one",
        ("net1", "cid", "eth0"),
        ("net1.2", "cid", "eth0"),
    ),
];

/// Cases of identity: the second attachment's network, container ID and interface.
pub fn cases(table: &mut Table) {
    for (name, one, two) in ALIKE.into_iter().chain(ALIKE_HERE) {
        table.case(
            format!("{name} are told apart by DEL of the second"),
            move |lab| apart(lab, one, two, false),
        );
        table.case(
            format!("{name} are told apart by DEL of the first"),
            move |lab| apart(lab, one, two, true),
        );
        table.case(
            format!("{name} are told apart by DEL that knows nothing else"),
            move |lab| apart_forgotten(lab, one, two),
        );
    }
    table.case(
        "a container ID and network name of 200 characters work",
        |lab| {
            let pods = lab.pod()?;
            let (id, network) = ("c".repeat(200), "n".repeat(200));
            let request = pods.usual().network(&network).id(&id).added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            none_of(&pods.net.host, &["10.22.0.2", "fd00:22::2", "8080"])
        },
    );
    table.case(
        "two long container IDs that differ in the last character are told apart",
        |lab| {
            let pods = lab.pods(2)?;
            let id = "c".repeat(200);
            let first = pods.request(web()).id(&format!("{id}1")).added()?;
            let second = pods
                .request_for(1, mappings(&[mapping("tcp", 8090, 80)]))
                .id(&format!("{id}2"))
                .added()?;
            second.del()?.silent()?;
            first.check()?.silent()?;
            none_of(&pods.net.host, &["10.22.0.3"])
        },
    );
    for id in [
        "a",
        "0",
        "a.b_c-d",
        "x--------------------------------",
        "name",
        "id",
    ] {
        table.case(format!("the container ID {id} works"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().id(id).added()?;
            request.check()?.silent()?;
            request.forgotten().del()?.silent()?;
            none_of(&pods.net.host, &["10.22.0.2", "fd00:22::2"])
        });
    }
}

/// The first pod's port 8080 and the second's 8090, in these attachments.
fn both<'p>(
    pods: &'p Pods<'p>,
    one: Attachment,
    two: Attachment,
) -> Result<[Request<'p>; 2], Failure> {
    let second = mappings(&[mapping("tcp", 8090, 80)]);
    Ok([
        pods.request(web()).attachment(one).added()?,
        pods.request_for(1, second).attachment(two).added()?,
    ])
}

fn apart(lab: &Lab, one: Attachment, two: Attachment, swapped: bool) -> Verdict {
    let pods = lab.pods(2)?;
    let [first, second] = both(&pods, one, two)?;
    first.check()?.silent()?;
    second.check()?.silent()?;
    let ours = [["10.22.0.2", "fd00:22::2"], ["10.22.0.3", "fd00:22::3"]];
    let (gone, stays, [deleted, left]) = if swapped {
        (first, second, [ours[0], ours[1]])
    } else {
        (second, first, [ours[1], ours[0]])
    };
    gone.del()?.silent()?;
    none_of(&pods.net.host, &deleted)?;
    all_of(&pods.net.host, &left)?;
    stays.check()?.silent()?;
    stays.del()?.silent()?;
    none_of(&pods.net.host, &left)
}

fn apart_forgotten(lab: &Lab, one: Attachment, two: Attachment) -> Verdict {
    let pods = lab.pods(2)?;
    let [first, second] = both(&pods, one, two)?;
    second.forgotten().del()?.silent()?;
    none_of(&pods.net.host, &["10.22.0.3", "fd00:22::3"])?;
    first.check()?.silent()?;
    first.forgotten().del()?.silent()?;
    none_of(&pods.net.host, &["10.22.0.2", "fd00:22::2"])
}
