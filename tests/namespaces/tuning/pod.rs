//! A pod to tune: a host, a container with `eth0`, and a directory of backups of its own.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::plugin::CONTAINER_ID;
use sandbox::snapshot::Link;
use sandbox::{Snapshot, Topology};
use serde_json::json;

pub use crate::answer::{error, succeeds};
use crate::attached::Attached;

/// Debian's build of the reference, release 1.1.1.
pub const REFERENCE: &str = "/usr/lib/cni/tuning";

/// Our plugin.
pub const OURS: &str = "tuning";

/// A directory of one test, removed by Drop.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tuning-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Pod {
    attached: Attached,
    pub scratch: Scratch,
}

impl Deref for Pod {
    type Target = Attached;

    fn deref(&self) -> &Attached {
        &self.attached
    }
}

impl DerefMut for Pod {
    fn deref_mut(&mut self) -> &mut Attached {
        &mut self.attached
    }
}

impl Pod {
    pub fn new() -> Pod {
        Pod::of(OURS)
    }

    /// A pod tuned by the plugin of that name or path.
    pub fn of(plugin: &'static str) -> Pod {
        let scratch = Scratch::new();
        let base = json!({"type": "tuning", "dataDir": scratch.data_dir()});
        Pod {
            attached: Attached::new(plugin, &Topology::new(), base),
            scratch,
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.scratch.data_dir()
    }

    /// The backup of the container's interface.
    pub fn backup(&self) -> PathBuf {
        self.data_dir().join(format!("{CONTAINER_ID}_eth0.json"))
    }

    /// All that tuning could change, read by other means than ours.
    pub fn state(&self) -> Snapshot {
        Snapshot::take_settings(self.container()).unwrap()
    }

    /// What `ip` says of `eth0`.
    pub fn link(&self) -> Option<Link> {
        let links = Snapshot::take_links(self.container()).unwrap();
        links.get("eth0").cloned()
    }

    pub fn ip<const N: usize>(&self, line: [&str; N]) {
        let mut whole = vec!["ip"];
        whole.extend(line);
        self.container().try_sh(&whole).unwrap();
    }

    pub fn sysctl(&self, key: &str) -> String {
        self.container().sysctl(key).unwrap()
    }

    pub fn set_sysctl(&self, key: &str, value: &str) {
        self.container().set_sysctl(key, value).unwrap();
    }

    /// The names of the files in the directory of backups.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data_dir()) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}
