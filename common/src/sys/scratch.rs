//! A directory for one test.

use std::fs;
use std::path::PathBuf;

/// The directory, removed by Drop.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A new one; no other test may have its name.
    pub fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("common-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
