//! A verb on a machine with other files: the plugin runs in a mount namespace of its own, and this
//! machine's directories are untouched.

use std::io::Write;
use std::process::Stdio;

use sandbox::plugin::{CONTAINER_ID, binary};
use serde_json::Value;

use super::pod::{OURS, Pod};

/// What the plugin answered, and what was said on stderr by it and by the script after it.
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: Value,
    pub stderr: String,
}

/// Runs a verb between two shell scripts, in a mount namespace of their own.
pub fn run(pod: &Pod, verb: &str, before: &str, after: &str, keys: Value) -> Answer {
    let script = format!("{before} && {{ \"$0\"; code=$?; {after}; exit $code; }}");
    let mut command = pod.net.host.command("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .arg(binary(OURS))
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", CONTAINER_ID)
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", "/x")
        .env("CNI_NETNS", pod.container().path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let conf = pod.conf(keys).to_string();
    // The pipe is closed where the statement ends.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(conf.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    Answer {
        code: output.status.code(),
        stdout: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
