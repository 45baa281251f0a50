//! The plugins of a machine and the networks that chain them: Debian's bridge with host-local, then
//! tuning, portmap and bandwidth.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::{Machine, record};

/// Where the machine's plugins are.
pub const PLUGINS: &str = "/run/cni/bin";

/// Where Debian's package containernetworking-plugins, which the machine has too, has its own.
const DEBIAN: &str = "/usr/lib/cni";

/// A plugin that refuses every ADD, with [`REFUSAL`].
const REFUSE: &str = "refuse";

/// What the plugin at the end of [`Ending::Refusal`] says.
pub const REFUSAL: &str = "refused for the test";

/// A sysctl that no kernel has, of [`Ending::UnknownSysctl`].
pub const UNKNOWN_SYSCTL: &str = "net.ipv4.no_such_thing";

/// How an ADD of the whole chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Well.
    Success,
    /// With the failure of a plugin behind ours: all of ours have done their part.
    Refusal,
    /// With the failure of tuning: those behind it have not been called.
    UnknownSysctl,
}

/// A network: one bridge with our plugins in its chain.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its name.
    pub name: &'static str,
    /// The version of the CNI specification its configuration is written in.
    pub version: &'static str,
    /// The bridge's name.
    pub bridge: &'static str,
    /// What portmap is told to use; none: it chooses.
    pub backend: Option<&'static str>,
}

impl Network {
    /// Its configuration list.
    #[must_use]
    pub fn conflist(&self, ending: Ending) -> String {
        let Self {
            name,
            version,
            bridge,
            backend,
        } = self;
        let sysctl = match ending {
            Ending::UnknownSysctl => UNKNOWN_SYSCTL,
            _ => "net.core.somaxconn",
        };
        let mut plugins = vec![
            json!({
                "type": "bridge", "bridge": bridge,
                "isGateway": true, "ipMasq": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.97.0.0/24"}], [{"subnet": "fd97::/64"}]],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            }),
            json!({
                "type": "tuning", "mtu": 1400,
                "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1", sysctl: "500"},
            }),
            json!({
                "type": "portmap", "capabilities": {"portMappings": true}, "snat": true,
                "backend": backend,
            }),
            json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}),
        ];
        if ending == Ending::Refusal {
            plugins.push(json!({"type": REFUSE}));
        }
        let list: Value = json!({"cniVersion": version, "name": name, "plugins": plugins});
        list.to_string()
    }
}

/// The names of ours, in the order of the chain.
pub const OURS: [&str; 3] = ["tuning", "portmap", "bandwidth"];

/// Whose tuning, portmap and bandwidth a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The ones under test.
    Ours,
    /// Debian's.
    Reference,
}

/// Puts the plugins in place. Copies, because the machine does not see all of the real one's directories.
///
/// # Errors
/// When a plugin is missing, with what to do about it.
pub fn install(machine: &Machine, whose: Whose) -> io::Result<()> {
    let refuse = format!(
        "#!/bin/sh\ncat >/dev/null\n[ \"$CNI_COMMAND\" = ADD ] || exit 0\n\
         echo '{{\"cniVersion\": \"1.0.0\", \"code\": 100, \"msg\": \"{REFUSAL}\"}}'\nexit 1\n"
    );
    let script = format!("{PLUGINS}/{REFUSE}");
    machine.write(&script, &refuse)?;
    machine.sh(&["chmod", "755", &script])?;
    for name in ["bridge", "host-local", "loopback"] {
        copy_debian(machine, name)?;
    }
    for name in OURS {
        match whose {
            Whose::Ours => copy_ours(machine, PLUGINS, name)?,
            Whose::Reference => copy_debian(machine, name)?,
        }
    }
    if record::directory().is_some() {
        for name in ["bridge", "tuning", "portmap", "bandwidth"] {
            record::put_in_front(machine, PLUGINS, name)?;
        }
    }
    Ok(())
}

fn copy_debian(machine: &Machine, name: &str) -> io::Result<()> {
    copy(
        machine,
        &machine.path(DEBIAN).join(name),
        PLUGINS,
        "install containernetworking-plugins",
    )
}

/// Copies one of our programs into a directory of the machine.
///
/// # Errors
/// When it is missing.
pub fn copy_ours(machine: &Machine, directory: &str, name: &str) -> io::Result<()> {
    let file = sandbox::plugin::binary(name);
    copy(machine, &file, directory, "build it first, or set CNI_BIN")
}

fn copy(machine: &Machine, file: &Path, directory: &str, remedy: &str) -> io::Result<()> {
    let to = machine
        .path(directory)
        .join(file.file_name().unwrap_or_default());
    fs::copy(file, to)
        .map(drop)
        .map_err(|e| io::Error::new(e.kind(), format!("copy {} ({remedy}): {e}", file.display())))
}
