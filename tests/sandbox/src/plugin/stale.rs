//! Whether a program was built from the sources as they are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

/// What was found out about each program: files do not change while tests run, and there are many.
static SEEN: LazyLock<Mutex<HashMap<PathBuf, Option<PathBuf>>>> = LazyLock::new(Mutex::default);

/// A source that changed after a program was built from it. cargo lists the sources beside the program,
/// in `NAME.d`; one that was installed has no such list.
pub fn source_newer_than(program: &Path) -> Option<PathBuf> {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.entry(program.to_owned())
        .or_insert_with(|| find(program))
        .clone()
}

fn find(program: &Path) -> Option<PathBuf> {
    let list = fs::read_to_string(program.with_extension("d")).ok()?;
    let built = changed(program)?;
    let sources = sources(&list).into_iter();
    sources
        .filter(|source| changed(source).is_none_or(|at| at > built))
        .min()
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// The files after the colon of a makefile's rule; blanks in names are escaped.
fn sources(rule: &str) -> Vec<PathBuf> {
    let rest = rule.split_once(": ").map_or("", |(_, rest)| rest);
    let marked = rest.replace("\\ ", "\0");
    let words = marked.split_whitespace();
    words
        .map(|word| PathBuf::from(word.replace('\0', " ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_what_follows_the_colon() {
        let expected = ["/a/b.rs", "/a b/c.rs"].map(PathBuf::from);
        assert_eq!(sources("/t/portmap: /a/b.rs /a\\ b/c.rs\n"), expected);
        assert!(sources("").is_empty());
    }

    #[test]
    fn a_program_older_than_a_source_of_its_is_found_out() {
        let dir = std::env::temp_dir().join(format!("stale-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (program, source) = (dir.join("program"), dir.join("source.rs"));
        let rule = format!("{}: {}", program.display(), source.display());
        fs::write(dir.join("program.d"), rule).unwrap();
        let write_at = |path: &Path, seconds| {
            let file = fs::File::create(path).unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.set_modified(at).unwrap();
        };
        write_at(&program, 10);
        write_at(&source, 9);
        assert_eq!(find(&program), None);
        write_at(&source, 11);
        assert_eq!(find(&program), Some(source.clone()));
        fs::remove_file(&source).unwrap();
        assert_eq!(find(&program), Some(source));
        fs::remove_dir_all(&dir).unwrap();
    }
}
