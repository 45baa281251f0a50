//! Namespaces as tests, commands and runtimes see them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::catch_unwind;

use sandbox::Namespace;

fn inode(namespace: &Namespace) -> u64 {
    namespace.run(|| fs::metadata("/proc/thread-self/ns/net").unwrap().ino())
}

#[test]
fn code_runs_inside_and_the_caller_stays_outside() {
    let before = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let namespace = Namespace::new().unwrap();
    assert_ne!(inode(&namespace), before);
    assert_eq!(
        fs::metadata("/proc/thread-self/ns/net").unwrap().ino(),
        before
    );
    assert_eq!(
        fs::metadata(namespace.path()).unwrap().ino(),
        inode(&namespace)
    );
}

#[test]
fn a_new_namespace_has_loopback_up_and_nothing_else() {
    let namespace = Namespace::new().unwrap();
    let links = namespace.sh(["ip", "-o", "link"]);
    assert_eq!(links.lines().count(), 1, "{links}");
    assert!(links.contains("lo: <LOOPBACK,UP"), "{links}");
}

#[test]
fn a_panic_inside_goes_on_outside() {
    let namespace = Namespace::new().unwrap();
    let caught = catch_unwind(|| namespace.run(|| std::panic::resume_unwind(Box::new("inside"))));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"inside"));
}

#[test]
fn a_child_process_can_open_the_path() {
    let (outer, inner) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    inner.sh(["ip", "link", "add", "mark", "type", "ifb"]);
    let net = format!("--net={}", inner.path().display());
    let links = outer.sh(["nsenter", &net, "ip", "-o", "link"]);
    assert!(links.contains("mark"), "{links}");
}

#[test]
fn a_namespace_ends_when_it_is_dropped() {
    let (kept, dropped) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let path = format!(
        "/proc/self/fd/{}",
        dropped.path().file_name().unwrap().to_str().unwrap()
    );
    // The child gets the descriptor by the path only, not by inheritance: it is close-on-exec.
    assert!(kept.try_sh(&["test", "-e", &path]).is_err());
    kept.sh([
        "ip", "link", "add", "here", "type", "veth", "peer", "name", "there",
    ]);
    let peer = dropped.path().display().to_string();
    kept.sh(["ip", "link", "set", "there", "netns", &peer]);
    drop(dropped);
    let gone = sandbox::wait_until(std::time::Duration::from_secs(10), || {
        kept.try_sh(&["ip", "link", "show", "here"]).is_err()
    });
    assert!(gone, "the peer of a link in the namespace lives on");
}

#[test]
fn a_failing_command_is_an_error_with_its_stderr() {
    let namespace = Namespace::new().unwrap();
    let error = namespace
        .try_sh(&["ip", "link", "show", "nosuch"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("nosuch") && error.contains("does not exist"),
        "{error}"
    );
    let error = namespace
        .try_sh(&["no-such-program"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-program"), "{error}");
}

#[test]
fn sysctls_are_those_of_the_namespace() {
    let (one, other) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let before = other.sysctl("net.ipv4.conf.lo.arp_filter").unwrap();
    one.set_sysctl("net.ipv4.conf.lo.arp_filter", "1").unwrap();
    one.sh(["ip", "link", "add", "eth0.100", "type", "ifb"]);
    one.set_sysctl("net/ipv4/conf/eth0.100/arp_filter", "1")
        .unwrap();
    assert_eq!(one.sysctl("net.ipv4.conf.lo.arp_filter").unwrap(), "1");
    assert_eq!(other.sysctl("net.ipv4.conf.lo.arp_filter").unwrap(), before);
    let error = one
        .set_sysctl("net.ipv4.no_such_key", "1")
        .unwrap_err()
        .to_string();
    assert!(error.contains("net.ipv4.no_such_key=1"), "{error}");
}

#[test]
fn a_bound_namespace_has_a_real_path_until_it_is_dropped() {
    let namespace = Namespace::new().unwrap();
    let file = std::env::temp_dir().join(format!("sandbox-bound-{}", std::process::id()));
    let bound = namespace.bind(&file).unwrap();
    assert_eq!(fs::metadata(bound.path()).unwrap().ino(), inode(&namespace));
    assert!(namespace.bind(&file).is_err(), "an existing file was taken");
    drop(bound);
    assert!(!file.exists());
}

#[test]
fn sys_class_net_is_of_the_namespace_where_asked_for() {
    let namespace = Namespace::new().unwrap();
    namespace.sh(["ip", "link", "add", "mark", "type", "ifb"]);
    let output = namespace
        .command_with_sys("ls")
        .arg("/sys/class/net")
        .output()
        .unwrap();
    let links = String::from_utf8(output.stdout).unwrap();
    assert!(links.lines().any(|name| name == "mark"), "{links}");
}
