//! Every program that ADD starts, failed once.

use std::fs;

use sandbox::executable;

use super::{Attachment, End};
use crate::portmap::node::{Backend, Host, mapping, on_both_variants, request};

on_both_variants!(
    whichever_program_fails_or_is_killed_all_ports_are_mapped_or_none,
    a_node_without_nat_for_ipv4_is_refused_and_one_without_it_for_ipv6_is_not,
    whichever_program_fails_where_shared_rules_are_missing_nothing_of_the_attachment_stays,
);

/// Puts scripts in front of the programs, which count their starts and in the one that `fault` says do
/// what it says.
fn instrument(host: &Host) {
    for base in ["iptables", "ip6tables"] {
        for end in ["", "-restore", "-save"] {
            let program = host.directory.join(format!("{base}{end}"));
            let real = fs::read_link(&program).unwrap();
            // Appending is atomic, so the number of bytes tells the starts apart.
            let text = format!(
                "#!/bin/sh\nd={}\nprintf x >>$d/starts\n\
                 [ \"$(wc -c <$d/starts)\" $(cat $d/which) ] && . $d/fault\nexec {} \"$@\"\n",
                host.directory.display(),
                real.display()
            );
            executable::script(&program, &text).unwrap();
        }
    }
}

fn whichever_program_fails_or_is_killed_all_ports_are_mapped_or_none(backend: Backend) {
    each_program(backend, |_| (), state);
}

/// There ADD takes two steps: its own rules, then what it did not find.
fn whichever_program_fails_where_shared_rules_are_missing_nothing_of_the_attachment_stays(
    backend: Backend,
) {
    each_program(backend, take_shared_rules_away, rules);
}

/// The rule that leads to a shared chain, and for IPv4 the chain, too.
fn take_shared_rules_away(host: &Host) {
    for base in ["iptables", "ip6tables"] {
        host.iptables(base, "-t nat -F POSTROUTING");
    }
    if host.nat("iptables").contains(":CNI-HOSTPORT-MASQ ") {
        host.iptables("iptables", "-t nat -F CNI-HOSTPORT-MASQ");
        host.iptables("iptables", "-t nat -X CNI-HOSTPORT-MASQ");
    }
}

const TABLES: [(&str, &str); 4] = [
    ("iptables", "nat"),
    ("iptables", "mangle"),
    ("ip6tables", "nat"),
    ("ip6tables", "mangle"),
];

/// What is the attachment's. What all share stays once it is made.
fn rules(host: &Host) -> Vec<String> {
    let tables = TABLES.map(|(base, table)| host.table(base, table));
    let lines = tables.iter().flat_map(|text| text.lines());
    lines
        .filter(|line| line.contains("CNI-DN-") || line.contains("dnat name:"))
        .map(str::to_owned)
        .collect()
}

/// Lets each program of an ADD fail once, on a node that `prepare` has prepared each time, and of which
/// `look` tells all that matters.
fn each_program(backend: Backend, prepare: fn(&Host), look: fn(&Host) -> Vec<String>) {
    let host = Host::usual(backend);
    let ports = [mapping("tcp", 8080, 80), mapping("udp", 8081, 80)].join(",");
    let request = request("", &ports);
    host.run("ADD", &request);
    host.run("DEL", &request);
    instrument(&host);
    let attachment = Attachment {
        host: &host.net.host,
        call: &|verb| host.call(verb, &request),
        state: &|| look(&host),
    };
    prepare(&host);
    let clean = look(&host);
    let file = |name: &str, text: &str| fs::write(host.directory.join(name), text).unwrap();
    let mut refused = 0;
    for fault in ["echo 'no luck today' >&2; exit 1", "kill -9 $$"] {
        for which in ["=", "-ge"] {
            // This one only, or all from this one on.
            for nth in 1..20 {
                let when = format!("when programs {which} {nth} do {fault}");
                file("starts", "");
                file("which", &format!("{which} {nth}"));
                file("fault", fault);
                let answer = attachment.run("ADD");
                let started = fs::metadata(host.directory.join("starts")).unwrap().len();
                file("which", "= never");
                refused += usize::from(attachment.judge(&answer, &clean, &when) == End::Refused);
                attachment.succeeds("DEL", &when);
                prepare(&host);
                assert_eq!(look(&host), clean, "DEL {when}");
                if started < nth {
                    break;
                }
            }
        }
    }
    assert!(refused >= 4, "{refused}");
}

fn a_node_without_nat_for_ipv4_is_refused_and_one_without_it_for_ipv6_is_not(backend: Backend) {
    for base in ["iptables", "ip6tables"] {
        let host = Host::usual(backend);
        let request = request("", &mapping("tcp", 8080, 80));
        for end in ["", "-restore", "-save"] {
            let program = host.directory.join(format!("{base}{end}"));
            let text = format!(
                "#!/bin/sh\necho \"{base}: can't initialize {base} table 'nat': Table does not exist\" >&2\nexit 3\n"
            );
            executable::script(&program, &text).unwrap();
        }
        if base == "iptables" {
            host.fails(&host.call("ADD", &request), 103);
            // What all share may have come to be for the other version.
            let left = state(&host).join("\n");
            assert!(
                !left.contains("CNI-DN-") && !left.contains("cid-0001"),
                "{left}"
            );
        } else {
            host.run("ADD", &request);
            host.run("CHECK", &request);
            host.run("DEL", &request);
        }
    }
}

/// The node's rules, and the switch that opens loopback addresses only once there is a rule.
fn state(host: &Host) -> Vec<String> {
    host.state().lines().map(str::to_owned).collect()
}

#[test]
fn without_a_thread_for_the_second_ip_version_they_take_turns() {
    let host = Host::usual(Backend::IptablesLegacy);
    let request = request("", &mapping("tcp", 8080, 80));
    let attachment = Attachment {
        host: &host.net.host,
        call: &|verb| host.call(verb, &request),
        state: &|| state(&host),
    };
    let clean = state(&host);
    let end = attachment.add_with("clone3", "EAGAIN", 1, &clean);
    assert_eq!(end, End::Added);
}
