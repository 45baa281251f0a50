use super::*;

/// An entry of IPv4 with one target, `name` and data.
fn entry(name: &str, data: &[u8]) -> Vec<u8> {
    let size = u16::try_from(PART + data.len()).unwrap();
    let mut bytes = vec![0; V4.length];
    bytes.extend(size.to_ne_bytes());
    bytes.extend(name.as_bytes());
    bytes.resize(V4.length + PART, 0);
    bytes.extend(data);
    let next = u16::try_from(bytes.len()).unwrap();
    put(&mut bytes, V4.target, &112u16.to_ne_bytes());
    put(&mut bytes, V4.next, &next.to_ne_bytes());
    bytes
}

fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}

fn verdict(number: i32) -> Vec<u8> {
    entry("", &[number.to_ne_bytes(), [0; 4]].concat())
}

fn head(name: &str) -> Vec<u8> {
    let mut data = name.as_bytes().to_vec();
    data.resize(32, 0);
    entry(ERROR, &data)
}

fn reader(entries: &[Vec<u8>]) -> Reader {
    let table = XTable {
        hooks: [Some(0), None, None, None, None],
        entries: entries.concat(),
    };
    Reader::new(Family::V4, &table)
}

#[test]
fn chains_end_where_the_next_begins_and_jumps_name_their_chain() {
    // PREROUTING: a jump to X, its policy. X: a drop, its return. The end of the table.
    let (rule, head_size) = (152, 176);
    let x = 2 * rule + head_size;
    let reader = reader(&[
        verdict(x),
        verdict(-2),
        head("X"),
        verdict(-1),
        verdict(RETURN),
        head("ERROR"),
    ]);
    assert_eq!(reader.chain("PREROUTING").unwrap().rules, ["-j X"]);
    assert_eq!(reader.chain("X").unwrap().rules, ["-j DROP"]);
    assert_eq!(reader.chain("Y"), None);
}

#[test]
fn addresses_and_interfaces_are_read_and_what_is_not_known_ends_the_chain() {
    let mut guard = verdict(-1);
    put(&mut guard, 4, &[127, 0, 0, 0]);
    put(&mut guard, 12, &[255, 0, 0, 0]);
    put(&mut guard, 16, b"lo\0");
    put(&mut guard, 48, &[255; 3]);
    put(&mut guard, V4.inversions, &[NOT_IN]);
    let mut fragment = verdict(-1);
    put(&mut fragment, V4.flags, &[1]);
    let mut beginning = verdict(-1);
    put(&mut beginning, 16, b"eth\0");
    put(&mut beginning, 48, &[255; 3]);
    for unknown in [fragment, beginning, entry("TPROXY", &[0; 16])] {
        let reader = reader(&[guard.clone(), unknown, verdict(-2), head("ERROR")]);
        let chain = reader.chain("PREROUTING").unwrap();
        assert_eq!(chain.rules, ["-d 127.0.0.0/8 ! -i lo -j DROP"]);
        assert!(!chain.is_whole);
    }
}

#[test]
fn bytes_that_make_no_sense_end_the_table() {
    let whole = [verdict(-1), verdict(-2), head("ERROR")].concat();
    for end in 0..whole.len() {
        let table = XTable {
            hooks: [Some(0), Some(1 << 20), None, None, None],
            entries: whole[..end].to_vec(),
        };
        for family in Family::ALL {
            let reader = Reader::new(family, &table);
            let _ = (reader.chain("PREROUTING"), reader.chain("INPUT"));
        }
    }
    for field in [V4.target, V4.next] {
        for value in [0u16, 1, 111, 113, u16::MAX] {
            let mut bytes = whole.clone();
            put(&mut bytes, field, &value.to_ne_bytes());
            let hooks = [Some(0), None, None, None, None];
            let _ = Reader::new(
                Family::V4,
                &XTable {
                    hooks,
                    entries: bytes,
                },
            )
            .chain("PREROUTING");
        }
    }
}
