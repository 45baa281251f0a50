//! What kind of program a file is: elf(5), 64 bit, little endian.

/// Asserts a program for this machine that needs no loader and no library, tells no path of the
/// machine that built it and is position-independent, where Rust can make that static.
pub fn assert_static(name: &str, bytes: &[u8]) {
    const DYN: u16 = 3;
    const INTERP: u32 = 3;
    assert_eq!(&bytes[..5], b"\x7fELF\x02", "{name}");
    if cfg!(target_arch = "x86_64") {
        assert_eq!(half(bytes, 16), DYN, "{name}: static-pie");
    }
    let machine = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    assert_eq!(half(bytes, 18), machine, "{name}");
    let (start, size) = (long(bytes, 32), usize::from(half(bytes, 54)));
    for index in 0..usize::from(half(bytes, 56)) {
        let at = start + index * size;
        let kind = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_ne!(kind, INTERP, "{name} needs a loader");
    }
    for tell_tale in [env!("CARGO_MANIFEST_DIR"), ".cargo/registry"] {
        let tell_tale = tell_tale.trim_end_matches("/packaging/release").as_bytes();
        let found = bytes.windows(tell_tale.len()).any(|w| w == tell_tale);
        assert!(
            !found,
            "{name} has {:?}",
            String::from_utf8_lossy(tell_tale)
        );
    }
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> usize {
    let value = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    usize::try_from(value).unwrap()
}
