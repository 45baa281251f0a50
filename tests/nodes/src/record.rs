//! Keeps what a runtime sends: with `RUNTIMES_RECORD=DIR`, every call of a plugin on a machine, in the
//! form of testdata/captures.
//!
//! ```sh
//! RUNTIMES_RECORD=/tmp/recorded CNI_BIN=/usr/lib/cni cargo test -p runtimes
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Machine;

/// Where a machine keeps its calls, one file for each part of a call.
const CALLS: &str = "/run/recorded";

/// Where the plugins are that a recorder stands in front of.
const RECORDED: &str = "/run/cni/recorded";

/// The directory for captures, if calls are to be kept.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    std::env::var_os("RUNTIMES_RECORD").map(PathBuf::from)
}

/// Moves a plugin aside and puts a script in its place that notes each call and its answer.
///
/// # Errors
/// With the path.
pub fn put_in_front(machine: &Machine, plugins: &str, name: &str) -> io::Result<()> {
    for place in [RECORDED, CALLS] {
        fs::create_dir_all(machine.path(place))?;
    }
    let file = machine.path(plugins).join(name);
    fs::rename(&file, machine.path(RECORDED).join(name))?;
    // Calls are told apart, and put in order, by the time of their beginning.
    let text = format!(
        "#!/bin/sh\nc={CALLS}/$(date +%s%N)-$$\ncat >$c.stdin\n\
         env | grep '^CNI_' >$c.env\n[ ! -e \"$CNI_NETNS\" ] || : >$c.netns\n\
         {RECORDED}/{name} <$c.stdin >$c.stdout\nrc=$?\ncat $c.stdout\n\
         echo $rc >$c.rc\necho {name} >$c.plugin\nexit $rc\n"
    );
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
}

/// Writes the capture of a machine, named after the running test.
///
/// # Errors
/// With the path.
pub fn keep(machine: &Machine, directory: &Path) -> io::Result<()> {
    let calls = machine.path(CALLS);
    let mut names = machine.list(CALLS)?;
    names.retain(|name| name.ends_with(".plugin"));
    let call = |name: &String| -> io::Result<Value> {
        let part = |end: &str| calls.join(name.replace(".plugin", end));
        let text = |end: &str| fs::read_to_string(part(end));
        let env = text(".env")?;
        let env: BTreeMap<&str, &str> = env.lines().filter_map(|l| l.split_once('=')).collect();
        Ok(json!({
            "plugin": text(".plugin")?.trim(),
            "command": env.get("CNI_COMMAND"),
            "env": env,
            "stdin_raw": text(".stdin")?,
            "netns_exists": part(".netns").exists(),
            "rc": text(".rc")?.trim().parse::<i64>().map_err(io::Error::other)?,
            "stdout_raw": text(".stdout")?,
        }))
    };
    let calls: Vec<Value> = names.iter().map(call).collect::<io::Result<_>>()?;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed").replace("::", "-");
    let capture = json!({"client": "runtimes", "scenario": test, "calls": calls});
    fs::create_dir_all(directory)?;
    fs::write(
        directory.join(format!("{test}.json")),
        serde_json::to_string_pretty(&capture)? + "\n",
    )
}
