//! Pods that the kubelet has no more, though the runtime's cache still has their attachments: its runtime
//! never ran DEL, and does not run GC.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use common::cache::Entry;
use common::error::{Code, Context, Error};
use common::sys::netns::{Netns, OpenError};

/// The pair of `CNI_ARGS` with a pod's UID, which is the name of its directory.
const UID: &str = "K8S_POD_UID";

/// The kubelet's directory with one directory for each of its pods, those that end included.
#[derive(Debug, Clone)]
pub struct Pods(PathBuf);

impl Pods {
    /// Of a directory.
    ///
    /// # Errors
    /// Code 5 when it is none, or not the kubelet's: a node that has Kubernetes' pods has some there.
    pub fn of(dir: &Path) -> Result<Pods, Error> {
        let tried = || format!("read --kubelet-pods {}", dir.display());
        let mut pods = fs::read_dir(dir).context(Code::Io, tried)?;
        match pods.next() {
            Some(first) => first.context(Code::Io, tried).map(drop)?,
            None => {
                let msg = format!("--kubelet-pods {} is empty", dir.display());
                let way_out =
                    "the kubelet's --root-dir may be another one; it has the directory pods";
                return Err(Error::new(Code::Io, msg).with_details(way_out));
            }
        }
        Ok(Pods(dir.to_owned()))
    }

    /// Whether an attachment is that of a pod that is gone: neither the kubelet's directory of it nor the
    /// network namespace is there. What is no pod of Kubernetes is not.
    ///
    /// # Errors
    /// Code 5 when the directory may be there.
    pub fn is_gone(&self, entry: &Entry) -> Result<bool, Error> {
        let Some(uid) = uid(entry) else {
            return Ok(false);
        };
        if entry.netns.is_empty() || !is_netns_gone(Path::new(&entry.netns)) {
            return Ok(false);
        }
        let dir = self.0.join(uid);
        match fs::symlink_metadata(&dir) {
            Ok(_) => Ok(false),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(true),
            Err(cause) => Err(cause).context(Code::Io, || format!("look at {}", dir.display())),
        }
    }
}

fn is_netns_gone(path: &Path) -> bool {
    matches!(Netns::open(path), Err(OpenError::Gone(_)))
}

/// A UID that can be the name of a directory, and of nothing else.
fn uid(entry: &Entry) -> Option<&str> {
    let (_, uid) = entry.args.iter().rev().find(|(key, _)| key == UID)?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!uid.is_empty() && uid.chars().all(is_word)).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Attachment;

    #[test]
    fn a_uid_names_one_directory() {
        for (args, expected) in [
            (&[][..], None),
            (&[("K8S_POD_NAME", "a")], None),
            (&[(UID, "9f2c-a1")], Some("9f2c-a1")),
            (&[(UID, "a"), (UID, "b")], Some("b")),
            (&[(UID, "")], None),
            (&[(UID, "..")], None),
            (&[(UID, "a/b")], None),
        ] {
            let entry = Entry {
                file: PathBuf::new(),
                attachment: Attachment {
                    network: "n".into(),
                    container: "c".into(),
                    ifname: "eth0".into(),
                },
                netns: String::new(),
                args: args
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                capabilities: Vec::new(),
                config: Vec::new(),
                result: None,
            };
            assert_eq!(uid(&entry), expected, "{args:?}");
        }
    }
}
