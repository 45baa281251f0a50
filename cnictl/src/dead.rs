//! The dead of a node: who they are, and their removal, one by one.
//!
//! No attachment is removed only because a list of valid ones lacks it: that list may be older than the attachment.
//! Each of the dead is looked at again right before its own DEL, and after all of them once more.

pub mod kubelet;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use common::attachment::{Attachment, ifname_fault, is_valid_name};
use common::cache::{Cache, Entry, Index};
use common::error::{Code, Error};
use common::json::{Fields, Json};
use common::request::Request;
use common::{Operate, Plugin};

use kubelet::Pods;

use crate::plugins::remove_all;
use crate::repair::{Outcome, put_right};
use crate::requests::{request_of, requests};

/// The interface of state that does not name one.
const USUAL_IFNAME: &str = "eth0";

/// What becomes of an attachment that the cache does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet: it would be removed.
    Dead,
    /// It was removed.
    Removed,
    /// It stays: why.
    Left(&'static str),
    /// It was removed while the runtime added it again, and restored.
    Restored,
    /// Another program removed it meanwhile.
    Gone,
    /// It was to be removed and is not, as far as is known: why.
    Failed(Error),
}

impl Fate {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Fate::Dead => "dead",
            Fate::Removed => "removed",
            Fate::Left(_) => "left",
            Fate::Restored => "restored",
            Fate::Gone => "gone",
            Fate::Failed(_) => "failed",
        }
    }

    /// The rest.
    pub fn details(&self) -> String {
        match self {
            Fate::Dead | Fate::Removed => String::new(),
            Fate::Left(why) => (*why).to_owned(),
            Fate::Restored => "the cache has it by now, so it was restored".into(),
            Fate::Gone => "something else removed it".into(),
            Fate::Failed(error) => error.to_string(),
        }
    }
}

/// What decides which attachments are valid.
#[derive(Debug, Clone, Copy)]
pub struct Living<'a> {
    /// libcni's cache.
    pub cache_dir: &'a Path,
    /// The kubelet's pods: what the cache has of other Kubernetes pods is not valid.
    pub pods: Option<&'a Pods>,
}

/// An attachment that the cache does not have, or that is of a pod that the kubelet does not have.
pub struct Dead {
    /// As the node's state names it.
    pub attachment: Attachment,
    /// What becomes of it.
    pub fate: Fate,
}

/// The cache and the owners of the node's state, both read whole.
struct Look<'a> {
    living: Living<'a>,
    names: BTreeSet<String>,
    cache: Cache,
    /// Those of the cache whose pods are gone.
    gone: BTreeSet<Attachment>,
    owners: BTreeSet<Attachment>,
}

impl<'a> Look<'a> {
    fn take<P: Operate>(living: Living<'a>) -> Result<Look<'a>, Error> {
        // The names first: a file that comes between the two is a reason to look again.
        let names = names(living.cache_dir)?;
        let cache = sound_cache(living.cache_dir)?;
        let owners = P::owners(&cache)?.into_iter().collect();
        let mut gone = BTreeSet::new();
        for entry in &cache.entries {
            if living.has_lost(entry)? {
                gone.insert(entry.attachment.clone());
            }
        }
        Ok(Look {
            living,
            names,
            cache,
            gone,
            owners,
        })
    }

    /// Looks again where attachments have come or gone: libcni gives each a file of its own.
    fn renew<P: Operate>(&mut self) -> Result<(), Error> {
        if names(self.living.cache_dir)? != self.names {
            *self = Look::take::<P>(self.living)?;
        }
        Ok(())
    }

    /// Whether the runtime has the attachment, or may have it: an older libcni writes files that say
    /// their owner by their names only.
    fn may_live(&self, index: &Index<'_>, shown: &Attachment) -> bool {
        let lives = |entry: &&Entry| !self.gone.contains(&entry.attachment);
        if index.find(shown).iter().any(lives) {
            return true;
        }
        if shown.network.is_empty() {
            return false;
        }
        let begin = file_name(&Attachment {
            ifname: String::new(),
            ..shown.clone()
        });
        let gone: BTreeSet<String> = self.gone.iter().map(file_name).collect();
        let mut names = self.names.iter().filter(|file| !gone.contains(*file));
        match shown.ifname.is_empty() {
            true => names.any(|file| file.starts_with(&begin)),
            false => names.any(|file| *file == file_name(shown)),
        }
    }
}

impl Living<'_> {
    fn has_lost(&self, entry: &Entry) -> Result<bool, Error> {
        self.pods.map_or(Ok(false), |pods| pods.is_gone(entry))
    }
}

/// The name of an attachment's file in the cache.
fn file_name(attachment: &Attachment) -> String {
    let Attachment {
        network,
        container,
        ifname,
    } = attachment;
    format!("{network}-{container}-{ifname}")
}

fn names(dir: &Path) -> Result<BTreeSet<String>, Error> {
    let names = Cache::names(dir)?.ok_or_else(|| no_cache(dir))?;
    let text = |name: OsString| name.to_string_lossy().into_owned();
    Ok(names.into_iter().map(text).collect())
}

fn no_cache(dir: &Path) -> Error {
    let msg = format!("there is no cache in {}/results", dir.display());
    Error::new(Code::Io, msg).with_details("without it nothing can be recognised as valid")
}

/// The cache, if it says what is valid. An unreadable file may be that of a valid attachment.
///
/// # Errors
/// Code 5 where there is no cache, or something of it cannot be read.
pub fn sound_cache(dir: &Path) -> Result<Cache, Error> {
    let cache = Cache::read(dir)?;
    if !cache.exists {
        return Err(no_cache(dir));
    }
    match Error::all(cache.faults.clone()) {
        Some(error) => Err(error),
        None => Ok(cache),
    }
}

/// The attachments that the node's state names and the cache does not have.
///
/// # Errors
/// What could not be read, of the cache or of the node's state.
pub fn find<P: Operate>(living: Living<'_>, named: &[String]) -> Result<Vec<Dead>, Error> {
    let look = Look::take::<P>(living)?;
    let networks = look.cache.networks();
    let fate = |owner: &Attachment| {
        if !is_whole(owner) {
            Fate::Left("the node's state does not record an owner")
        } else if networks.contains(&owner.network.as_str()) || named.contains(&owner.network) {
            Fate::Dead
        } else {
            Fate::Left("the cache has no attachment of the network; name it with --network")
        }
    };
    let index = look.cache.index();
    let is_dead = |owner: &&Attachment| !look.may_live(&index, owner);
    let owners = look.owners.iter().filter(is_dead);
    let dead = owners.map(|owner| Dead {
        fate: fate(owner),
        attachment: owner.clone(),
    });
    Ok(dead.collect())
}

/// Whether the names are those of an attachment, and not the beginnings of longer ones.
fn is_whole(owner: &Attachment) -> bool {
    let is_name = |name: &str| is_valid_name(name) && !name.ends_with("..");
    is_name(&owner.network)
        && is_name(&owner.container)
        && (owner.ifname.is_empty() || ifname_fault(&owner.ifname).is_none())
        && !owner.ifname.starts_with('~')
}

/// Removes the dead, each by its own DEL, if it is still there and the runtime still does not have it.
///
/// # Errors
/// When the first look fails, with nothing done. A later failure is reported with its attachment.
pub fn remove<P: Operate>(living: Living<'_>, dead: &mut [Dead]) -> Result<(), Error> {
    let mut look = Look::take::<P>(living)?;
    for one in dead.iter_mut().filter(|one| one.fate == Fate::Dead) {
        one.fate = match look.renew::<P>() {
            Ok(()) => remove_one::<P>(&look, &one.attachment),
            Err(error) => Fate::Failed(error),
        };
    }
    let removed = |one: &&mut Dead| one.fate == Fate::Removed;
    if !dead.iter_mut().any(|one| removed(&one)) {
        return Ok(());
    }
    let after = P::owners(&look.cache);
    for one in dead.iter_mut().filter(removed) {
        one.fate = match &after {
            Ok(owners) if !owners.contains(&one.attachment) => Fate::Removed,
            Ok(_) => Fate::Failed(still_there(&one.attachment)),
            Err(error) => Fate::Failed(error.clone()),
        };
    }
    Ok(())
}

/// Restores one that was removed, where the runtime's cache has it by now: its ADD was under way, and
/// all that the cache says of that comes after the last plugin's.
pub fn restore<P: Operate>(dir: &Path, dead: &mut Dead) {
    if dead.fate != Fate::Removed {
        return;
    }
    let cache = match Cache::read(dir) {
        Ok(cache) => cache,
        Err(error) => {
            dead.fate = Fate::Failed(error);
            return;
        }
    };
    for entry in cache.index().find(&dead.attachment) {
        dead.fate = match put_right::<P>(entry) {
            Some(Outcome::Failed(error)) => Fate::Failed(error),
            // The runtime's cache has it, and there is nothing to put it into.
            Some(Outcome::Gone) | None => continue,
            Some(_) => Fate::Restored,
        };
    }
}

fn still_there(attachment: &Attachment) -> Error {
    let msg = format!("DEL of {attachment} left something");
    Error::new(Code::System, msg).with_details("it was not found by the network's configuration")
}

fn remove_one<P: Operate>(look: &Look<'_>, attachment: &Attachment) -> Fate {
    if look.may_live(&look.cache.index(), attachment) {
        return Fate::Left("the cache has it by now");
    }
    if !look.owners.contains(attachment) {
        return Fate::Gone;
    }
    let requests = del_requests::<P>(&look.cache, attachment);
    match requests.and_then(|requests| remove_all::<P>(&requests)) {
        Ok(()) => Fate::Removed,
        Err(error) => Fate::Failed(error),
    }
}

/// The requests of DEL: without a configuration, and with each that the cache has of the network.
fn del_requests<P: Plugin>(cache: &Cache, owner: &Attachment) -> Result<Vec<Request>, Error> {
    let bare: Fields = vec![
        ("cniVersion".into(), "1.1.0".into()),
        ("name".into(), owner.network.as_str().into()),
        ("type".into(), P::NAME.into()),
    ];
    let mut confs = vec![bare];
    let entries = cache.entries.iter();
    for entry in entries.filter(|entry| entry.attachment.network == owner.network) {
        for request in requests::<P>(entry)? {
            let own = request
                .conf
                .object()
                .unknown(&["prevResult", "runtimeConfig"]);
            if !confs.contains(&own) {
                confs.push(own);
            }
        }
    }
    let confs = confs.into_iter();
    confs.map(|conf| del_request::<P>(conf, owner)).collect()
}

fn del_request<P: Plugin>(conf: Fields, owner: &Attachment) -> Result<Request, Error> {
    let ifname = match owner.ifname.as_str() {
        "" => USUAL_IFNAME,
        ifname => ifname,
    };
    request_of(
        Json::Object(conf).to_string().as_bytes(),
        P::VERSIONS,
        &[
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", &owner.container),
            ("CNI_IFNAME", ifname),
            ("CNI_PATH", "/"),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_those_of_an_attachment() {
        let is_whole = |network: &str, container: &str, ifname: &str| {
            is_whole(&Attachment {
                network: network.into(),
                container: container.into(),
                ifname: ifname.into(),
            })
        };
        assert!(is_whole("n", "c", "eth0") && is_whole("n", "c", ""));
        let cut = [
            ("", "c", ""),
            ("n", "", ""),
            ("n~0123", "c", "eth0"),
            ("n", "c~0123", "eth0"),
            ("n", "c", "~0123"),
            ("n", "c..", ""),
            ("n", "c... 0123", ""),
        ];
        for (network, container, ifname) in cut {
            assert!(
                !is_whole(network, container, ifname),
                "{network} {container} {ifname}"
            );
        }
    }
}
