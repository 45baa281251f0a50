//! A script in front of a plugin: it notes each call, and refuses or dawdles when the test says so.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use crate::Machine;
use crate::chain::PLUGINS;

/// Where the plugins are that a script stands in front of.
const BEHIND: &str = "/run/cni/behind";

/// A file `PLUGIN.VERB` here is trouble for that call.
const ORDERED: &str = "/run/cni/trouble";

/// One line for each call: plugin, verb, container.
const CALLS: &str = "/run/cni/calls";

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It fails, and the plugin does nothing.
    Refused,
    /// The plugin does its work, then the call takes five seconds more.
    Slow,
}

/// Puts the script in front of a plugin.
///
/// # Errors
/// With the path.
pub fn put_in_front(machine: &Machine, plugin: &str) -> io::Result<()> {
    for directory in [BEHIND, ORDERED] {
        fs::create_dir_all(machine.path(directory))?;
    }
    let (place, behind) = (format!("{PLUGINS}/{plugin}"), format!("{BEHIND}/{plugin}"));
    fs::rename(machine.path(&place), machine.path(&behind))?;
    let script = format!(
        r#"#!/bin/sh
note() {{ echo "{plugin} $CNI_COMMAND $CNI_CONTAINERID" >>{CALLS}; }}
trouble=$(cat {ORDERED}/{plugin}.$CNI_COMMAND 2>/dev/null)
if [ "$trouble" = Refused ]; then
    cat >/dev/null
    note
    echo '{{"cniVersion": "0.4.0", "code": 100, "msg": "refused for the test"}}'
    exit 1
fi
{behind}
status=$?
note
[ "$trouble" != Slow ] || sleep 5
exit $status
"#
    );
    machine.write(&place, &script)?;
    fs::set_permissions(machine.path(&place), fs::Permissions::from_mode(0o755))
}

/// From now on such a call is trouble, or no longer.
///
/// # Errors
/// With the path.
pub fn order(machine: &Machine, call: &str, trouble: Option<Trouble>) -> io::Result<()> {
    let file = format!("{ORDERED}/{call}");
    match trouble {
        Some(trouble) => machine.write(&file, &format!("{trouble:?}")),
        None => fs::remove_file(machine.path(&file)),
    }
}

/// How often a plugin was called with a verb. A call is counted when the plugin has
/// done its work, or refused to.
#[must_use]
pub fn calls(machine: &Machine, plugin: &str, verb: &str) -> usize {
    let calls = fs::read_to_string(machine.path(CALLS)).unwrap_or_default();
    let wanted = format!("{plugin} {verb} ");
    calls
        .lines()
        .filter(|line| line.starts_with(&wanted))
        .count()
}
