//! The house is as docs/architecture.md draws it.

use super::markdown::{document, documents, root};

/// The steps that every backend of portmap has, each in a file of its name.
const STEPS: [&str; 6] = ["observe", "diff", "apply", "remove", "list", "status"];

/// The names of files in a cell of a table.
fn files(cell: &str) -> impl Iterator<Item = &str> {
    let spans = cell.split('`').skip(1).step_by(2);
    spans.filter(|span| span.ends_with(".rs"))
}

#[test]
fn the_files_of_every_step_are_there() {
    let document = document("docs/architecture.md");
    let rows = document.rows(["step", "tuning", "portmap", "bandwidth"]);
    assert!(rows.len() > 5, "{rows:?}");
    for [step, tuning, portmap, bandwidth] in rows {
        for (plugin, cell) in [
            ("tuning", tuning),
            ("portmap", portmap),
            ("bandwidth", bandwidth),
        ] {
            assert!(files(&cell).count() > 0, "{step}: {plugin} has no file");
            for file in files(&cell) {
                let path = format!("{plugin}/src/{file}");
                assert!(root().join(&path).exists(), "{step}: there is no {path}");
            }
        }
    }
}

#[test]
fn both_backends_of_portmap_have_a_file_for_every_step_and_the_table_names_it() {
    let document = document("docs/architecture.md");
    let rows = document.rows(["step", "portmap"]);
    let named: Vec<String> = rows
        .iter()
        .flat_map(|[_, cell]| files(cell).map(str::to_owned))
        .collect();
    for step in STEPS {
        for backend in ["iptables", "nftables"] {
            let file = format!("{backend}/{step}.rs");
            let is_there = root().join("portmap/src").join(&file).exists();
            assert!(is_there && named.contains(&file), "{file}");
        }
    }
}

/// What docs say is somewhere is there: `CRATE/src/FILE.rs`.
#[test]
fn sources_that_are_named_exist() {
    let mut missing = Vec::new();
    for document in documents().iter().filter(|one| one.path != "CHANGELOG.md") {
        let named = document.spans().into_iter();
        let named = named.filter(|span| span.contains("/src/") && span.ends_with(".rs"));
        let named = named.filter(|path| !path.contains(['*', '{', '…', ' ']));
        let gone = named.filter(|path| !root().join(path).exists());
        missing.extend(gone.map(|path| format!("{}: {path}", document.path)));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
