//! The commands that work on directories and networks: a failed look takes nothing for gone.

use std::fs;
use std::path::{Path, PathBuf};

use sandbox::plugin::{Answer, Call, directory};
use serde_json::json;

use super::trial::Trial;
use crate::operators::place::{NETWORK, Place};
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
        begin: &|| (),
        succeeded: &is_gone,
        failed: &is_gone,
    };
    trial.each();
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
    trial.each();
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
    trial.each();
}
