//! libcni's cache of attachments, as runtimes leave it: one file each.
//!
//! ```text
//! <cache dir>/results/<network>-<container>-<ifname>
//! {"kind":"cniCacheV1","containerId":…,"config":<base64 of the list>,"ifName":…,"networkName":…,
//!  "netns":…,"cniArgs":[["K","V"],…],"capabilityArgs":{…},"result":{…}}
//! ```
//!
//! The last four are left out when empty (libcni 1.3, `libcni/api.go`, `cachedInfo`); `netns` is not
//! there at all before libcni 1.2, as in Debian's podman.

mod index;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::attachment::{Attachment, ifname_fault, is_valid_name};
use crate::base64;
use crate::cni_args;
use crate::decode::{Object, Value};
use crate::error::{Code, Context, Error, printable, short};
use crate::json::{Fields, Json};
use crate::sys::file::{self, Content};
use crate::sys::regular::DIRECTORY;

pub use index::{Index, means};

/// libcni's place.
pub const DEFAULT_DIR: &str = "/var/lib/cni";
/// The directory below it.
const RESULTS: &str = "results";
/// The kind of the files.
pub const KIND: &str = "cniCacheV1";

/// What the cache knows of one attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its file.
    pub file: PathBuf,
    /// Network, container and interface.
    pub attachment: Attachment,
    /// `CNI_NETNS`, or what the result calls the interface's sandbox; empty when neither is there.
    pub netns: String,
    /// The pairs of `CNI_ARGS`, in order.
    pub args: Vec<(String, String)>,
    /// The capabilities' values, by name.
    pub capabilities: Fields,
    /// The network's configuration, as the runtime had it.
    pub config: Vec<u8>,
    /// The result of ADD.
    pub result: Option<Json>,
}

/// Everything that the cache of one directory knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cache {
    /// Whether there is a cache at all.
    pub exists: bool,
    /// The attachments, in the order of their files.
    pub entries: Vec<Entry>,
    /// The files that could not be understood.
    pub faults: Vec<Error>,
}

impl Cache {
    /// Reads the cache below a directory, which may not be there. Files of an earlier libcni that
    /// hold a result alone are left out.
    ///
    /// # Errors
    /// Code 5 when the directory cannot be read.
    pub fn read(dir: &Path) -> Result<Cache, Error> {
        let Some(names) = Cache::names(dir)? else {
            return Ok(Cache::default());
        };
        let results = dir.join(RESULTS);
        let mut cache = Cache {
            exists: true,
            ..Cache::default()
        };
        for name in names {
            match Entry::read(&results.join(name)) {
                Ok(entry) => cache.entries.extend(entry),
                // A file's name may be anything.
                Err(Error { code, msg, details }) => cache.faults.push(Error {
                    code,
                    msg: printable(&msg),
                    details: printable(&details),
                }),
            }
        }
        Ok(cache)
    }

    /// The names of the files of the cache below a directory, in order; `None` when there is no cache.
    ///
    /// # Errors
    /// Code 5 when the directory cannot be read.
    pub fn names(dir: &Path) -> Result<Option<Vec<OsString>>, Error> {
        file::names(&dir.join(RESULTS))
    }

    /// The names of the networks, each once.
    pub fn networks(&self) -> Vec<&str> {
        let names = self
            .entries
            .iter()
            .map(|entry| entry.attachment.network.as_str());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Entry {
    /// Reads a file; `None` when it is gone, a directory or a result alone.
    ///
    /// # Errors
    /// Code 5 when it is not a file or cannot be read, code 6 when it is invalid; with the path.
    pub fn read(path: &Path) -> Result<Option<Entry>, Error> {
        match file::read_state(path)? {
            Content::Absent | Content::NoFile(DIRECTORY) => Ok(None),
            Content::Bytes(bytes) => Entry::parse(path, &bytes),
            Content::NoFile(what) => Err(file::not_read(path, what)),
        }
    }

    /// Reads a file's bytes; `None` when they are a result alone.
    ///
    /// # Errors
    /// Code 6 with the path.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Option<Entry>, Error> {
        let tried = || format!("understand {}", path.display());
        let not_json = || format!("{} is not JSON", path.display());
        let fields = match Json::parse(bytes).context(Code::Decoding, not_json)? {
            Json::Object(fields) => fields,
            other => return Err(other.kind()).context(Code::Decoding, tried),
        };
        let object = Object::root(&fields);
        match object
            .string("kind")
            .context(Code::Decoding, tried)?
            .as_deref()
        {
            Some(KIND) => {}
            // A result alone, of an earlier libcni.
            None => return Ok(None),
            // A later libcni's: who owns it cannot be read, and may be alive.
            Some(other) => {
                let fault = format!("its kind is {:?}, not {KIND}", short(other));
                return Err(Error::new(Code::Decoding, fault)).context(Code::Decoding, tried);
            }
        }
        entry(path, object).context(Code::Decoding, tried).map(Some)
    }

    /// The pod, as `NAMESPACE/NAME`, where the runtime is one of Kubernetes'.
    pub fn pod(&self) -> Option<String> {
        cni_args::pod(&self.cni_args())
    }

    /// The value of `CNI_ARGS`: `K=V;K=V`.
    pub fn cni_args(&self) -> String {
        cni_args::text(&self.args)
    }
}

fn entry(path: &Path, object: Object<'_>) -> Result<Entry, Error> {
    let text = |key: &'static str| object.string(key).map(Option::unwrap_or_default);
    let attachment = Attachment {
        network: text("networkName")?,
        container: text("containerId")?,
        ifname: text("ifName")?,
    };
    let names = [&attachment.network, &attachment.container];
    if let Some(name) = names.into_iter().find(|name| !is_valid_name(name)) {
        return Err(Error::new(
            Code::Decoding,
            format!("{:?} is not a valid name", short(name)),
        ));
    }
    if let Some(fault) = ifname_fault(&attachment.ifname) {
        return Err(Error::new(Code::Decoding, fault));
    }
    let capabilities = object.object("capabilityArgs")?;
    let pairs = object.list("cniArgs")?;
    let result = object.object("result")?;
    let netns = match (text("netns")?, &result) {
        (netns, Some(result)) if netns.is_empty() => sandbox(result, &attachment.ifname)?,
        (netns, _) => netns,
    };
    Ok(Entry {
        file: path.to_owned(),
        attachment,
        netns,
        args: pairs.iter().map(pair).collect::<Result<_, _>>()?,
        capabilities: capabilities.map_or_else(Vec::new, |o| o.fields().to_vec()),
        config: base64::decode(&text("config")?)
            .ok_or_else(|| Error::new(Code::Decoding, "config is not base64"))?,
        result: result.map(|o| Json::Object(o.fields().to_vec())),
    })
}

/// The namespace of an interface in the container, from the result; empty when it does not say.
fn sandbox(result: &Object<'_>, ifname: &str) -> Result<String, Error> {
    for interface in result.list("interfaces")? {
        let interface = interface.object()?;
        let sandbox = interface.nonempty("sandbox")?;
        if let Some(sandbox) = sandbox.filter(|_| names(&interface, ifname)) {
            return Ok(sandbox);
        }
    }
    Ok(String::new())
}

fn names(interface: &Object<'_>, ifname: &str) -> bool {
    interface.string("name").ok().flatten().as_deref() == Some(ifname)
}

fn pair(value: &Value<'_>) -> Result<(String, String), Error> {
    match value.list()?.as_slice() {
        [key, value] => Ok((key.string()?, value.string()?)),
        _ => Err(Error::new(Code::Decoding, "cniArgs has no pairs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    const FILE: &str = r#"{"kind":"cniCacheV1","containerId":"c1","config":"eyJuYW1lIjoibjEifQ==",
        "ifName":"eth0","networkName":"n1","netns":"/run/netns/a",
        "cniArgs":[["K","V"],["L","W"]],"capabilityArgs":{"portMappings":[]},
        "result":{"cniVersion":"1.0.0"}}"#;

    fn parse(text: &str) -> Result<Option<Entry>, Error> {
        Entry::parse(Path::new("/f"), text.as_bytes())
    }

    #[test]
    fn a_file_of_libcni_is_read() {
        let entry = parse(FILE).unwrap().unwrap();
        assert_eq!(
            entry.attachment.to_string(),
            "eth0 of container c1 on network n1"
        );
        assert_eq!(entry.config, br#"{"name":"n1"}"#);
        assert_eq!(entry.cni_args(), "K=V;L=W");
        assert_eq!(entry.capabilities.len(), 1);
        assert!(entry.result.is_some());
    }

    #[test]
    fn without_a_namespace_the_interface_s_sandbox_is_it() {
        let of = |interfaces: &str| {
            let text = FILE.replace("\"netns\":\"/run/netns/a\",", "");
            let result = format!("\"1.0.0\",\"interfaces\":[{interfaces}]}}");
            parse(&text.replace("\"1.0.0\"}", &result)).map(|entry| entry.unwrap().netns)
        };
        let host = r#"{"name":"eth0"},{"name":"veth1","sandbox":"/run/netns/x"}"#;
        let own = r#"{"name":"eth0","sandbox":"/run/netns/b"}"#;
        assert_eq!(of(host).unwrap(), "");
        assert_eq!(of(&format!("{host},{own}")).unwrap(), "/run/netns/b");
        assert_eq!(of("7").unwrap_err().code, Code::Decoding);
    }

    #[test]
    fn results_alone_are_left_out_and_other_kinds_and_nonsense_are_faults_with_the_path() {
        assert_eq!(parse(r#"{"cniVersion":"0.4.0","ips":[]}"#).unwrap(), None);
        for text in [
            "",
            "[]",
            r#"{"kind":"cniCacheV2"}"#,
            r#"{"kind":2}"#,
            &FILE.replace("eyJ", "\u{1F600}"),
            &FILE.replace("\"c1\"", "\"../c1\""),
            &FILE.replace("\"eth0\"", "\"\""),
            &FILE.replace("\"K\",", ""),
        ] {
            assert!(
                parse(text).unwrap_err().to_string().contains("/f"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_file_is_named_and_keeps_nothing_from_being_read() {
        let scratch = Scratch::new("cache-kinds");
        let results = scratch.0.join("results");
        assert!(!Cache::read(&scratch.0).unwrap().exists);
        fs::create_dir_all(results.join("directory")).unwrap();
        fs::write(results.join("n1-c1-eth0"), FILE).unwrap();
        symlink(results.join("n1-c1-eth0"), results.join("link")).unwrap();
        nix::unistd::mkfifo(&results.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        File::create(results.join("huge"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let cache = Cache::read(&scratch.0).unwrap();
        let faults: Vec<String> = cache.faults.iter().map(Error::to_string).collect();
        assert_eq!(
            (cache.exists, cache.entries.len(), faults.len()),
            (true, 1, 3),
            "{faults:?}"
        );
        for name in ["huge", "link", "pipe"] {
            assert!(
                faults
                    .iter()
                    .any(|fault| fault.contains(&format!("results/{name}: "))),
                "{faults:?}"
            );
        }
        fs::remove_dir_all(&results).unwrap();
        fs::create_dir(&results).unwrap();
        fs::write(results.join("\u{1b}[2J"), "").unwrap();
        let fault = Cache::read(&scratch.0)
            .unwrap()
            .faults
            .remove(0)
            .to_string();
        assert!(fault.contains("\\u{1b}[2J is not JSON"), "{fault}");
        fs::remove_dir_all(&results).unwrap();
        fs::write(&results, "").unwrap();
        assert_eq!(Cache::read(&scratch.0).unwrap_err().code, Code::Io);
    }

    #[test]
    fn shortened_names_are_known_by_their_beginning() {
        let cache = Cache {
            entries: vec![parse(FILE).unwrap().unwrap()],
            ..Cache::default()
        };
        let index = cache.index();
        let knows = |network: &str, container: &str, ifname: &str| {
            let found = index.find(&Attachment {
                network: network.into(),
                container: container.into(),
                ifname: ifname.into(),
            });
            !found.is_empty()
        };
        assert!(knows("n1", "c1", "eth0") && knows("n1", "c...", "") && knows("n~ab", "c1", "~x"));
        // The reference's rules.
        assert!(knows("", "c1", "") && !knows("", "c", "") && !knows("", "", ""));
        assert!(!knows("n2", "c1", "eth0") && !knows("n1", "c", "eth0") && !knows("n1", "c1", "x"));
    }
}
