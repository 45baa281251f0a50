//! The file that holds an attachment's originals.
//!
//! Its name is the reference's, `<dataDir>/<containerID>_<ifname>.json`, and so are the keys `mac`,
//! `promisc`, `mtu`, `allmulti` and `txQLen`, so that either can restore what the other saved. `a_b` with
//! `c` and `a` with `b_c` share that name: who comes second gets a name of its own. Ours are the keys
//! that say whose the file is (`network`, `container`, `ifname`), `netns`, `sysctl` and `shown`; the
//! reference passes over them.

mod format;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use common::sys::file::{self, Content, Draft};
use common::{Attachment, Code, Error};

use crate::originals::Originals;
use crate::sysctl::Name;

/// The directory of backups, as one attachment sees it.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    owner: Attachment,
}

/// The place of an attachment's backup.
#[derive(Debug)]
pub struct Slot {
    /// Its name in the directory.
    name: String,
    /// The bytes and what they mean, where there is a file.
    saved: Option<Saved>,
}

/// A file of backups that was read.
#[derive(Debug)]
pub struct Saved {
    /// Its path.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they mean.
    pub backup: Backup,
    /// What is invalid in it.
    pub faults: Vec<String>,
}

/// The content of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backup {
    /// The owner; the reference does not name one.
    pub owner: Option<Attachment>,
    /// The container's namespace, as [`crate::observe::Container::netns_id`] names it; the reference
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

impl Shown {
    /// Whether ADD wrote this value and the kernel showed it so.
    pub fn is_of(&self, written: &str, reads: &str) -> bool {
        self.written == written && self.reads == reads
    }
}

impl Store {
    /// The backups of an attachment. Nothing is touched yet.
    pub fn new(dir: &Path, owner: &Attachment) -> Store {
        Store {
            dir: dir.to_owned(),
            owner: owner.clone(),
        }
    }

    /// Where ADD keeps the attachment's originals: in the file that it has already, else under the
    /// reference's name, unless that is another's.
    ///
    /// # Errors
    /// Code 5 when a file cannot be read.
    pub fn slot(&self) -> Result<Slot, Error> {
        let own = own_name(&self.owner);
        if let Some(saved) = self.own(&own)? {
            let saved = Some(saved);
            return Ok(Slot { name: own, saved });
        }
        let name = shared_name(&self.owner);
        match read(&self.dir.join(&name))? {
            Content::Absent if name.len() <= LONGEST => Ok(Slot { name, saved: None }),
            Content::Bytes(bytes) => {
                let saved = Some(Saved::new(self.dir.join(&name), bytes));
                let is_ours = saved.as_ref().is_some_and(|saved| self.is_adopted(saved));
                Ok(match is_ours {
                    true => Slot { name, saved },
                    false => Slot {
                        name: own,
                        saved: None,
                    },
                })
            }
            Content::Absent | Content::NoFile(_) => Ok(Slot {
                name: own,
                saved: None,
            }),
        }
    }

    /// Every backup of the attachment, and what could not be read. A file that names no owner is the
    /// reference's, and counts where the attachment has none of its own.
    pub fn all(&self) -> (Vec<Saved>, Vec<Error>) {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        match self.own(&own_name(&self.owner)) {
            Ok(saved) => all.extend(saved),
            Err(error) => errors.push(error),
        }
        let path = self.dir.join(shared_name(&self.owner));
        match read(&path) {
            Ok(Content::Bytes(bytes)) => {
                let saved = Saved::new(path, bytes);
                let is_ours = saved
                    .backup
                    .owner
                    .as_ref()
                    .map(|owner| *owner == self.owner);
                all.extend(is_ours.unwrap_or(all.is_empty()).then_some(saved));
            }
            // What is not a file is not a backup.
            Ok(Content::Absent | Content::NoFile(_)) => {}
            Err(error) => errors.push(error),
        }
        (all, errors)
    }

    /// The backup of this interface of this container on a network of another name.
    ///
    /// # Errors
    /// Code 5 when it cannot be read.
    pub fn of_another_network(&self) -> Result<Option<Saved>, Error> {
        let path = self.dir.join(shared_name(&self.owner));
        let Content::Bytes(bytes) = read(&path)? else {
            return Ok(None);
        };
        let saved = Saved::new(path, bytes);
        let is_same = |owner: &Attachment| {
            (&owner.container, &owner.ifname) == (&self.owner.container, &self.owner.ifname)
        };
        Ok(saved
            .backup
            .owner
            .as_ref()
            .is_some_and(is_same)
            .then_some(saved))
    }

    /// How the kernel showed what ADD wrote, where ADD found that worth a note.
    ///
    /// # Errors
    /// Code 5 with what could not be read.
    pub fn shown(&self) -> Result<Vec<Shown>, Error> {
        let (all, errors) = self.all();
        let shown = all.into_iter().flat_map(|saved| saved.backup.shown);
        Error::all(errors).map_or_else(|| Ok(shown.collect()), Err)
    }

    /// Removes what a killed ADD left half written. Nothing there is success.
    ///
    /// # Errors
    /// Code 5 when it cannot be removed.
    pub fn remove_draft(&self) -> Result<(), Error> {
        file::remove(&self.dir.join(self.draft()))
    }

    /// The file of the name that is this attachment's alone, unless something else is there.
    fn own(&self, name: &str) -> Result<Option<Saved>, Error> {
        let path = self.dir.join(name);
        let Content::Bytes(bytes) = read(&path)? else {
            return Ok(None);
        };
        let saved = Saved::new(path, bytes);
        let is_other = |owner: &Attachment| *owner != self.owner;
        Ok((!saved.backup.owner.as_ref().is_some_and(is_other)).then_some(saved))
    }

    /// Whether ADD continues in a file of the reference's name: it is this attachment's, or it names
    /// nobody, and nobody else can have that name.
    fn is_adopted(&self, saved: &Saved) -> bool {
        let Attachment {
            network: _,
            container,
            ifname,
        } = &self.owner;
        match &saved.backup.owner {
            Some(owner) => *owner == self.owner,
            None => !container.contains('_') && !ifname.contains('_'),
        }
    }

    fn draft(&self) -> String {
        format!(".{}{DRAFT}", own_name(&self.owner))
    }

    /// Writes a backup whole or not at all, and never over another's. No container outlives a crash of
    /// the machine, and neither need its backup.
    ///
    /// # Errors
    /// Code 5 when it cannot be written.
    pub fn write(&self, slot: &mut Slot, bytes: &[u8]) -> Result<(), Error> {
        let draft = || Draft::write(&self.dir, &self.draft(), bytes);
        if slot.saved.is_some() {
            draft()?.replace(&slot.name)?;
        } else if !draft()?.create(&slot.name)? {
            // Another took the name since it was looked at.
            slot.name = own_name(&self.owner);
            if !draft()?.create(&slot.name)? {
                return Err(taken(&self.path(slot)));
            }
        }
        slot.saved = Some(Saved::new(self.path(slot), bytes.to_owned()));
        Ok(())
    }

    /// A slot's path.
    pub fn path(&self, slot: &Slot) -> PathBuf {
        self.dir.join(&slot.name)
    }
}

impl Slot {
    /// The file that is there.
    pub fn saved(&self) -> Option<&Saved> {
        self.saved.as_ref()
    }
}

impl Saved {
    /// A file's bytes, understood as far as they make sense.
    pub fn new(path: PathBuf, bytes: Vec<u8>) -> Saved {
        let (backup, faults) = Backup::parse(&bytes);
        Saved {
            path,
            bytes,
            backup,
            faults,
        }
    }
}

/// The names in a directory of backups, in order. Where a file is in its place, or above it, there are
/// none.
///
/// # Errors
/// Code 5 with the path.
pub fn names(dir: &Path) -> Result<Vec<OsString>, Error> {
    match file::names(dir) {
        Err(_) if dir.ancestors().any(Path::is_file) => Ok(Vec::new()),
        names => Ok(names?.unwrap_or_default()),
    }
}

/// The longest name of a file in bytes (`NAME_MAX` in include/uapi/linux/limits.h).
const LONGEST: usize = 255;

/// The end of a draft's name.
pub const DRAFT: &str = ".tmp";

fn read(path: &Path) -> Result<Content, Error> {
    file::read_state(path)
}

fn taken(path: &Path) -> Error {
    Error::new(Code::Io, format!("write {}", path.display()))
        .with_details("something else has this name: remove it")
}

/// The reference's name for an attachment's file.
pub fn shared_name(owner: &Attachment) -> String {
    format!("{}_{}.json", owner.container, owner.ifname)
}

/// The name that is one attachment's alone. It has no `_`, so that it is never a shared one.
pub fn own_name(owner: &Attachment) -> String {
    format!("{}.json", owner.exact_name("tuning-", 39))
}

/// Whether a file of that name is where an attachment's backup is.
pub fn is_named_for(name: &str, owner: &Attachment) -> bool {
    name == shared_name(owner) || name == own_name(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_reference_s_or_one_s_own() {
        let named = |container: &str, ifname: &str| {
            let owner = Attachment {
                network: "n".into(),
                container: container.into(),
                ifname: ifname.into(),
            };
            (shared_name(&owner), own_name(&owner))
        };
        let (a, b) = (named("a_b", "c"), named("a", "b_c"));
        assert_eq!((a.0.as_str(), &a.0), ("a_b_c.json", &b.0));
        assert!(a.1 != b.1 && !a.1.contains('_') && a.1.len() == 44);
    }
}
