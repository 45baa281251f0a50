//! Plugins are run the way a runtime runs them. `/bin/sh` stands in for one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::path::PathBuf;
use std::{env, fs, process};

use sandbox::{Namespace, executable, plugin};

/// A shell script as a plugin; removed by Drop.
struct Script(PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let path = env::temp_dir().join(format!("sandbox-{name}-{}", process::id()));
        executable::script(&path, &format!("#!/bin/sh\n{text}\n")).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_plugin_sees_environment_stdin_and_the_host_namespace() {
    let (host, container) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    host.sh(["ip", "link", "add", "mark", "type", "ifb"]);
    let script = Script::new(
        "sees",
        "echo \"$CNI_COMMAND $CNI_IFNAME $CNI_NETNS $HOME\"; cat; ip -o link; echo bad >&2; exit 3",
    );
    let call = plugin::Call::new(script.path(), "ADD")
        .env("CNI_IFNAME", "net1")
        .netns(&container);
    let answer = call.stdin("request").run(&host).unwrap();
    assert_eq!(answer.code, Some(3));
    assert_eq!(answer.stderr, "bad\n");
    let expected = format!("ADD net1 {} \nrequest", container.path().display());
    assert!(answer.stdout.starts_with(&expected), "{}", answer.stdout);
    assert!(answer.stdout.contains("mark"), "{}", answer.stdout);
}

#[test]
fn a_plugin_that_does_not_read_its_stdin_is_no_problem() {
    let script = Script::new("unread", "exit 0");
    let answer = plugin::Call::new(script.path(), "ADD")
        .stdin(vec![b' '; 1 << 20])
        .run(&Namespace::new().unwrap())
        .unwrap();
    assert_eq!(answer.code, Some(0));
}

#[test]
fn a_killed_plugin_has_no_exit_code() {
    let script = Script::new("killed", "exec sleep 1000");
    let mut running = plugin::Call::new(script.path(), "ADD")
        .spawn(&Namespace::new().unwrap())
        .unwrap();
    running.kill().unwrap();
    assert_eq!(running.wait().unwrap().code, None);
}

#[test]
fn a_missing_plugin_is_named() {
    let call = plugin::Call::new("no-such-plugin", "ADD");
    let error = call
        .run(&Namespace::new().unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-plugin"), "{error}");
}

#[test]
fn our_binaries_are_looked_for_in_the_profile_directory() {
    let exe = env::current_exe().unwrap();
    let profile = exe.parent().and_then(std::path::Path::parent).unwrap();
    match env::var_os("CNI_BIN") {
        Some(directory) => assert_eq!(plugin::directory(), PathBuf::from(directory)),
        None => assert_eq!(plugin::directory(), profile),
    }
    assert_eq!(
        plugin::binary("/opt/cni/bin/tuning"),
        PathBuf::from("/opt/cni/bin/tuning")
    );
}
