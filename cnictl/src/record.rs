//! What the last `reconcile`, or the last repair of `follow`, found and did, for `metrics`: a small file
//! for each plugin.
//!
//! ```text
//! <state dir>/reconcile-<plugin>.json
//! {"finished": <seconds since 1970>, "milliseconds": …, "states": {"ok": 3, "repaired": 1},
//!  "repairs": <since the node started>}
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::Error;
use common::error::{Code, Context};
use common::sys::file::{self, Content, Draft};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::note;
use crate::plugins::Plugin;
use crate::repair::Outcome;

/// Where the files are; it goes when the node restarts.
pub const DEFAULT_DIR: &str = "/run/cni/cnictl";

/// What was found and done with one plugin's part of attachments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it ended, in seconds since 1970.
    pub finished: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// How many attachments were found in each state.
    pub states: BTreeMap<String, u64>,
    /// How many were repaired since the node started.
    pub repairs: u64,
}

impl Record {
    /// What became of attachments now.
    pub fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>, took: Duration) -> Record {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut states = BTreeMap::new();
        for outcome in outcomes {
            *states.entry(outcome.word().to_owned()).or_default() += 1;
        }
        Record {
            finished: now.map_or(0, |since| since.as_secs()),
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            repairs: states.get("repaired").copied().unwrap_or_default(),
            states,
        }
    }

    /// Writes it in the place of the last one, and adds that one's repairs.
    ///
    /// # Errors
    /// Code 5 with the path.
    fn write(&self, dir: &Path, plugin: Plugin) -> Result<(), Error> {
        // What is invalid is overwritten.
        let before = Record::read(dir, plugin).ok().flatten();
        let repairs = before.map_or(0, |before| before.repairs) + self.repairs;
        let record = Record {
            repairs,
            ..self.clone()
        };
        let text = json!(record).to_string();
        let draft = format!(".{}.{}", name(plugin), std::process::id());
        Draft::write(dir, &draft, text.as_bytes())?.replace(&name(plugin))
    }

    /// Writes it. What it is about is done all the same where that fails.
    pub fn keep(&self, dir: &Path, plugin: Plugin) {
        if let Err(error) = self.write(dir, plugin) {
            note(&format!("cnictl: warning: {error}"));
        }
    }

    /// The last one; `None` where there was none since the node started.
    ///
    /// # Errors
    /// Code 5 or 6 with the path.
    pub fn read(dir: &Path, plugin: Plugin) -> Result<Option<Record>, Error> {
        let path = dir.join(name(plugin));
        let bytes = match file::read_state(&path)? {
            Content::Absent => return is_directory_or_absent(dir).map(|()| None),
            Content::NoFile(what) => return Err(file::not_read(&path, what)),
            Content::Bytes(bytes) => bytes,
        };
        let tried = || format!("understand {}", path.display());
        let record = serde_json::from_slice(&bytes).context(Code::Decoding, tried)?;
        Ok(Some(record))
    }
}

/// What is below a file is absent, too, and would be so for ever.
fn is_directory_or_absent(dir: &Path) -> Result<(), Error> {
    let tried = || format!("read the state directory {}", dir.display());
    match fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            let error = Error::new(Code::Io, tried());
            Err(error.with_details("it is not a directory; --state-dir names another"))
        }
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause).context(Code::Io, tried),
    }
}

fn name(plugin: Plugin) -> String {
    format!("reconcile-{}.json", plugin.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::error::Error;

    #[test]
    fn a_record_is_read_back_and_repairs_add_up() {
        let dir = std::env::temp_dir().join(format!("record-{}", std::process::id()));
        assert_eq!(Record::read(&dir, Plugin::Tuning), Ok(None));
        let failed = Outcome::Failed(Error::new(Code::Io, "x"));
        let repaired = Outcome::Repaired(crate::repair::Difference::default());
        let outcomes = [&repaired, &failed, &repaired];
        let record = Record::of(outcomes.into_iter(), Duration::from_millis(7));
        for repairs in [2, 4] {
            record.write(&dir, Plugin::Tuning).unwrap();
            let read = Record::read(&dir, Plugin::Tuning).unwrap().unwrap();
            assert_eq!((read.repairs, read.states["failed"]), (repairs, 1));
            assert_eq!((read.states, read.milliseconds), (record.states.clone(), 7));
        }
        std::fs::write(dir.join(name(Plugin::Tuning)), "{}").unwrap();
        assert!(Record::read(&dir, Plugin::Tuning).is_err());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_no_absence() {
        let file = std::env::temp_dir().join(format!("record-file-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        for dir in [file.clone(), file.join("below")] {
            let error = Record::read(&dir, Plugin::Tuning).unwrap_err();
            assert!(error.to_string().contains("directory"), "{error}");
        }
        std::fs::remove_file(file).unwrap();
    }
}
