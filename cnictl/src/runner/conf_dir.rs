//! Finding a network: by name in a directory of configurations, or by the path of a file.

use std::fs;
use std::path::{Path, PathBuf};

use common::error::{Code, Context, short};
use common::sys::file;

use crate::runner::network::{Plugin, is_list};
use crate::runner::{Error, Network, Result};

/// Where runtimes look by default.
pub const DEFAULT: &str = "/etc/cni/net.d";

/// The extensions of what they read there.
pub const EXTENSIONS: [&str; 3] = ["conflist", "conf", "json"];

/// Finds the network that the user named.
///
/// A path (anything with a slash, or a file with one of the three extensions) is read as it is.
/// Everything else is the `name` of a network in one of the files of `dir`, in the order of [`all`].
/// Files that cannot be used do not hide the others, but are reported when nothing is found.
pub fn find(dir: &Path, network: &str) -> Result<Network> {
    let path = Path::new(network);
    if network.contains('/') || (has_extension(path, &EXTENSIONS) && path.is_file()) {
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
    Err(Error::Own(not_found(dir, network, &seen, &unusable)))
}

/// The networks of a directory, or why a file of it cannot be used: first `.conflist`, then `.conf` and
/// `.json`, each in the order of their names.
pub fn all(dir: &Path) -> Result<Vec<Result<Network>>> {
    let lists = files(dir, &["conflist"])?.unwrap_or_default();
    let others = files(dir, &["conf", "json"])?.unwrap_or_default();
    let all = lists.into_iter().chain(others);
    Ok(all.map(|file| parse(&file, &read(&file)?)).collect())
}

/// Reads the file, or the pipe, that the user named, and the plugins in the directory named for its
/// network.
pub fn load(file: &Path) -> Result<Network> {
    let bytes = fs::read(file).context(Code::Io, || format!("read {}", file.display()))?;
    parse(file, &bytes)
}

/// Reads a file of a directory. Nothing else is opened: a pipe would make its reader wait for ever.
fn read(file: &Path) -> Result<Vec<u8>> {
    let gone = || Error::Own(format!("read {}: it is gone", file.display()));
    file::read(file)?.ok_or_else(gone)
}

/// The network in a file, with the plugins in the directory named for it.
fn parse(file: &Path, bytes: &[u8]) -> Result<Network> {
    let refused = |problem| Error::config(file.display(), problem);
    let named_as_list = file.extension().is_some_and(|e| e == "conflist");
    if !named_as_list && !is_list(bytes) {
        return Network::parse_single(bytes).map_err(refused);
    }
    let mut network = Network::parse_list(bytes).map_err(refused)?;
    if !network.only_inlined {
        let dir = file.parent().unwrap_or(Path::new("")).join(&network.name);
        for file in files(&dir, &["conf"])?.unwrap_or_default() {
            let plugin = Plugin::parse(&read(&file)?);
            let plugin = plugin.map_err(|problem| Error::config(file.display(), problem))?;
            network.plugins.push(plugin);
        }
    }
    match network.plugins.is_empty() {
        true => Err(refused("has no plugins".into())),
        false => Ok(network),
    }
}

/// The files of a directory with one of these extensions, by name; `None` when there is no directory.
///
/// # Errors
/// Code 5 when it cannot be read.
pub fn files(dir: &Path, extensions: &[&str]) -> Result<Option<Vec<PathBuf>>, common::Error> {
    let is_one = |path: &PathBuf| has_extension(path, extensions) && !path.is_dir();
    let names = file::names(dir)?;
    Ok(names.map(|names| {
        names
            .iter()
            .map(|name| dir.join(name))
            .filter(is_one)
            .collect()
    }))
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|e| extensions.iter().any(|known| e == *known))
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
