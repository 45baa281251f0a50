//! Tests that are there are tests that run.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

/// A file that no `mod` names is left out without a word. rustc lists beside this program what it read.
#[test]
fn every_file_of_these_tests_is_compiled() {
    let read = std::env::current_exe().unwrap().with_extension("d");
    let read = fs::read_to_string(read).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let left_out: Vec<PathBuf> = sources(root)
        .into_iter()
        .filter(|path| {
            let path = path.strip_prefix(root).unwrap().display();
            !read.contains(&format!("tests/namespaces/{path}:"))
        })
        .collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}
