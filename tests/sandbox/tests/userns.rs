//! The sandbox works without root. Run as root, this test first becomes nobody.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a main of its own"
)]

use nix::sys::prctl::set_dumpable;
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};
use sandbox::probe::tcp;
use sandbox::{Snapshot, Topology, userns};

fn become_nobody() {
    setgroups(&[]).unwrap();
    setgid(Gid::from_raw(65534)).unwrap();
    setuid(Uid::from_raw(65534)).unwrap();
    // A change of user makes /proc/self root's (PR_SET_DUMPABLE, prctl(2)); an unprivileged caller owns it.
    set_dumpable(true).unwrap();
}

fn main() {
    if geteuid().is_root() {
        become_nobody();
    }
    userns::enter_unless_root().unwrap();
    assert!(geteuid().is_root());
    std::fs::write("/run/sandbox-test", "writable").unwrap();

    let net = Topology::new().client().build().unwrap();
    let _server = tcp::Server::start(&net.containers[0], 80, "web").unwrap();
    net.host.sh([
        "iptables",
        "-t",
        "nat",
        "-A",
        "PREROUTING",
        "-p",
        "tcp",
        "--dport",
        "8080",
        "-j",
        "DNAT",
        "--to",
        "10.22.0.2:80",
    ]);
    assert_eq!(
        tcp::exchange(net.client(), net.host.v4(8080)).server(),
        Some("web")
    );
    assert_eq!(Snapshot::take(&net.host).unwrap().iptables.len(), 1);
    println!("the sandbox works without root: ok");
}
