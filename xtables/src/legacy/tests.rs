use common::sys::xtables::Machine;

use super::entry::{NOT_IN, PART, V4, v4, v6};
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

pub fn verdict(number: i32) -> Vec<u8> {
    entry("", &[number.to_ne_bytes(), [0; 4]].concat())
}

fn head(name: &str) -> Vec<u8> {
    let mut data = name.as_bytes().to_vec();
    data.resize(32, 0);
    entry(ERROR, &data)
}

pub fn table(entries: &[Vec<u8>]) -> XTable {
    XTable {
        hooks: [Some(0), None, None, None, None],
        policies: [0; 5],
        count: entries.len(),
        entries: entries.concat(),
    }
}

fn reader(entries: &[Vec<u8>]) -> Reader {
    Reader::new(Family::V4, table(entries))
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
    assert_eq!(reader.chain("PREROUTING", 9).unwrap().rules, ["-j X"]);
    assert_eq!(reader.chain("X", 9).unwrap().rules, ["-j DROP"]);
    assert_eq!(reader.chain("Y", 9), None);
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
        let chain = reader.chain("PREROUTING", 9).unwrap();
        assert_eq!(chain.rules, ["-d 127.0.0.0/8 ! -i lo -j DROP"]);
        assert!(!chain.is_whole);
    }
}

#[test]
fn bytes_that_make_no_sense_end_the_table() {
    let whole = [verdict(-1), verdict(-2), head("ERROR")].concat();
    for end in 0..whole.len() {
        let mut table = table(&[whole[..end].to_vec()]);
        table.hooks[1] = Some(1 << 20);
        for family in Family::ALL {
            let reader = Reader::new(family, table.clone());
            assert!(!reader.is_whole(), "{end}");
            let _ = (reader.chain("PREROUTING", 9), reader.chain("INPUT", 9));
        }
    }
    for field in [V4.target, V4.next] {
        for value in [0u16, 1, 111, 113, u16::MAX] {
            let mut bytes = whole.clone();
            put(&mut bytes, field, &value.to_ne_bytes());
            let reader = Reader::new(Family::V4, table(&[bytes]));
            let _ = (reader.is_whole(), reader.chain("PREROUTING", 9));
        }
    }
}

#[test]
fn entries_are_laid_out_as_the_machine_s_c_does() {
    let machine = |long_alignment, pointer| Machine {
        long_alignment,
        pointer,
    };
    // x86_64 and aarch64, arm, i386.
    for (machine, lengths) in [
        (machine(8, 8), (112, 168)),
        (machine(8, 4), (112, 168)),
        (machine(4, 4), (112, 164)),
    ] {
        assert_eq!((v4(machine).length, v6(machine).length), lengths);
    }
}

#[test]
fn what_goes_leaves_jumps_hooks_and_counters_where_they_belong() {
    // PREROUTING: jumps to Y and X, a rule without a target, its policy. X: a drop. Y: a jump to X.
    let (rule, head_size) = (152, 176);
    let (x, y) = (4 * rule + head_size, 6 * rule + 2 * head_size);
    let mut table = table(&[
        verdict(y),
        verdict(x),
        verdict(3 * rule),
        verdict(-2),
        head("X"),
        verdict(-1),
        verdict(RETURN),
        head("Y"),
        verdict(x),
        verdict(RETURN),
        head("ERROR"),
    ]);
    table.policies[0] = usize::try_from(3 * rule).unwrap();
    let reader = Reader::new(Family::V4, table);
    let doomed = |chains: &[&str]| edit::Doomed {
        chains: chains.iter().map(|name| (*name).to_owned()).collect(),
        ..edit::Doomed::default()
    };
    let exchanged = |reader: &Reader, chains: &[&str], former: &chains::Former| {
        let doomed = doomed(chains);
        let mut all = chains::Chains::of(reader).unwrap();
        let gone = all.take(&doomed.chains, &reader.places(&doomed));
        let (table, origins) = all.put(former).and_then(|()| all.table())?;
        assert_eq!(table.count, origins.len());
        Ok::<_, String>((Reader::new(Family::V4, table), origins, gone))
    };
    let nothing = chains::Former::default();
    let without = |chains: &[&str]| exchanged(&reader, chains, &nothing).unwrap();
    let (left, origins, _) = without(&["X"]);
    assert!(left.is_whole());
    assert_eq!(left.chain("PREROUTING", 9).unwrap().rules, ["-j Y", ""]);
    assert_eq!(left.chain("Y", 9).unwrap().rules, [""; 0]);
    assert_eq!((left.chain("X", 9), left.table.policies[0]), (None, 304));
    assert_eq!(origins, [0, 2, 3, 7, 9, 10].map(Some));
    let (left, _, _) = without(&["Y"]);
    assert_eq!(left.chain("PREROUTING", 9).unwrap().rules, ["-j X", ""]);
    assert_eq!(left.chain("X", 9).unwrap().rules, ["-j DROP"]);
    let (left, origins, _) = without(&["Z"]);
    assert_eq!((left.table, origins.len()), (reader.table.clone(), 11));
    // What was taken out comes back where it was, once, and to the chains that it was of.
    for some in [&["X"][..], &["Y"], &["X", "Y"]] {
        let (left, _, former) = without(some);
        let (back, _, _) = exchanged(&left, &[], &former).unwrap();
        assert_eq!(back.table, reader.table, "{some:?}");
        let (same, _, _) = exchanged(&reader, some, &former).unwrap();
        assert_eq!(same.table, reader.table, "{some:?}");
        assert_eq!(
            exchanged(&reader, &[], &former).err(),
            Some(some[0].to_owned())
        );
    }
    let (left, _, of_x) = without(&["X"]);
    let (left, _, _) = exchanged(&left, &["Y"], &nothing).unwrap();
    assert_eq!(exchanged(&left, &[], &of_x).err(), Some("Y".to_owned()));
}
