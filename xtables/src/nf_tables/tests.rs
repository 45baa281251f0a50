use common::sys::nla::{self, Nla};
use nft::expr::{Expr, FIRST as REG};

use super::words::{XT_INFO, XT_NAME, XT_REVISION, rule};
use super::*;
use crate::meaning::{Meaning, VERDICT_MAP, sets_mark};

fn nest(name: &str, attributes: Vec<Nla>) -> Nla {
    Nla::nested(
        uapi::LIST_ELEM,
        [
            Nla::text(uapi::EXPR_NAME, name),
            Nla::nested(uapi::EXPR_DATA, attributes),
        ],
    )
}

fn read(family: Family, expressions: &[Nla]) -> String {
    rule(family, &nla::body(&[], expressions).unwrap())
}

fn comment(text: &str) -> Nla {
    let mut info = text.as_bytes().to_vec();
    info.resize(256, 0);
    let attributes = vec![
        Nla::text(XT_NAME, "comment"),
        Nla::be32(XT_REVISION, 0),
        Nla::value(XT_INFO, info),
    ];
    nest("match", attributes)
}

fn compare(op: u32, value: &[u8]) -> Nla {
    let value = value.to_vec();
    Expr::Compare {
        from: REG,
        op,
        value,
    }
    .encode()
}

fn network(offset: u32, len: u32) -> Nla {
    let base = uapi::PAYLOAD_NETWORK_HEADER;
    Expr::Payload {
        base,
        offset,
        len,
        into: REG,
    }
    .encode()
}

#[test]
fn rules_are_read_as_iptables_prints_them() {
    let jump = Expr::Jump("X".into()).encode();
    let incoming = Expr::Meta {
        key: uapi::META_IIFNAME,
        into: REG,
    }
    .encode();
    let counter = nest("counter", vec![Nla::be64(1, 7), Nla::be64(2, 8)]);
    let guard = [
        incoming,
        compare(uapi::CMP_NEQ, b"lo\0"),
        network(16, 1),
        compare(uapi::CMP_EQ, &[127]),
        counter.clone(),
        jump.clone(),
    ];
    assert_eq!(read(Family::V4, &guard), "! -i lo -d 127.0.0.0/8 -j X");
    let commented = [comment("a b"), counter, jump.clone()];
    assert_eq!(
        read(Family::V6, &commented),
        "-m comment --comment \"a b\" -j X"
    );
    let mark = Expr::Meta {
        key: uapi::META_MARK,
        into: REG,
    }
    .encode();
    let mask = 0x2000u32.to_ne_bytes();
    let masked = Expr::Bitwise {
        from: REG,
        into: REG,
        mask: mask.to_vec(),
        xor: vec![0; 4],
    };
    let masquerade = [
        mark,
        masked.encode(),
        compare(uapi::CMP_EQ, &mask),
        Expr::Masquerade.encode(),
    ];
    assert_eq!(
        read(Family::V4, &masquerade),
        "-m mark --mark 0x2000/0x2000 -j MASQUERADE"
    );
    let protocol = Expr::Meta {
        key: uapi::META_L4PROTO,
        into: REG,
    };
    let port = Expr::Payload {
        base: uapi::PAYLOAD_TRANSPORT_HEADER,
        offset: 2,
        len: 2,
        into: REG,
    };
    let port = [port.encode(), compare(uapi::CMP_EQ, &[0x1f, 0x90])];
    let tcp = [
        vec![protocol.encode(), compare(uapi::CMP_EQ, &[6])],
        port.to_vec(),
    ]
    .concat();
    assert_eq!(read(Family::V4, &tcp), "-p tcp -m tcp --dport 8080");
    assert_eq!(
        read(Family::V4, &port),
        "-m \"?cmp\"",
        "a port of no protocol"
    );
    let six = [network(24, 16), compare(uapi::CMP_NEQ, &[0xfd; 16]), jump];
    assert_eq!(
        read(Family::V6, &six),
        "! -d fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd/128 -j X"
    );
}

fn load(key: u32) -> Nla {
    Expr::Meta { key, into: REG }.encode()
}

fn loaded(value: &[u8]) -> Nla {
    Expr::Load {
        value: value.to_vec(),
        into: REG,
    }
    .encode()
}

fn immediate(code: i32) -> Nla {
    let verdict = Nla::nested(
        uapi::DATA_VERDICT,
        [Nla::be32(uapi::VERDICT_CODE, code.cast_unsigned())],
    );
    nest(
        "immediate",
        vec![Nla::be32(1, 0), Nla::nested(2, [verdict])],
    )
}

fn to(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

/// What the routing table says of an address.
fn local(flags: u32) -> Nla {
    Expr::Fib {
        result: uapi::FIB_RESULT_ADDRTYPE,
        flags,
        into: REG,
    }
    .encode()
}

fn set_mark() -> Nla {
    Expr::SetMeta {
        key: uapi::META_MARK,
        from: REG,
    }
    .encode()
}

fn masked(mask: u32, xor: u32) -> Nla {
    Expr::Bitwise {
        from: REG,
        into: REG,
        mask: to(mask).to_vec(),
        xor: to(xor).to_vec(),
    }
    .encode()
}

#[test]
fn what_iptables_would_not_write_is_named_and_its_target_is_read() {
    let jump = || Expr::Jump("X".into()).encode();
    let recent = vec![
        Nla::text(XT_NAME, "recent"),
        Nla::be32(XT_REVISION, 0),
        Nla::value(XT_INFO, [0; 8]),
    ];
    for (expressions, words) in [
        (vec![nest("limit", vec![]), jump()], "-m \"?limit\" -j X"),
        (vec![nest("match", recent), jump()], "-m \"?recent\" -j X"),
        (
            vec![
                load(uapi::META_IIFNAME),
                compare(uapi::CMP_EQ, b"eth"),
                jump(),
            ],
            "-i eth+ -j X",
        ),
        (
            vec![network(9, 1), compare(uapi::CMP_NEQ, &[6]), jump()],
            "! -p tcp -j X",
        ),
        (
            vec![compare(uapi::CMP_EQ, &[6]), jump()],
            "-m \"?cmp\" -j X",
        ),
        (
            vec![network(16, 4), compare(2, &[127, 0, 0, 1]), jump()],
            "-m \"?cmp\" -j X",
        ),
        (
            vec![nest("lookup", vec![Nla::be32(uapi::LOOKUP_DREG, 0)])],
            "-m \"??vmap\"",
        ),
        (vec![nest("redir", vec![])], "-j REDIRECT ?"),
        (
            vec![
                local(uapi::FIB_DADDR),
                compare(uapi::CMP_EQ, &to(2)),
                jump(),
            ],
            "-m addrtype --dst-type LOCAL -j X",
        ),
        (
            vec![
                local(uapi::FIB_DADDR),
                compare(uapi::CMP_NEQ, &to(2)),
                jump(),
            ],
            "-m addrtype ! --dst-type LOCAL -j X",
        ),
        // With the interface, and another kind of address.
        (
            vec![local(10), compare(uapi::CMP_EQ, &to(2)), jump()],
            "-m \"?fib\" -m \"?cmp\" -j X",
        ),
        (
            vec![
                local(uapi::FIB_DADDR),
                compare(uapi::CMP_EQ, &to(3)),
                jump(),
            ],
            "-m \"?cmp\" -j X",
        ),
        (
            vec![loaded(&to(9)), set_mark()],
            "-j MARK --set-xmark 0x9/0xffffffff",
        ),
        (
            vec![
                load(uapi::META_MARK),
                masked(0xffff_dfff, 0x4000),
                set_mark(),
            ],
            "-j MARK --set-xmark 0x4000/0x2000",
        ),
        (
            vec![loaded(&to(9)), set_mark(), jump()],
            "-m \"??mark\" -j X",
        ),
        (
            vec![nest("ct", vec![]), set_mark()],
            "-m \"?ct\" -m \"??mark\"",
        ),
        (
            vec![loaded(&to(9)), nest("ct", vec![]), set_mark()],
            "-m \"?ct\" -m \"??mark\"",
        ),
        (
            vec![
                load(uapi::META_MARK),
                masked(0xff, 1),
                compare(uapi::CMP_EQ, &to(1)),
                jump(),
            ],
            "-m \"?cmp\" -j X",
        ),
        (
            vec![loaded(b"\x0a\x09\0\x02"), nest("nat", vec![])],
            "-j DNAT ?",
        ),
        (vec![immediate(1)], "-j ACCEPT"),
        (vec![immediate(0)], "-j DROP"),
        (vec![immediate(-5)], "-j RETURN"),
        (vec![immediate(-99)], "-m \"?immediate\""),
        (vec![], ""),
    ] {
        assert_eq!(read(Family::V4, &expressions), words, "{expressions:?}");
    }
}

#[test]
fn a_match_of_whatever_name_is_a_test_and_a_log_is_none() {
    let jump = || Expr::Jump("X".into()).encode();
    let words = |part: Nla| Meaning::of(&read(Family::V4, &[part, jump()]));
    // ipset's is called `set`.
    for name in ["set", "mark", "log", "vmap"] {
        let attributes = vec![
            Nla::text(XT_NAME, name),
            Nla::be32(XT_REVISION, 99),
            Nla::value(XT_INFO, vec![0; 8]),
        ];
        let meaning = words(nest("match", attributes));
        assert!(!meaning.is_for_all(), "{meaning:?}");
        assert!(meaning.find(VERDICT_MAP).is_none(), "{meaning:?}");
        let mut parts = meaning.matches.iter();
        assert!(!parts.any(|part| sets_mark(part)), "{meaning:?}");
        assert!(meaning.without_unknown().is_some(), "{meaning:?}");
    }
    assert!(words(nest("log", vec![])).is_for_all());
}

#[test]
fn ranges_of_ports_are_read_as_iptables_prints_them() {
    let protocol = [load(uapi::META_L4PROTO), compare(uapi::CMP_EQ, &[17])];
    let port = Expr::Payload {
        base: uapi::PAYLOAD_TRANSPORT_HEADER,
        offset: 2,
        len: 2,
        into: REG,
    };
    let with = |test: Nla| {
        read(
            Family::V4,
            &[&protocol[..], &[port.encode(), test]].concat(),
        )
    };
    let end = |kind, value: u16| Nla::nested(kind, [Nla::be16(uapi::DATA_VALUE, value)]);
    let range = vec![Nla::be32(1, 1), Nla::be32(2, 0), end(3, 80), end(4, 90)];
    assert_eq!(with(nest("range", range)), "-p udp -m udp --dport 80:90");
    let most = compare(uapi::CMP_LTE, &90u16.to_be_bytes());
    assert_eq!(with(most), "-p udp -m udp --dport 0:90");
    let not = compare(uapi::CMP_NEQ, &90u16.to_be_bytes());
    assert_eq!(with(not), "-p udp -m udp ! --dport 90");
}

#[test]
fn what_a_rule_counted_is_read() {
    let counter = nest("counter", vec![Nla::be64(1, 420), Nla::be64(2, 7)]);
    let bytes = nla::body(&[], &[counter]).unwrap();
    assert_eq!(words::counters(&bytes), Some((7, 420)));
    assert_eq!(words::counters(&[]), None);
}
