//! Attachments of bandwidth are told apart.

use super::{both, bucket_says, free, ifb_of, ifbs};
use crate::case::Table;
use crate::cases::alike::{ALIKE, Attachment};
use crate::failure::{Verdict, ensure, equal};
use crate::kernel::script;
use crate::lab::Lab;

/// Cases of identity.
pub fn cases(table: &mut Table) {
    for (name, one, two) in ALIKE {
        for (which, swapped, forgotten) in [
            ("DEL of the second", false, false),
            ("DEL of the first", true, false),
            (
                "DEL of the second without namespace and prevResult",
                false,
                true,
            ),
            (
                "DEL of the first without namespace and prevResult",
                true,
                true,
            ),
        ] {
            table.case(format!("{name} are told apart by {which}"), move |lab| {
                apart(lab, one, two, swapped, forgotten)
            });
        }
    }
    table.case(
        "a container ID and network name of 200 characters work",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods
                .request(both())
                .network(&"n".repeat(200))
                .id(&"c".repeat(200))
                .added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "two long container IDs that differ in the last character are told apart",
        |lab| {
            let pods = lab.pods(2)?;
            let id = "c".repeat(200);
            let first = pods.request(both()).id(&format!("{id}1")).added()?;
            let second = pods.request_for(1, both()).id(&format!("{id}2")).added()?;
            second.del()?.silent()?;
            first.check()?.silent()
        },
    );
}

fn apart(lab: &Lab, one: Attachment, two: Attachment, swapped: bool, forgotten: bool) -> Verdict {
    let pods = lab.pods(2)?;
    if two.2 != "eth0" {
        script(
            &pods.net.containers[1],
            &format!(
                "ip link set eth0 down; ip link set eth0 name {0}; ip link set {0} up",
                two.2
            ),
        )?;
    }
    let first = pods.request(both()).attachment(one).added()?;
    let second = pods.request_for(1, both()).attachment(two).added()?;
    first.check()?.silent()?;
    second.check()?.silent()?;
    ensure(ifb_of(&pods, "veth0")? != ifb_of(&pods, "veth1")?, || {
        "they share an ifb".into()
    })?;
    let (gone, stays, deleted, left) = if swapped {
        (first, second, "veth0", "veth1")
    } else {
        (second, first, "veth1", "veth0")
    };
    if forgotten {
        gone.clone().forgotten().del()?.silent()?;
    } else {
        gone.del()?.silent()?;
        free(&pods.net.host, deleted)?;
    }
    stays.check()?.silent()?;
    bucket_says(&pods.net.host, left, &["rate 8Mbit"])?;
    bucket_says(&pods.net.host, &ifb_of(&pods, left)?, &["rate 16Mbit"])?;
    stays.del()?.silent()?;
    equal("ifbs", &ifbs(&pods.net.host)?, &Vec::new())
}
