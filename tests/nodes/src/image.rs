//! A container that serves one web page: nothing in it but Debian's static busybox and the page.

use std::env::consts::ARCH;
use std::fs;
use std::io;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Machine;

/// The directory of the machine that holds its files.
pub const ROOT: &str = "/run/web";

/// What it runs. It also serves as the first process of a pod.
pub const COMMAND: [&str; 7] = ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"];

/// Its page.
pub const PAGE: &str = "Hello from a container\n";

/// What the archive calls it.
pub const NAME: &str = "test.local/web:1";

/// Debian's package busybox-static.
const BUSYBOX: &str = "/bin/busybox";

/// Lays out the container's files at [`ROOT`].
///
/// # Errors
/// When busybox is missing.
pub fn unpack(machine: &Machine) -> io::Result<()> {
    machine.write(&format!("{ROOT}/www/index.html"), PAGE)?;
    for directory in ["bin", "dev", "etc", "proc", "run", "sys"] {
        fs::create_dir_all(machine.path(ROOT).join(directory))?;
    }
    fs::copy(BUSYBOX, machine.path(ROOT).join("bin/busybox"))
        .map(drop)
        .map_err(|e| {
            io::Error::new(
                e.kind(),
                format!("copy {BUSYBOX} (install busybox-static): {e}"),
            )
        })
}

/// Packs those files as an archive of the kind that `docker save` writes, and returns its path on the
/// machine (<https://github.com/moby/docker-image-spec>).
///
/// # Errors
/// When `tar` fails.
pub fn pack(machine: &Machine) -> io::Result<String> {
    let (directory, archive) = ("/run/image", "/run/image.tar");
    let layer = format!("{directory}/layer.tar");
    machine.write(&layer, "")?;
    machine.sh(&["tar", "-C", ROOT, "-cf", &layer, "."])?;
    let digest = hex(&Sha256::digest(fs::read(machine.path(&layer))?));
    let architecture = match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": COMMAND, "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]);
    machine.write(&format!("{directory}/config.json"), &config.to_string())?;
    machine.write(&format!("{directory}/manifest.json"), &manifest.to_string())?;
    machine.sh(&[
        "tar",
        "-C",
        directory,
        "-cf",
        archive,
        "manifest.json",
        "config.json",
        "layer.tar",
    ])?;
    Ok(archive.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
