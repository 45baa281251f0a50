//! Reads a tar archive (POSIX.1-1988 ustar, and GNU's with short names): header blocks of 512 bytes.

/// One member of an archive.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub mode: u64,
    pub uid: u64,
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// `0` for a file, `5` for a directory.
    pub kind: char,
    pub bytes: Vec<u8>,
}

pub fn members(mut archive: &[u8]) -> Vec<Member> {
    let mut members = Vec::new();
    while archive.len() >= 512 && archive[0] != 0 {
        let (header, rest) = archive.split_at(512);
        let size = usize::try_from(octal(&header[124..136])).unwrap();
        members.push(Member {
            name: text(&header[..100]),
            // Some writers add the file's type, which `kind` tells.
            mode: octal(&header[100..108]) & 0o7777,
            uid: octal(&header[108..116]),
            gid: octal(&header[116..124]),
            mtime: octal(&header[136..148]),
            kind: char::from(header[156]),
            bytes: rest[..size].to_vec(),
        });
        archive = &rest[size.next_multiple_of(512)..];
    }
    members
}

/// Everything belongs to root, nobody else may write, and all times are the same.
pub fn assert_plain(members: &[Member]) {
    for member in members {
        let Member {
            name,
            mode,
            uid,
            gid,
            mtime,
            ..
        } = member;
        assert_eq!((*uid, *gid), (0, 0), "{name}");
        assert_eq!(mode & 0o7022, 0, "{name}: {mode:o}");
        assert_eq!(*mtime, members[0].mtime, "{name}");
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8(field[..end].to_vec()).unwrap()
}

fn octal(field: &[u8]) -> u64 {
    let digits = text(field);
    u64::from_str_radix(digits.trim(), 8).unwrap()
}
