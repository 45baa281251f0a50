//! STATUS: whether ADD could work on this node.

use std::path::Path;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use common::operate::Part;
use common::sys::ethtool::Ethtool;
use common::sys::file::{self, Draft};
use common::sys::netns;
use common::{Code, Context, Error, Request};

use crate::allowlist;
use crate::backup::DRAFT;
use crate::config::{Config, Setting};
use crate::observe::{self, Reading};
use crate::offload::Wish;
use crate::sysctl::Name;

/// The interface that every network namespace has. It has the sysctls that others have.
const LOOPBACK: &str = "lo";
/// Its index in each of them.
const LOOPBACK_INDEX: u32 = 1;

/// Looks for everything that would make every ADD of this configuration fail.
///
/// # Errors
/// Code 50 with what is in the way; the configuration's own mistakes as ADD reports them.
pub fn status(request: &Request) -> Result<(), Error> {
    let config = Config::parse(request)?;
    let mut reasons = Vec::new();
    reasons.extend(allowlist_fault(&config).map(|error| error.to_string()));
    if let Err(error) = try_backup(&config.data_dir) {
        let dir = config.data_dir.display();
        reasons.push(format!("cannot keep backups in {dir}: {error}"));
    }
    match unfit(&config.sysctls) {
        Ok(unfit) => reasons.extend(unfit),
        Err(error) => reasons.push(error.to_string()),
    }
    match unknown(&config.offloads) {
        Ok(names) => reasons.extend(
            names
                .iter()
                .map(|name| format!("this kernel has no offload {name}")),
        ),
        Err(error) => reasons.push(error.to_string()),
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(
        Error::new(Code::NotAvailable, "tuning cannot serve ADD on this node")
            .with_details(reasons.join("; ")),
    )
}

fn allowlist_fault(config: &Config) -> Option<Error> {
    allowlist::outlook(config).err()
}

/// Tries offloads in the calling thread's namespace.
pub fn parts() -> Vec<Part> {
    let features = Ethtool::open().and_then(|mut ethtool| {
        let features = ethtool.features(LOOPBACK_INDEX);
        features.context(Code::System, || format!("read the offloads of {LOOPBACK}"))
    });
    vec![Part {
        name: "ethtool over netlink".to_owned(),
        purpose: "tuning cannot change offloads",
        fault: features.err().map(|error| error.to_string()),
    }]
}

/// Writes a backup of nobody, under a name that no other STATUS has. GC removes what is left of it
/// should this process be killed.
fn try_backup(dir: &Path) -> Result<(), Error> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = time.map_or(0, |time| time.as_nanos());
    let name = format!(".status-{}-{time}{DRAFT}", process::id());
    let _draft = Draft::write(dir, &name, b"probe")?;
    file::remove(&dir.join(name))
}

/// The offloads, as written, that no interface on this node has.
fn unknown(wishes: &[Wish]) -> Result<Vec<&str>, Error> {
    if wishes.is_empty() {
        return Ok(Vec::new());
    }
    let features = netns::in_a_new_one(|| {
        let features = Ethtool::open()?.features(LOOPBACK_INDEX);
        features.context(Code::System, || format!("read the offloads of {LOOPBACK}"))
    })?;
    let unknown = wishes.iter().filter(|wish| !wish.is_known(&features));
    Ok(unknown.map(|wish| wish.written.as_str()).collect())
}

/// What is wrong with the sysctls that no container on this node can have: some are not there at all,
/// others are the first namespace's alone, or can only be set there. A new namespace shows it.
fn unfit(settings: &[Setting]) -> Result<Vec<String>, Error> {
    let of = |setting: &Setting| Some((setting.written.clone(), setting.name.of(LOOPBACK)?));
    let names: Vec<(String, Name)> = settings.iter().filter_map(of).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    netns::in_a_new_one(move || {
        let mut unfit = Vec::new();
        for (written, name) in names {
            let what = match observe::read(&name)? {
                Reading::Missing => "does not exist in a container's namespace",
                _ if observe::is_read_only(&name) => observe::READ_ONLY,
                _ => continue,
            };
            unfit.push(format!("sysctl {written} {what}"));
        }
        Ok(unfit)
    })
}
