//! The file that holds an attachment's originals: `<dataDir>/<containerID>_<ifname>.json`.
//!
//! Name and the keys `mac`, `promisc`, `mtu`, `allmulti` and `txQLen` are the reference's, so that
//! either can restore what the other saved. Ours are `network`, `netns`, `sysctl` and `shown`,
//! which the reference passes over.

mod format;

use std::path::{Path, PathBuf};

use common::sys::file;
use common::{Attachment, Error};

use crate::originals::Originals;
use crate::sysctl::Name;

/// The place of one attachment's backup.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    name: String,
}

/// The content of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backup {
    /// The network whose plugin wrote it; the reference does not say.
    pub network: Option<String>,
    /// The container's namespace, as [`crate::kernel::Container::netns_id`] names it; the reference
    /// does not say.
    pub netns: Option<String>,
    /// What to put back.
    pub originals: Originals,
    /// How the kernel shows what ADD wrote, where that is not what was written.
    pub shown: Vec<Shown>,
}

/// A sysctl that the kernel shows in its own words: `8080,8081` in `ip_local_reserved_ports` reads
/// `8080-8081`. CHECK takes either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The sysctl.
    pub name: Name,
    /// What ADD wrote.
    pub written: String,
    /// What it read after that.
    pub reads: String,
}

impl Store {
    /// The place for an attachment. Nothing is touched yet.
    pub fn new(dir: &Path, attachment: &Attachment) -> Store {
        Store {
            dir: dir.to_owned(),
            name: file_name(&attachment.container, &attachment.ifname),
        }
    }

    /// The file's path.
    pub fn path(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// The file's bytes, if there is one.
    ///
    /// # Errors
    /// Code 5 when it cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, Error> {
        file::read(&self.path())
    }

    /// Writes the file whole or not at all. No container outlives a crash of the machine, and neither
    /// need its backup.
    ///
    /// # Errors
    /// Code 5 when it cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        file::write_volatile(&self.dir, &self.name, bytes)
    }

    /// Removes the file and what a killed [`Store::write`] left. Nothing there is success.
    ///
    /// # Errors
    /// Code 5 when it cannot be removed.
    pub fn remove(&self) -> Result<(), Error> {
        file::remove_whole(&self.dir, &self.name)
    }
}

/// The name of an attachment's file in the directory of backups.
pub fn file_name(container: &str, ifname: &str) -> String {
    format!("{container}_{ifname}.json")
}
