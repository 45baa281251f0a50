//! Finding a network: by name in a directory of configurations, or by the path of a file.

use std::fs;
use std::path::{Path, PathBuf};

use common::error::short;
use common::sys::file;

use crate::runner::network::{Plugin, is_list};
use crate::runner::{Error, Network, Result};

/// Where runtimes look by default.
pub const DEFAULT: &str = "/etc/cni/net.d";

/// Finds the network that the user named.
///
/// A path (anything with a slash, or a file with one of the three extensions) is read as it is.
/// Everything else is the `name` of a network in one of the files of `dir`, in the order of [`all`].
/// Files that cannot be used do not hide the others, but are reported when nothing is found.
pub fn find(dir: &Path, network: &str) -> Result<Network> {
    let path = Path::new(network);
    if network.contains('/') || (known_extension(path) && path.is_file()) {
        return load(path);
    }
    let mut unusable = Vec::new();
    let mut seen = Vec::new();
    for one in all(dir)? {
        match one {
            Ok(found) if found.name == network => return Ok(found),
            Ok(other) => seen.push(other.name),
            Err(error) => unusable.push(error.to_string()),
        }
    }
    Err(Error::Usage(not_found(dir, network, &seen, &unusable)))
}

/// The networks of a directory, or why a file of it cannot be used: first `.conflist`, then `.conf` and
/// `.json`, each in the order of their names.
pub fn all(dir: &Path) -> Result<Vec<Result<Network>>> {
    let lists = files(dir, &["conflist"])?.into_iter();
    let all = lists.chain(files(dir, &["conf", "json"])?);
    Ok(all.map(|file| parse(&file, &read(&file)?)).collect())
}

/// Reads the file, or the pipe, that the user named, and the plugins in the directory named for its
/// network.
pub fn load(file: &Path) -> Result<Network> {
    let bytes = fs::read(file).map_err(|error| Error::io("read", file, error))?;
    parse(file, &bytes)
}

/// Reads a file of a directory. Nothing else is opened: a pipe would make its reader wait for ever.
fn read(file: &Path) -> Result<Vec<u8>> {
    let gone = || Error::io("read", file, std::io::ErrorKind::NotFound.into());
    file::read(file)?.ok_or_else(gone)
}

/// The network in a file, with the plugins in the directory named for it.
fn parse(file: &Path, bytes: &[u8]) -> Result<Network> {
    let origin = file.display().to_string();
    let named_as_list = file.extension().is_some_and(|e| e == "conflist");
    if !named_as_list && !is_list(bytes) {
        return Network::parse_single(&origin, bytes);
    }
    let mut network = Network::parse_list(&origin, bytes)?;
    if !network.only_inlined {
        let dir = file.parent().unwrap_or(Path::new("")).join(&network.name);
        for file in files(&dir, &["conf"])? {
            network
                .plugins
                .push(Plugin::parse(&file.display().to_string(), &read(&file)?)?);
        }
    }
    if network.plugins.is_empty() {
        return Err(Error::config(origin, "has no plugins"));
    }
    Ok(network)
}

/// The files of a directory with one of these extensions, by name; a missing directory has none.
fn files(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", dir, error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::io("read", dir, error))?.path();
        let wanted = path
            .extension()
            .is_some_and(|e| extensions.iter().any(|x| e == *x));
        if wanted && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn known_extension(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e == "conflist" || e == "conf" || e == "json")
}

fn not_found(dir: &Path, network: &str, seen: &[String], unusable: &[String]) -> String {
    let mut message = format!("no network {:?} in {}", short(network), dir.display());
    if seen.is_empty() {
        message += ", which holds no usable .conflist, .conf or .json file";
    } else {
        message += &format!(" (there are: {})", seen.join(", "));
    }
    for problem in unusable {
        message += &format!("\n  {problem}");
    }
    message
}
