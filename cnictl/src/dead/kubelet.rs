//! Pods that the kubelet no longer has, though the runtime's cache still has their attachments: its runtime
//! never ran DEL, and does not run GC.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use common::cache::Entry;
use common::error::{Code, Context, Error, short};
use common::sys::file;
use common::sys::netns::{Netns, OpenError};

/// The pair of `CNI_ARGS` with a pod's UID, which is the name of its directory.
const UID: &str = "K8S_POD_UID";
/// The characters of the shortest UID: an MD5 sum.
const SHORTEST: usize = 32;

/// The kubelet's directory with one directory for each of its pods, those that end included.
#[derive(Debug, Clone)]
pub struct Pods(PathBuf);

impl Pods {
    /// Of a directory.
    ///
    /// # Errors
    /// Code 5 when it is not a directory, or not the kubelet's: by any other one all pods would be gone. A node that has
    /// Kubernetes' pods has some there, and nothing else is there.
    pub fn of(dir: &Path) -> Result<Pods, Error> {
        let tried = || format!("read --kubelet-pods {}", dir.display());
        let names = file::names(dir).context(Code::Io, tried)?;
        let names = names.ok_or_else(|| refused(dir, "does not exist"))?;
        if names.is_empty() {
            return Err(refused(dir, "is empty"));
        }
        let mut names = names.iter().map(|name| name.to_string_lossy());
        match names.find(|name| !is_uid(name)) {
            Some(name) => {
                let what = format!("has {:?}, which is not a pod's UID", short(&name));
                Err(refused(dir, &what))
            }
            None => Ok(Pods(dir.to_owned())),
        }
    }

    /// Whether an attachment is that of a pod that is gone: neither the kubelet's directory of it nor the
    /// network namespace is there. What is not a pod of Kubernetes is not.
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

fn refused(dir: &Path, what: &str) -> Error {
    let msg = format!("--kubelet-pods {} {what}", dir.display());
    let way_out = "the kubelet's --root-dir may be another one; it has the directory pods";
    Error::new(Code::Io, msg).with_details(way_out)
}

/// Whether a name can be a pod's UID: a UUID, or the MD5 sum of a static pod's manifest.
fn is_uid(name: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_hexdigit() || c == '-';
    name.len() >= SHORTEST && name.chars().all(is_digit)
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
    fn a_directory_of_anything_else_is_refused() {
        for (name, expected) in [
            ("123e4567-e89b-12d3-a456-426614174000", true),
            ("d41d8cd98f00b204e9800998ecf8427e", true),
            ("d41d8cd98f00b204e9800998ecf8427", false),
            ("d41d8cd98f00b204e9800998ecf8427g", false),
            ("123e4567-e89b-12d3-a456-426614174000.old", false),
            ("plugins", false),
            ("", false),
        ] {
            assert_eq!(is_uid(name), expected, "{name}");
        }
    }

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
