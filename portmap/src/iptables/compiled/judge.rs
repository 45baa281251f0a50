//! What a rule that conditions became may consist of.

use common::sys::netlink::{attribute, text, u16_at};
use xtables::raw::{End, Kind, Raw, Test};

/// The matches that look at packets, at their connection or at the time, or count for their own rule
/// alone. Those that change what other rules see by its name are not here: hashlimit, nfacct.
const LOOKING: [&str; 59] = [
    "addrtype",
    "ah",
    "bpf",
    "cgroup",
    "cluster",
    "comment",
    "connbytes",
    "connlabel",
    "connlimit",
    "connmark",
    "conntrack",
    "cpu",
    "dccp",
    "devgroup",
    "dscp",
    "dst",
    "ecn",
    "esp",
    "eui64",
    "frag",
    "hbh",
    "helper",
    "hl",
    "icmp",
    "icmp6",
    "ipcomp",
    "iprange",
    "ipv6header",
    "ipvs",
    "l2tp",
    "length",
    "limit",
    "mac",
    "mark",
    "mh",
    "multiport",
    "owner",
    "physdev",
    "pkttype",
    "policy",
    "quota",
    "realm",
    "recent",
    "rpfilter",
    "rt",
    "sctp",
    "set",
    "socket",
    "state",
    "statistic",
    "string",
    "tcp",
    "tcpmss",
    "time",
    "tos",
    "ttl",
    "u32",
    "udp",
    "udplite",
];

/// Expressions of nf_tables that only look, as iptables writes them in place of matches.
const EXPRESSIONS: [&str; 8] = [
    "bitwise",
    "byteorder",
    "cmp",
    "ct",
    "limit",
    "meta",
    "payload",
    "range",
];
/// The attribute of some expressions that makes them write: `NFTA_META_SREG`, `NFTA_CT_SREG`,
/// `NFTA_PAYLOAD_SREG`.
const SOURCES: [(&str, u16); 3] = [("meta", 3), ("ct", 4), ("payload", 5)];

/// In `struct xt_recent_mtinfo`: `check_set`, of which `XT_RECENT_SET`, `_UPDATE` and `_REMOVE` write.
const RECENT_MODE: usize = 8;
const RECENT_WRITES: u8 = 0b1110;
/// In `struct xt_connlabel_mtinfo`: `options`, of which `XT_CONNLABEL_OP_SET` writes.
const CONNLABEL_OPTIONS: usize = 2;
const CONNLABEL_SET: u16 = 1 << 1;
/// `XT_SOCKET_RESTORESKMARK`
const SOCKET_RESTORES: u8 = 1 << 2;

/// Why a rule is more than a test of an owner's, if it is.
pub fn fault(rule: &Raw, mark: &str) -> Option<String> {
    if rule.end != End::Return {
        return Some("conditions must not have a target".into());
    }
    let comment = rule.tests.iter().find(|test| test.name == "comment");
    if comment.is_some_and(|comment| text(&comment.data) != mark) {
        return Some("a comment would replace the owner's".into());
    }
    rule.tests.iter().find_map(fault_of)
}

fn fault_of(test: &Test) -> Option<String> {
    let Test {
        name, kind, data, ..
    } = test;
    let byte = |at: usize| data.get(at).copied().unwrap_or(u8::MAX);
    let looks = match kind {
        Kind::Header => true,
        Kind::Expression => {
            let source = SOURCES.iter().find(|(of, _)| of == name);
            let writes = source.is_some_and(|(_, sreg)| attribute(data, *sreg).is_some());
            EXPRESSIONS.contains(&name.as_str()) && !writes
        }
        Kind::Match => match name.as_str() {
            "recent" => byte(RECENT_MODE) & RECENT_WRITES == 0,
            "connlabel" => {
                u16_at(data, CONNLABEL_OPTIONS).is_some_and(|options| options & CONNLABEL_SET == 0)
            }
            "socket" => byte(0) & SOCKET_RESTORES == 0,
            // A program of another tool can do more than look.
            "bpf" => test.revision.iter().all(|byte| *byte == 0) || u16_at(data, 0) == Some(0),
            name => LOOKING.contains(&name),
        },
    };
    (!looks).then(|| match name.as_str() {
        "recent" => {
            "match recent changes a list that other rules see: only --rcheck is allowed".into()
        }
        name => format!("{name} does more than match packets: leave it out"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(kind: Kind, name: &str, data: &[u8]) -> Test {
        Test {
            name: name.into(),
            kind,
            data: data.to_vec(),
            revision: vec![0, 0, 0, 1],
        }
    }

    fn judged(tests: Vec<Test>, end: End) -> Option<String> {
        let expressions = Vec::new();
        let rule = Raw {
            tests,
            end,
            expressions,
        };
        fault(&rule, "mine")
    }

    #[test]
    fn what_only_looks_is_a_test_and_what_writes_or_is_not_known_is_none() {
        let mut recent = [0; 16];
        for (mode, looks) in [(1, true), (2, false), (4, false), (8, false), (3, false)] {
            recent[RECENT_MODE] = mode;
            let found = judged(vec![test(Kind::Match, "recent", &recent)], End::Return);
            assert_eq!(found.is_none(), looks, "{mode}");
        }
        let sreg = [8, 0, 3, 0, 0, 0, 0, 1];
        for (kind, name, data, looks) in [
            (Kind::Match, "statistic", &[][..], true),
            (Kind::Match, "u32", &[], true),
            (Kind::Match, "hashlimit", &[], false),
            (Kind::Match, "nfacct", &[], false),
            (Kind::Match, "LOG", &[], false),
            (Kind::Match, "connlabel", &[1, 0, 0, 0], true),
            (Kind::Match, "connlabel", &[1, 0, 2, 0], false),
            (Kind::Match, "socket", &[1], true),
            (Kind::Match, "socket", &[4], false),
            (Kind::Match, "bpf", &[0, 0], true),
            (Kind::Match, "bpf", &[1, 0], false),
            (Kind::Expression, "meta", &[], true),
            (Kind::Expression, "meta", &sreg, false),
            (Kind::Expression, "dynset", &[], false),
            (Kind::Expression, "log", &[], false),
            (Kind::Header, "", &[], true),
        ] {
            let found = judged(vec![test(kind, name, data)], End::Return);
            assert_eq!(found.is_none(), looks, "{name} {data:?}");
        }
    }

    #[test]
    fn a_rule_returns_and_its_first_comment_is_the_owner_s() {
        let comment = |text: &str| test(Kind::Match, "comment", text.as_bytes());
        assert_eq!(
            judged(vec![comment("mine"), comment("x")], End::Return),
            None
        );
        assert!(judged(vec![comment("x"), comment("mine")], End::Return).is_some());
        for end in [End::Other, End::Next, End::Chain("X".into())] {
            assert!(judged(vec![comment("mine")], end).is_some());
        }
    }
}
