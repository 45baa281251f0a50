//! The licence texts that must go with the binaries, of every crate whose code is in them.

use std::collections::BTreeMap;
use std::{fs, io};

use crate::crates::Crate;

const OPENING: &str = "\
The binaries of this release hold code of others. This file says whose, and under which terms.

The GNU C Library is linked statically, under the GNU Lesser General Public License, version 2.1 or
later. Its source is that of the Debian package glibc; all else that is needed to link these binaries
with another version of it is their own source: change it on the machine that builds, and run
`make dist`. The Rust standard library is under Apache-2.0 or MIT, whose texts follow.
";

/// One document: each licence text once, under the crates that come with it.
///
/// # Errors
/// A crate whose sources cannot be read, or that comes without any licence text.
pub fn document(linked: &[&Crate]) -> io::Result<String> {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in linked.iter().filter(|one| one.source.is_some()) {
        for text in texts(one)? {
            let owner = format!("{} {} ({})", one.name, one.version, one.licence);
            owners.entry(text).or_default().push(owner);
        }
    }
    let mut sections: Vec<(Vec<String>, String)> =
        owners.into_iter().map(|(t, o)| (o, t)).collect();
    sections.sort();
    let mut document = OPENING.to_owned();
    let line = "-".repeat(80);
    for (owners, text) in sections {
        document += &format!(
            "\n{line}\n{}\n{line}\n\n{}\n",
            owners.join("\n"),
            text.trim_end()
        );
    }
    Ok(document)
}

fn texts(one: &Crate) -> io::Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(&one.dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        if ["LICENSE", "LICENCE", "COPYING", "NOTICE"]
            .iter()
            .any(|word| name.starts_with(word))
            && path.is_file()
        {
            texts.push(fs::read_to_string(&path)?.replace("\r\n", "\n"));
        }
    }
    if texts.is_empty() {
        // It is published under a licence all the same; the expression is what there is to tell.
        texts.push(format!(
            "Its archive holds no licence text; {} applies.",
            one.licence
        ));
    }
    Ok(texts)
}
