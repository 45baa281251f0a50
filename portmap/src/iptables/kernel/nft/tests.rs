use super::*;
use crate::nftables::expr::FIRST as REG;

fn nest(name: &str, attributes: Vec<Nla>) -> Nla {
    Nla::nested(
        uapi::LIST_ELEM,
        [
            Nla::text(uapi::EXPR_NAME, name),
            Nla::nested(uapi::EXPR_DATA, attributes),
        ],
    )
}

fn read(family: Family, expressions: &[Nla]) -> Option<String> {
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
    assert_eq!(
        read(Family::V4, &guard).unwrap(),
        "! -i lo -d 127.0.0.0/8 -j X"
    );
    let commented = [comment("a b"), counter, jump.clone()];
    assert_eq!(
        read(Family::V6, &commented).unwrap(),
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
        read(Family::V4, &masquerade).unwrap(),
        "-m mark --mark 0x2000/0x2000 -j MASQUERADE"
    );
    let protocol = Expr::Meta {
        key: uapi::META_L4PROTO,
        into: REG,
    };
    let port = Expr::Payload {
        base: uapi::PAYLOAD_TRANSPORT_HEADER,
        offset: TO_PORT,
        len: 2,
        into: REG,
    };
    let port = [port.encode(), compare(uapi::CMP_EQ, &[0x1f, 0x90])];
    let tcp = [
        vec![protocol.encode(), compare(uapi::CMP_EQ, &[6])],
        port.to_vec(),
    ]
    .concat();
    assert_eq!(
        read(Family::V4, &tcp).unwrap(),
        "-p tcp -m tcp --dport 8080"
    );
    assert_eq!(read(Family::V4, &port), None, "a port of no protocol");
    let six = [network(24, 16), compare(uapi::CMP_NEQ, &[0xfd; 16]), jump];
    assert_eq!(
        read(Family::V6, &six).unwrap(),
        "! -d fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd/128 -j X"
    );
}

#[test]
fn what_only_iptables_can_print_is_not_read() {
    let jump = Expr::Jump("X".into()).encode();
    let limit = nest("limit", vec![]);
    let unknown = nest(
        "match",
        vec![
            Nla::text(XT_NAME, "recent"),
            Nla::be32(XT_REVISION, 0),
            Nla::value(XT_INFO, [0; 8]),
        ],
    );
    let beginning = Expr::Meta {
        key: uapi::META_IIFNAME,
        into: REG,
    }
    .encode();
    for expressions in [
        vec![limit, jump.clone()],
        vec![unknown, jump.clone()],
        vec![beginning, compare(uapi::CMP_EQ, b"eth"), jump.clone()],
        vec![network(9, 1), compare(uapi::CMP_NEQ, &[6]), jump.clone()],
        vec![compare(uapi::CMP_EQ, &[6]), jump.clone()],
        vec![network(16, 4), compare(2, &[127, 0, 0, 1]), jump],
    ] {
        assert_eq!(read(Family::V4, &expressions), None, "{expressions:?}");
    }
}
