//! `logFile`: lines are added to a regular file, and nothing that is wrong with it hurts a request.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use sandbox::plugin::Answer;
use serde_json::{Value, json};

use super::{line, lines};
use crate::tuning::pod::Pod;

fn keys(path: &Path) -> Value {
    json!({"mtu": 1400, "logFile": path, "logLevel": "info"})
}

#[test]
fn the_file_gets_what_stderr_gets_after_what_was_there() {
    let pod = Pod::new();
    let path = pod.scratch.path().join("new/cni.log");
    let added = pod.run("ADD", keys(&path));
    assert_eq!(fs::read_to_string(&path).unwrap(), added.stderr);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut impossible = keys(&path);
    impossible["mtu"] = json!(1);
    let refused = pod.run("CHECK", impossible);
    let removed = pod.run("DEL", keys(&path));
    let all = [added, refused, removed].map(|answer| answer.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), all.concat());
    assert_eq!(lines(&all.concat()).len(), 3);
}

#[test]
fn nothing_said_is_nothing_opened() {
    let pod = Pod::new();
    let path = pod.scratch.path().join("cni.log");
    pod.add(json!({"mtu": 1400}));
    for verb in ["ADD", "CHECK"] {
        assert_eq!(pod.run(verb, keys(&path)).stderr, "");
    }
    assert!(!path.exists());
}

/// ADD and DEL must do their work, and tell of the file on stderr.
#[track_caller]
fn is_told(pod: &Pod, path: &Path) {
    let told = |answer: Answer| {
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let all = lines(&answer.stderr);
        let levels: Vec<&str> = all.iter().map(|line| line["level"].as_str()).collect();
        assert_eq!(levels, ["info", "warning"], "{answer:?}");
        let expected = format!("append to {}", path.display());
        assert!(all[1]["msg"].starts_with(&expected), "{answer:?}");
    };
    told(pod.run("ADD", keys(path)));
    assert_eq!(pod.link().unwrap().mtu, 1400);
    told(pod.run("DEL", keys(path)));
    assert_eq!(pod.link().unwrap().mtu, 1500);
}

#[test]
fn what_is_no_regular_file_is_left_alone_and_told() {
    let pod = Pod::new();
    let at = |name: &str| pod.scratch.path().join(name);
    fs::write(at("target"), "precious\n").unwrap();
    symlink(at("target"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    let fifo = at("fifo").display().to_string();
    pod.net.host.try_sh(&["mkfifo", &fifo]).unwrap();
    for name in ["link", "dangling", "directory", "fifo", "target/below"] {
        is_told(&pod, &at(name));
    }
    assert_eq!(fs::read_to_string(at("target")).unwrap(), "precious\n");
    assert!(!at("nowhere").exists());
    is_told(&pod, Path::new("/dev/full"));
    is_told(&pod, Path::new("/proc/none/cni.log"));
}

#[test]
fn plugins_that_run_side_by_side_share_a_file_line_by_line() {
    let pod = Pod::new();
    let path = pod.scratch.path().join("cni.log");
    // Details long enough that a line in two pieces would show.
    let many: serde_json::Map<_, _> = (0..100)
        .map(|number| (format!("net.ipv4.conf.eth0.x{number}"), json!("1")))
        .collect();
    let conf = pod.conf(json!({"logFile": path, "sysctl": many}));
    let calls: Vec<_> = (0..24)
        .map(|number| {
            let call = pod
                .call("CHECK")
                .env("CNI_CONTAINERID", &format!("c{number}"));
            call.stdin(conf.to_string())
        })
        .collect();
    thread::scope(|scope| {
        for call in &calls {
            let host = &pod.net.host;
            scope.spawn(move || {
                let told = line(&call.run(host).unwrap());
                assert_eq!(told["outcome"], "refused");
            });
        }
    });
    let all = lines(&fs::read_to_string(&path).unwrap());
    let mut containers: Vec<&str> = all.iter().map(|line| line["container"].as_str()).collect();
    containers.sort_unstable();
    containers.dedup();
    assert_eq!((all.len(), containers.len()), (24, 24));
}
