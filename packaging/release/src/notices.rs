//! The licence texts that must go with the binaries, of every crate whose code is in them.

use std::collections::BTreeMap;
use std::{fs, io};

use crate::crates::Crate;

const OPENING: &str = "\
The binaries of this release hold code of others. This file says whose, and under which terms.

The Rust standard library is under Apache-2.0 or MIT, whose texts follow. The C library musl is under
the MIT licence, too:

Copyright (c) 2005-2020 Rich Felker, et al.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the \"Software\"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense,
and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN
NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY,
WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
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
