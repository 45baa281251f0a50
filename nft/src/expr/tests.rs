use common::sys::nla::{self, Nla};

use super::*;
use crate::uapi;

fn all() -> Vec<Expr> {
    let (a, b) = (Register(1), Register(4));
    vec![
        Expr::Meta { key: 3, into: a },
        Expr::SetMeta { key: 3, from: a },
        Expr::Payload {
            base: 1,
            offset: 16,
            len: 4,
            into: b,
        },
        Expr::Bitwise {
            from: a,
            into: b,
            mask: vec![255, 0, 0, 0],
            xor: vec![0; 4],
        },
        Expr::Compare {
            from: a,
            op: 1,
            value: vec![1, 2],
        },
        Expr::Lookup {
            set: "s".into(),
            from: a,
            into: None,
        },
        Expr::Lookup {
            set: "m".into(),
            from: a,
            into: Some(b),
        },
        Expr::Fib {
            result: 3,
            flags: 2,
            into: FIRST,
        },
        Expr::Ct {
            key: 2,
            into: FIRST,
        },
        Expr::Counter(Counters {
            packets: 7,
            bytes: 420,
        }),
        Expr::Dnat {
            family: 2,
            address: a,
            port: Some(b),
        },
        Expr::Dnat {
            family: 10,
            address: a,
            port: None,
        },
        Expr::Masquerade,
        Expr::Load {
            value: vec![0, 80],
            into: b,
        },
        Expr::Jump("c".into()),
        Expr::Drop,
        Expr::Return,
    ]
}

#[test]
fn a_single_byte_turned_round_is_not_read_and_two_are() {
    let turned = |len, into| {
        let data = [
            Nla::be32(uapi::BYTEORDER_SREG, 9),
            Nla::be32(uapi::BYTEORDER_DREG, into),
            Nla::be32(uapi::BYTEORDER_LEN, len),
        ];
        let name = Nla::text(uapi::EXPR_NAME, "byteorder");
        Nla::nested(uapi::LIST_ELEM, [name, Nla::nested(uapi::EXPR_DATA, data)])
    };
    for (len, into, count) in [(1, 9, 0), (1, 10, 1), (2, 9, 1)] {
        let bytes = nla::body(&[], &[turned(len, into)]).unwrap();
        assert_eq!(Expr::decode_all(&bytes).len(), count);
    }
}

#[test]
fn what_is_written_is_read_back() {
    let written: Vec<Nla> = all().iter().map(Expr::encode).collect();
    let bytes = nla::body(&[], &written).unwrap();
    assert_eq!(Expr::decode_all(&bytes), all());
}

#[test]
fn an_inverted_lookup_is_not_ours() {
    let inverted = Nla::nested(
        uapi::LIST_ELEM,
        [
            Nla::text(uapi::EXPR_NAME, "lookup"),
            Nla::nested(
                uapi::EXPR_DATA,
                [
                    Nla::text(uapi::LOOKUP_SET, "s"),
                    Nla::be32(uapi::LOOKUP_SREG, 1),
                    Nla::be32(uapi::LOOKUP_FLAGS, 1),
                ],
            ),
        ],
    );
    let bytes = nla::body(&[], &[inverted]).unwrap();
    assert_eq!(Expr::decode_all(&bytes), [Expr::Other("lookup".into())]);
}

#[test]
fn registers_are_numbered_as_the_kernel_reports_them() {
    for (word, number) in [(0, 1), (1, 9), (2, 10), (4, 2), (5, 13), (8, 3), (9, 17)] {
        assert_eq!(Register(word).number(), number);
        assert_eq!(Register::from_number(number), Some(Register(word)));
    }
}

#[test]
fn garbage_is_read_without_a_panic() {
    for length in 0..64 {
        let bytes: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37)).collect();
        Expr::decode_all(&bytes);
        Expr::decode(&bytes);
    }
}
