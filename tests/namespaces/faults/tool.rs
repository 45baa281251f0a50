//! The commands that work on directories and networks: a failed look takes nothing for gone.

use std::fs;
use std::path::{Path, PathBuf};

use sandbox::Namespace;
use sandbox::plugin::{Answer, Call, directory};
use serde_json::json;

use super::node::difference;
use super::trial::Trial;
use crate::operators::place::{NETWORK, Place};
use crate::portmap::nftables::contents;
use crate::portmap::node::Backend;

#[test]
fn gc_of_a_network_deletes_no_attachment_whose_namespace_is_there() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach("tuning", 0, &json!({}));
    let conf_dir = place.directory.join("net");
    fs::create_dir(&conf_dir).unwrap();
    let conf = place.conf("tuning", 0, &json!({}));
    let plugin = json!({"type": "tuning", "dataDir": conf["dataDir"], "sysctl": conf["sysctl"]});
    let list = json!({"cniVersion": "1.1.0", "name": NETWORK, "plugins": [plugin]});
    fs::write(conf_dir.join("1.conflist"), list.to_string()).unwrap();
    let text = |path: &Path| path.display().to_string();
    let (conf_dir, path) = (text(&conf_dir), text(&directory()));
    let line = [
        "gc",
        NETWORK,
        "--valid-cached",
        "--conf-dir",
        &conf_dir,
        "--path",
        &path,
    ];
    let is_gone = |_: &Answer| {
        let is_there = place.cache_file(0).exists()
            && fs::read_dir(place.data_dir()).unwrap().count() == 1
            && place.pod(0).sysctl("net/core/somaxconn").unwrap() == "500";
        (!is_there).then(|| "a living attachment was deleted".to_owned())
    };
    let trial = Trial {
        host: &place.net.host,
        title: "cnictl gc of a network".into(),
        call: &|| place.tool(&line),
        // Of pipes.
        spared: &["ioctl", "read"],
        own: &[],
        begin: &|| (),
        succeeded: &is_gone,
        failed: &is_gone,
    };
    trial.some();
}

/// A network of a main plugin and ours, which the tool runs.
struct Network {
    place: Place,
    pod: Namespace,
    conf_dir: PathBuf,
}

impl Network {
    fn new() -> Network {
        let place = Place::new(Backend::Nftables, 1);
        let conf_dir = place.directory.join("net");
        fs::create_dir(&conf_dir).unwrap();
        let list = json!({"cniVersion": "1.1.0", "name": NETWORK, "plugins": [
            {"type": "veth", "addresses": [{"address": "10.9.0.2/24", "gateway": "10.9.0.1"}]},
            {"type": "portmap", "backend": "nftables", "snat": false,
             "capabilities": {"portMappings": true}},
        ]});
        fs::write(conf_dir.join("1.conflist"), list.to_string()).unwrap();
        let pod = Namespace::new().unwrap();
        let network = Network {
            place,
            pod,
            conf_dir,
        };
        // What all attachments share stays from now on.
        network.does("add");
        network.does("del");
        network
    }

    fn call(&self, verb: &str) -> Call {
        let netns = self.pod.path().display().to_string();
        let (conf_dir, path) = (self.conf_dir.display().to_string(), directory());
        let path = path.display().to_string();
        let mut line = vec![verb, NETWORK];
        if verb != "status" {
            line.extend([netns.as_str(), "--container-id", "x"]);
        }
        if verb == "add" {
            line.extend(["--publish", "8080:80"]);
        }
        line.extend(["--conf-dir", &conf_dir, "--path", &path]);
        self.place.tool(&line)
    }

    #[track_caller]
    fn does(&self, verb: &str) {
        let answer = self.call(verb).run(&self.place.net.host).unwrap();
        assert_eq!(answer.code, Some(0), "{verb}: {answer:?}");
    }

    /// Rules, links and the cache.
    fn state(&self) -> Vec<String> {
        let mut lines = contents(&self.place.net.host);
        let links = self.place.net.host.sh(["ip", "-br", "link"]);
        let name = |line: &str| line.split('@').next().unwrap_or_default().to_owned();
        lines.extend(links.lines().map(name));
        let cache = fs::read_dir(self.place.cache_dir().join("results")).unwrap();
        lines.extend(cache.map(|entry| entry.unwrap().path().display().to_string()));
        lines.sort();
        lines
    }

    fn trial(
        &self,
        verb: &str,
        spared: &[&str],
        begin: &dyn Fn(),
        succeeded: &dyn Fn(&Answer) -> Option<String>,
        failed: &dyn Fn(&Answer) -> Option<String>,
    ) {
        let trial = Trial {
            host: &self.place.net.host,
            title: format!("cnictl {verb} of a network"),
            call: &|| self.call(verb),
            spared,
            own: &["write"],
            begin,
            succeeded,
            failed,
        };
        trial.some();
    }
}

/// Of pipes.
const PIPES: &[&str] = &["ioctl", "read"];
/// And where nothing but an error is written.
const SAID: &[&str] = &["ioctl", "read", "write"];

/// What a command that failed does not say.
fn silence(answer: &Answer) -> Option<String> {
    let is_silent = answer.code.is_some() && answer.stderr.is_empty() && answer.stdout.is_empty();
    is_silent.then(|| "no error".to_owned())
}

#[test]
fn add_and_del_of_a_network_do_all_or_say_what_stays() {
    let network = Network::new();
    let without = network.state();
    let deleted = || {
        network.does("del");
        difference(&without, &network.state()).map(|left| format!("after del: {left}"))
    };
    let with = {
        network.does("add");
        let with = network.state();
        assert_eq!(deleted(), None);
        with
    };
    let added = || difference(&with, &network.state());
    let begin = || drop(deleted());
    let after_add = |_: &Answer| added().or_else(deleted);
    let not_added = |answer: &Answer| silence(answer).or_else(deleted);
    network.trial("add", PIPES, &begin, &after_add, &not_added);
    let again = || {
        drop(deleted());
        network.does("add");
    };
    let after_del = |_: &Answer| {
        let left = difference(&without, &network.state());
        again();
        left
    };
    let not_deleted = |answer: &Answer| {
        let left = deleted();
        network.does("add");
        silence(answer).or(left)
    };
    network.trial("del", PIPES, &again, &after_del, &not_deleted);
}

#[test]
fn check_and_status_of_a_network_never_succeed_where_something_is_missing() {
    let network = Network::new();
    network.does("add");
    let is_drift = |answer: &Answer| {
        let is_drift = answer.stdout.contains("101") || answer.stderr.contains("code=101");
        let drift = is_drift.then(|| "a drift that is none".to_owned());
        drift.or(silence(answer))
    };
    network.trial("check", PIPES, &|| (), &|_| None, &is_drift);
    network.trial("status", PIPES, &|| (), &|_| None, &silence);
    network.place.net.host.sh(["nft", "flush", "ruleset"]);
    let wrong = |_: &Answer| Some("nothing is there".to_owned());
    network.trial("check", SAID, &|| (), &wrong, &silence);
}

/// A directory of plugins in which one was replaced.
struct Installed {
    place: Place,
    dir: PathBuf,
    from: PathBuf,
}

impl Installed {
    fn new() -> Installed {
        let place = Place::new(Backend::Nftables, 1);
        let (dir, from) = (place.directory.join("bin"), place.directory.join("from"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("tuning"), "the new one").unwrap();
        Installed { place, dir, from }
    }

    /// As it was before any installation.
    fn begin(&self) {
        let _ = fs::remove_dir_all(&self.dir);
        fs::create_dir(&self.dir).unwrap();
        fs::write(self.dir.join("tuning"), "the old one").unwrap();
    }

    fn call(&self, command: &str) -> Call {
        let (dir, from) = (self.dir.display(), self.from.display().to_string());
        let mut line = vec![command.to_owned(), dir.to_string()];
        line.extend(["--plugin", "tuning"].map(str::to_owned));
        if command == "install" {
            line.extend(["--backup", "--from", &from].map(str::to_owned));
        }
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        Call::bare("cnictl").arguments(&words)
    }

    fn does(&self, command: &str) {
        let answer = self.call(command).run(&self.place.net.host).unwrap();
        assert_eq!(answer.code, Some(0), "{command}: {answer:?}");
    }

    /// What is wrong with the plugin's file.
    fn differs(&self, wanted: &[&str]) -> Option<String> {
        let found = fs::read_to_string(self.dir.join("tuning")).unwrap_or_default();
        (!wanted.contains(&found.as_str())).then(|| format!("the plugin is {found:?}"))
    }

    /// What is wrong once it is uninstalled; then it is as in the beginning.
    fn is_not_undone(&self) -> Option<String> {
        // Where the old file was back already, it is taken for somebody else's.
        let answer = self.call("uninstall").run(&self.place.net.host).unwrap();
        assert!(matches!(answer.code, Some(0 | 1)), "{answer:?}");
        let wrong = self.differs(&["the old one"]);
        let names = fs::read_dir(&self.dir).unwrap().count();
        wrong.or((names != 1).then(|| format!("{names} files stay")))
    }
}

#[test]
fn install_puts_a_plugin_there_or_fails_and_uninstall_finds_what_was_there_before() {
    let installed = Installed::new();
    let trial = Trial {
        host: &installed.place.net.host,
        title: "cnictl install".into(),
        call: &|| installed.call("install"),
        spared: &[],
        own: &[],
        begin: &|| installed.begin(),
        succeeded: &|_| {
            let wrong = installed.differs(&["the new one"]);
            wrong.or_else(|| installed.is_not_undone())
        },
        failed: &|_| {
            let wrong = installed.differs(&["the old one", "the new one"]);
            wrong.or_else(|| {
                installed.does("install");
                installed.is_not_undone()
            })
        },
    };
    trial.some();
}

#[test]
fn uninstall_puts_back_what_was_there_or_fails_and_does_it_the_next_time() {
    let installed = Installed::new();
    let again = || {
        installed.begin();
        installed.does("install");
    };
    let trial = Trial {
        host: &installed.place.net.host,
        title: "cnictl uninstall".into(),
        call: &|| installed.call("uninstall"),
        spared: &[],
        own: &[],
        begin: &again,
        succeeded: &|_| {
            let wrong = installed.differs(&["the old one"]);
            again();
            wrong
        },
        failed: &|_| {
            let wrong = installed.differs(&["the old one", "the new one"]);
            let wrong = wrong.or_else(|| installed.is_not_undone());
            again();
            wrong
        },
    };
    trial.some();
}
