//! From Debian's plugins to ours and back, on a machine whose containers run on.

use std::fs;
use std::io;

use runtimes::chain::{OURS, PLUGINS, Whose, copy_ours};
use runtimes::podman::Podman;
use runtimes::{Machine, image};
use sandbox::Snapshot;

use crate::pod::{assert_no_page, assert_page, fetch};
use crate::podman::{NETWORK, assert_nothing_left};

/// Where the release is unpacked.
const RELEASE: &str = "/run/release";

/// An operator on a machine that runs Debian's plugins.
struct Operator<'a> {
    machine: &'a Machine,
    podman: &'a Podman<'a>,
}

impl Operator<'_> {
    fn unpack(&self) -> io::Result<()> {
        fs::create_dir(self.machine.path(RELEASE))?;
        for name in OURS.iter().chain(&["cnictl"]) {
            copy_ours(self.machine, RELEASE, name)?;
        }
        Ok(())
    }

    fn tool(&self, words: &[&str]) -> io::Result<String> {
        let program = format!("{RELEASE}/cnictl");
        self.machine.sh(&[&[program.as_str()], words].concat())
    }

    /// Every plugin of the chain gets CHECK, as the cache of podman's libcni remembers the container.
    fn check(&self, container: &str) -> io::Result<()> {
        let inspect = |what: &str| {
            let said = self.podman.sh(&["inspect", "--format", what, container])?;
            Ok::<_, io::Error>(said.trim().to_owned())
        };
        let (id, netns) = (
            inspect("{{.Id}}")?,
            inspect("{{.NetworkSettings.SandboxKey}}")?,
        );
        let line = ["check", NETWORK.name, &netns, "--container-id", &id];
        let places = ["--conf-dir", "/run/cni/net.d", "--path", PLUGINS];
        self.tool(&[&line[..], &places[..]].concat()).map(drop)
    }

    /// What a dry run says of that many attachments: nothing has drifted.
    fn assert_in_order(&self, attachments: usize) -> io::Result<()> {
        let before = Snapshot::take(&self.machine.net.host)?;
        let said = self.tool(&["reconcile", "--dry-run", "--verbose"])?;
        let noun = if attachments == 1 {
            "attachment"
        } else {
            "attachments"
        };
        let expected = format!("{attachments} {noun}: {attachments} in order\n");
        assert!(said.ends_with(&expected), "{said}");
        let after = Snapshot::take(&self.machine.net.host)?;
        assert_eq!(before.diff(&after), Vec::<String>::new());
        Ok(())
    }

    /// The plugins that are installed.
    fn plugins(&self) -> io::Result<Vec<Vec<u8>>> {
        let read = |name: &str| fs::read(self.machine.path(PLUGINS).join(name));
        OURS.into_iter().map(read).collect()
    }
}

#[test]
fn containers_run_on_from_the_reference_to_ours_and_back() -> io::Result<()> {
    let machine = Machine::start()?;
    let podman = Podman::install(&machine, &NETWORK, Whose::Reference)?;
    let (host, client) = (&machine.net.host, machine.net.client());
    let operator = Operator {
        machine: &machine,
        podman: &podman,
    };
    operator.unpack()?;
    let before = Snapshot::take(host)?;
    let reference = operator.plugins()?;
    let files = machine.list(PLUGINS)?;

    podman.run("old", &["8080:80"])?;
    assert_page(client, host.v4(8080));
    operator.assert_in_order(1)?;

    operator.tool(&["install", PLUGINS, "--backup"])?;
    assert_ne!(operator.plugins()?, reference);
    assert_eq!(fetch(client, host.v4(8080)), image::PAGE);
    operator.check("old")?;
    operator.assert_in_order(1)?;
    podman.run("new", &["8090:80"])?;
    for port in [8080, 8090] {
        assert_page(client, host.v4(port));
    }
    operator.check("new")?;
    operator.assert_in_order(2)?;
    podman.sh(&["rm", "--force", "--time=0", "old", "new"])?;
    assert_no_page(client, host.v4(8090));
    assert_nothing_left(&machine, &before);

    podman.run("ours", &["8080:80"])?;
    assert_page(client, host.v4(8080));
    operator.tool(&["uninstall", PLUGINS])?;
    assert_eq!(operator.plugins()?, reference);
    assert_eq!(machine.list(PLUGINS)?, files);
    assert_eq!(fetch(client, host.v4(8080)), image::PAGE);
    // By ours only: the reference's CHECK of tuning looks for an interface called IFNAME.
    operator.assert_in_order(1)?;
    podman.sh(&["rm", "--force", "--time=0", "ours"])?;
    assert_nothing_left(&machine, &before);
    Ok(())
}
