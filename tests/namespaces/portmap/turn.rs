//! One change of an attachment at a time: a DEL waits for the programs of an ADD that was killed, but
//! not for ever, and an ADD without the means to say that it is at work goes on without.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::{executable, wait_until};

use super::node::{Backend, Host, mapping, on_both_variants, request};
use crate::faults::{self, End};

on_both_variants!(where_nothing_can_be_locked_add_goes_on);

/// Long enough for anything here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Puts scripts in front of what ADD starts: once they have their input they say so, and wait for the
/// file `go` before they use it.
fn hold_the_programs(host: &Host) {
    for base in ["iptables", "ip6tables"] {
        let program = host.directory.join(format!("{base}-restore"));
        let real = fs::read_link(&program).unwrap();
        // The loop ends by itself where the test fails before it writes the file.
        let text = format!(
            "#!/bin/sh\nd={} n=0\ncat >$d/{base}-input\nprintf x >>$d/begun\n\
             while [ ! -e $d/go ] && [ $n -lt 3000 ]; do sleep 0.01; n=$((n + 1)); done\n\
             {} \"$@\" <$d/{base}-input\nprintf x >>$d/ended\n",
            host.directory.display(),
            real.display()
        );
        executable::script(&program, &text).unwrap();
    }
}

/// Only the legacy variant is written by programs.
#[test]
fn del_waits_for_the_programs_of_a_killed_add() {
    let host = Host::usual(Backend::IptablesLegacy);
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    host.run("DEL", &request);
    hold_the_programs(&host);
    let count = |name: &str| fs::metadata(host.directory.join(name)).map_or(0, |file| file.len());
    let mut add = host.call("ADD", &request).spawn(&host.net.host).unwrap();
    assert!(wait_until(PATIENCE, || count("begun") == 2));
    add.kill().unwrap();
    add.wait().unwrap();
    let del = host.call("DEL", &request).spawn(&host.net.host).unwrap();
    faults::until_it_waits(&del);
    fs::write(host.directory.join("go"), "").unwrap();
    assert!(wait_until(PATIENCE, || count("ended") == 2));
    let answer = del.wait().unwrap();
    assert_eq!(answer.code, Some(0), "{answer:?}");
    host.is_clean();
}

fn where_nothing_can_be_locked_add_goes_on(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    let attachment = faults::Attachment {
        host: &host.net.host,
        call: &|verb| host.call(verb, &request),
        state: &|| host.state().lines().map(str::to_owned).collect(),
    };
    // The first three are about stdout and files that are closed; then the turn's file is given to programs,
    // and locked. Programs need their own calls of fcntl.
    for nth in [4, 5] {
        let fault = ("fcntl", "ENOLCK", nth);
        let (answer, is_met) =
            faults::injected(&host.net.host, &(attachment.call)("ADD"), fault, &[]);
        assert!(is_met, "{nth}: {answer:?}");
        assert_eq!(attachment.judge(&answer, &[], "without a lock"), End::Added);
    }
    attachment.succeeds("DEL", "without a lock");
    host.is_clean();
}

/// The lock is out of reach of all but root, for its directory.
#[test]
fn who_has_no_rights_cannot_take_a_turn() {
    let host = Host::usual(Backend::IptablesNft);
    host.run("ADD", &request("", &mapping("tcp", 8080, 80)));
    let mut nobody = Command::new("cat");
    nobody.arg("/run/cni/portmap/lock").uid(65534).gid(65534);
    assert!(!nobody.output().unwrap().status.success());
    let root = fs::metadata("/run/cni/portmap").unwrap();
    assert_eq!((root.uid(), root.mode() & 0o7777), (0, 0o700));
}

/// Without the key `backend`, the programs of iptables decide which one it is, once for a verb.
#[test]
fn an_add_during_which_iptables_is_removed_keeps_its_backend() {
    let request = request("", &mapping("tcp", 8080, 80));
    // The host names no backend then.
    let request = request.replacen(r#""type":"portmap""#, r#""type": "portmap""#, 1);
    let mut added = 0;
    for nth in 1..60 {
        let host = Host::usual(Backend::IptablesNft);
        let gone = format!("error=ENOENT:when={nth}+");
        let add = host.call("ADD", &request).injected("statx", &gone);
        let answer = add.run(&host.net.host).unwrap();
        if answer.code == Some(0) {
            added += 1;
            let nat = host.nat("iptables");
            let tables = host.net.host.sh(["nft", "list", "tables"]);
            let is_by_nftables = tables.contains("cni_portmap");
            assert!(
                nat.contains("CNI-DN-") != is_by_nftables,
                "{nth}: {nat}{tables}"
            );
        }
        host.ok(&host.call("DEL", &request));
        assert!(!host.nat("iptables").contains("CNI-DN-"), "{nth}");
    }
    assert!(added > 10, "{added}");
}

/// Kubelet gives a runtime two minutes for a sandbox, so DEL says what is wrong in half of that.
#[test]
fn del_behind_a_stopped_add_fails_in_time_and_works_when_that_has_ended() {
    let host = Host::usual(Backend::IptablesNft);
    let request = request("", &mapping("tcp", 8080, 80));
    let other = host
        .call("ADD", &request)
        .env("CNI_CONTAINERID", "cid-0002");
    let answer = faults::held_at(&host.net.host, &host.call("ADD", &request), 4, || {
        let started = Instant::now();
        let said = host.fails(&host.call("DEL", &request), 11);
        let took = started.elapsed();
        assert!(
            said.contains("end the process that has /run/cni/portmap/lock open"),
            "{said}"
        );
        assert!((55..75).contains(&took.as_secs()), "{took:?}");
        // Others wait for it, once in a verb.
        let started = Instant::now();
        host.ok(&other);
        host.ok(&other.clone().env("CNI_COMMAND", "DEL"));
        let took = started.elapsed();
        assert!(took < Duration::from_secs(50), "{took:?}");
    });
    assert_eq!(answer.unwrap().code, Some(0));
    host.run("DEL", &request);
    host.is_clean();
}
