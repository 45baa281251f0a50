//! The cgroup that the containers of one machine are in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox::wait_until;

/// Where cgroups are mounted: one hierarchy, or a directory for each of several (`cgroups(7)`).
const ROOT: &str = "/sys/fs/cgroup";

/// How all names begin; the process that gave it follows, and a number.
const PREFIX: &str = "cni-runtimes-";

/// A name for a cgroup, unique on the machine. The runtimes make it; Drop removes it, in all hierarchies.
#[derive(Debug)]
pub(crate) struct Cgroup {
    name: String,
}

impl Cgroup {
    /// Also removes what an earlier process left that was killed.
    pub(crate) fn new() -> Self {
        for directory in find(is_of_the_dead) {
            // Another test may be at it too.
            let _ = remove(&directory);
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", process::id());
        Self { name }
    }

    /// As runtimes want it: from the root of the hierarchy.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A cgroup can be removed when its last process is gone, and they have just been killed.
        let own = |name: &str| name == self.name;
        let gone = || find(own).iter().all(|directory| remove(directory).is_ok());
        wait_until(Duration::from_secs(20), gone);
    }
}

/// Removes a cgroup and those below it. The files in it are not ours to remove.
fn remove(cgroup: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup)
}

fn is_of_the_dead(name: &str) -> bool {
    let process = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next());
    process.is_some_and(|process| !Path::new("/proc").join(process).exists())
}

/// The cgroups at the root of a hierarchy with such a name.
fn find(wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let inside = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut found = inside(Path::new(ROOT));
    let deeper: Vec<_> = found
        .iter()
        .flat_map(|directory| inside(directory))
        .collect();
    found.extend(deeper);
    found.retain(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(&wanted)
    });
    found
}
