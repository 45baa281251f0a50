//! STATUS: whether ADD could work on this node.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use common::{Code, Error, Request};

use crate::allowlist;
use crate::config::Config;

/// The file that STATUS writes and removes to see whether ADD could write one.
const PROBE: &str = ".status.tmp";

/// Looks for everything that would make every ADD of this configuration fail.
///
/// # Errors
/// Code 50 with what is in the way; the configuration's own mistakes as ADD tells them.
pub fn status(request: &Request) -> Result<(), Error> {
    let config = Config::parse(request)?;
    let mut reasons = Vec::new();
    reasons.extend(allowlist_fault(&config).map(|error| error.to_string()));
    if let Err(cause) = write_probe(&config.data_dir) {
        let dir = config.data_dir.display();
        reasons.push(format!("cannot keep backups in {dir}: {cause}"));
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
    let text = match allowlist::read() {
        Ok(text) => text?,
        Err(error) => return Some(error),
    };
    let invalid =
        allowlist::lines(&text).find_map(|(number, line)| allowlist::compile(number, line).err());
    invalid.or_else(|| allowlist::permit(&config.sysctls).err())
}

fn write_probe(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = dir.join(PROBE);
    fs::write(&path, "probe")?;
    fs::remove_file(&path)
}
