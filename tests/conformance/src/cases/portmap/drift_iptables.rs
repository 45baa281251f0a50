//! CHECK of the iptables backend sees whatever was changed behind its back.

use crate::case::Table;
use crate::edit::Edit::{self, Before, Drop, Move, Swap};
use crate::edit::{restore, save};
use crate::failure::{Verdict, ensure, fail};
use crate::kernel::chain;
use crate::lab::Lab;

/// What was changed in IPv4. `@` is the attachment's chain.
const DRIFTS: [(&str, Edit); 39] = [
    (
        "the jump from PREROUTING is gone",
        Drop(&["-A PREROUTING", "CNI-HOSTPORT-DNAT"]),
    ),
    (
        "the jump from OUTPUT is gone",
        Drop(&["-A OUTPUT", "CNI-HOSTPORT-DNAT"]),
    ),
    (
        "the jump from POSTROUTING is gone",
        Drop(&["-A POSTROUTING", "CNI-HOSTPORT-MASQ"]),
    ),
    (
        "the jump from PREROUTING has another condition",
        Swap(&["-A PREROUTING"], "LOCAL", "BROADCAST"),
    ),
    (
        "the jump from OUTPUT has another condition",
        Swap(&["-A OUTPUT"], "LOCAL", "BROADCAST"),
    ),
    (
        "the jump from POSTROUTING has one condition more",
        Swap(
            &["-A POSTROUTING", "CNI"],
            "-A POSTROUTING",
            "-A POSTROUTING -s 192.0.2.0/24",
        ),
    ),
    (
        "the rule that sets the mark is gone",
        Drop(&["-A CNI-HOSTPORT-SETMARK"]),
    ),
    (
        "the rule that masquerades is gone",
        Drop(&["-A CNI-HOSTPORT-MASQ"]),
    ),
    (
        "the mark that is set is another",
        Swap(
            &["-A CNI-HOSTPORT-SETMARK"],
            "0x2000/0x2000",
            "0x4000/0x4000",
        ),
    ),
    (
        "the mark is taken back by a rule after it",
        Swap(
            &["-A CNI-HOSTPORT-SETMARK"],
            "0x2000/0x2000",
            "0x2000/0x2000\n-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x0/0x2000",
        ),
    ),
    (
        "the mark that is masqueraded is another",
        Swap(&["-A CNI-HOSTPORT-MASQ"], "0x2000/0x2000", "0x4000/0x4000"),
    ),
    (
        "marked packets are accepted instead of masqueraded",
        Swap(&["-A CNI-HOSTPORT-MASQ"], "MASQUERADE", "ACCEPT"),
    ),
    (
        "a rule before the mark is set returns",
        Before(
            &["-A CNI-HOSTPORT-SETMARK"],
            "-A CNI-HOSTPORT-SETMARK -j RETURN",
        ),
    ),
    (
        "a rule before masquerading returns",
        Before(&["-A CNI-HOSTPORT-MASQ"], "-A CNI-HOSTPORT-MASQ -j RETURN"),
    ),
    (
        "the jump rule of TCP is gone",
        Drop(&["-A CNI-HOSTPORT-DNAT -p tcp"]),
    ),
    (
        "the jump rule of UDP is gone",
        Drop(&["-A CNI-HOSTPORT-DNAT -p udp"]),
    ),
    (
        "the jump rule is for another port",
        Swap(&["-A CNI-HOSTPORT-DNAT"], "--dports 8080", "--dports 8090"),
    ),
    (
        "the jump rule is for one port more",
        Swap(
            &["-A CNI-HOSTPORT-DNAT"],
            "--dports 8080",
            "--dports 8080,8090",
        ),
    ),
    (
        "the jump rule is for another protocol",
        Swap(&["-A CNI-HOSTPORT-DNAT"], "-p tcp", "-p sctp"),
    ),
    (
        "the jump rule leads nowhere",
        Swap(&["-A CNI-HOSTPORT-DNAT", "tcp"], "-j @", "-j RETURN"),
    ),
    (
        "the jump rule has one condition more",
        Swap(
            &["-A CNI-HOSTPORT-DNAT", "tcp"],
            "-A CNI-HOSTPORT-DNAT",
            "-A CNI-HOSTPORT-DNAT -s 192.0.2.0/24",
        ),
    ),
    (
        "a rule before the jump rules takes the packets",
        Before(
            &["-A CNI-HOSTPORT-DNAT"],
            "-A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 8080 -j RETURN",
        ),
    ),
    (
        "a rule before the jump from PREROUTING takes the packets",
        Before(
            &["-A PREROUTING"],
            "-A PREROUTING -p tcp -m tcp --dport 8080 -j ACCEPT",
        ),
    ),
    (
        "a rule before the jump from OUTPUT takes the packets",
        Before(
            &["-A OUTPUT"],
            "-A OUTPUT -p tcp -m tcp --dport 8080 -j ACCEPT",
        ),
    ),
    (
        "the rule that translates TCP is gone",
        Drop(&["-A @ -p tcp", "DNAT"]),
    ),
    (
        "the rule that translates UDP is gone",
        Drop(&["-A @ -p udp", "DNAT"]),
    ),
    (
        "the rule translates to another address",
        Swap(&["-A @"], "10.22.0.2:80", "10.22.0.9:80"),
    ),
    (
        "the rule translates to another port",
        Swap(&["-A @"], "10.22.0.2:80", "10.22.0.2:82"),
    ),
    (
        "the rule translates another port",
        Swap(&["-A @", "DNAT"], "--dport 8080", "--dport 8090"),
    ),
    (
        "the rule translates for one address alone",
        Swap(&["-A @ -p tcp", "DNAT"], "-A @", "-A @ -s 192.0.2.1/32"),
    ),
    (
        "the rule that marks what the container sends to itself is gone",
        Drop(&["-A @ -s 10.22.0.0/16", "tcp"]),
    ),
    (
        "the rule that marks what the container sends to itself is for others",
        Swap(
            &["-A @ -s 10.22.0.0/16", "tcp"],
            "10.22.0.0/16",
            "10.23.0.0/16",
        ),
    ),
    (
        "the rule that marks what 127.0.0.1 sends is gone",
        Drop(&["-A @ -s 127.0.0.1", "tcp"]),
    ),
    ("the attachment's chain is empty", Drop(&["-A @"])),
    (
        "the attachment's chain and its jump rules are gone",
        Drop(&["@"]),
    ),
    (
        "the translation stands before the marks",
        Move(&["-A @ -p tcp", "DNAT"], &["-A @"]),
    ),
    (
        "the attachment's chain begins with a rule that returns",
        Before(&["-A @"], "-A @ -j RETURN"),
    ),
    (
        "the attachment's chain begins with a translation to another address",
        Before(
            &["-A @"],
            "-A @ -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.9:80",
        ),
    ),
    ("everything of CNI is gone", Drop(&["CNI-"])),
];

/// What was changed in IPv6.
const DRIFTS_V6: [(&str, Edit); 9] = [
    (
        "the jump from PREROUTING is gone",
        Drop(&["-A PREROUTING", "CNI-HOSTPORT-DNAT"]),
    ),
    (
        "the jump from OUTPUT is gone",
        Drop(&["-A OUTPUT", "CNI-HOSTPORT-DNAT"]),
    ),
    (
        "the rule that masquerades is gone",
        Drop(&["-A CNI-HOSTPORT-MASQ"]),
    ),
    (
        "the jump rule is gone",
        Drop(&["-A CNI-HOSTPORT-DNAT -p tcp"]),
    ),
    ("the translation is gone", Drop(&["-A @ -p tcp", "DNAT"])),
    (
        "the rule translates to another address",
        Swap(&["-A @"], "[fd00:22::2]:80", "[fd00:22::9]:80"),
    ),
    (
        "the rule that marks what the container sends to itself is gone",
        Drop(&["-A @ -s fd00:22::/64", "tcp"]),
    ),
    ("the attachment's chain is empty", Drop(&["-A @"])),
    ("everything of CNI is gone", Drop(&["CNI-"])),
];

/// Cases of drift.
pub fn cases(table: &mut Table) {
    for (name, edit) in DRIFTS {
        table.case(format!("CHECK fails when {name}"), move |lab| {
            drift(lab, "iptables", edit)
        });
    }
    for (name, edit) in DRIFTS_V6 {
        table.case(format!("CHECK fails when in IPv6 {name}"), move |lab| {
            drift(lab, "ip6tables", edit)
        });
    }
    for tool in ["iptables", "ip6tables"] {
        table.case(
            format!("CHECK fails when any one rule of {tool} is gone"),
            move |lab| any_one(lab, tool),
        );
    }
    table.case(
        "DEL removes an entry rule whose target somebody changed",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            let edit = Swap(&["-A CNI-HOSTPORT-DNAT", "-p tcp"], "-j @", "-j RETURN");
            restore(
                &pods,
                "iptables",
                &edit.apply(&save(&pods, "iptables")?, &own())?,
            )?;
            request.del()?.silent()?;
            let left = save(&pods, "iptables")?;
            ensure(!left.contains("cid-0001"), || left)
        },
    );
    table.case(
        "CHECK fails when the mark bit of the request is another",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            request
                .with(serde_json::json!({"markMasqBit": 5}))
                .check()?
                .drift()
        },
    );
}

fn drift(lab: &Lab, tool: &str, edit: Edit) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.usual().added()?;
    request.check()?.ok()?;
    let text = edit.apply(&save(&pods, tool)?, &own())?;
    restore(&pods, tool, &text)?;
    request.check()?.drift()
}

fn own() -> String {
    chain("net1", "cid-0001")
}

fn any_one(lab: &Lab, tool: &str) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.usual().added()?;
    let whole = save(&pods, tool)?;
    let rules: Vec<_> = whole
        .lines()
        .filter(|line| line.starts_with("-A "))
        .collect();
    let mut unseen = Vec::new();
    for rule in rules {
        let without: Vec<_> = whole.lines().filter(|line| *line != rule).collect();
        restore(&pods, tool, &(without.join("\n") + "\n"))?;
        if request.check()?.drift().is_err() {
            unseen.push(rule);
        }
    }
    restore(&pods, tool, &whole)?;
    request.check()?.ok()?;
    if unseen.is_empty() {
        Ok(())
    } else {
        fail(format!("not seen: {}", unseen.join("; ")))
    }
}
