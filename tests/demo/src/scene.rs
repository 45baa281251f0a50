//! The namespaces, the files, and the runner.

use std::io;
use std::path::{Path, PathBuf};

use sandbox::topology::Net;
use sandbox::{Namespace, Topology, plugin};

use crate::network;

/// A node, a machine outside and a pod's empty namespace.
#[derive(Debug)]
pub struct Scene {
    /// The node and the client.
    pub net: Net,
    /// The pod's namespace.
    pub pod: Namespace,
    files: Files,
}

/// The demo's directory, removed in the end.
#[derive(Debug)]
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        // A leftover in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Scene {
    /// Builds the namespaces and writes the configuration.
    pub fn build() -> io::Result<Scene> {
        let dir = std::env::temp_dir().join(format!("cni-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let files = Files(dir);
        let state = files.0.join("tuning");
        std::fs::write(
            files.0.join("demo.conflist"),
            network::conflist(&state.display().to_string()),
        )?;
        Ok(Scene {
            net: Topology::new().containers(0).client().build()?,
            pod: Namespace::new()?,
            files,
        })
    }

    /// Runs the runner, which must succeed; gives what to show.
    pub fn cnictl(&self, verb: &str, options: &[String]) -> io::Result<String> {
        let (ok, text) = self.run(verb, options)?;
        if ok {
            Ok(text)
        } else {
            Err(io::Error::other(text))
        }
    }

    /// Runs the runner, which must fail; gives what to show.
    pub fn conflist_fails(&self, verb: &str) -> io::Result<String> {
        let (ok, text) = self.run(verb, &[])?;
        if ok {
            Err(io::Error::other(format!("{text}\nshould have failed")))
        } else {
            Ok(text)
        }
    }

    fn run(&self, verb: &str, options: &[String]) -> io::Result<(bool, String)> {
        let mut shown = format!("# cnictl {verb} demo pod {}", options.join(" "));
        shown.truncate(shown.trim_end().len());
        let mut command = self.net.host.command(plugin::binary("cnictl"));
        command
            .arg(verb)
            .arg(self.path("demo.conflist"))
            .arg(self.pod.path());
        command.arg("--path").arg(plugin::directory());
        command.arg("--cache-dir").arg(self.path("cache"));
        command.args(["--container-id", "pod"]);
        command.args(options);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if verb != "add" || !output.status.success() {
            shown.push_str(&format!(
                "\n{}{said}",
                String::from_utf8_lossy(&output.stdout)
            ));
        }
        let ok = output.status.success();
        if ok {
            shown = format!("{}\n  ok", shown.trim_end());
        }
        Ok((ok, shown))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.0.join(name)
    }

    /// The pod's interface.
    pub fn pod_link(&self) -> io::Result<String> {
        let text = self.pod.try_sh(&["ip", "-o", "link", "show", "eth0"])?;
        let wanted = |word: &&str| ["mtu", "qlen"].contains(word);
        // `ip -o` marks line breaks by a backslash.
        let words: Vec<&str> = text.split([' ', '\\']).collect();
        let values = words
            .windows(2)
            .filter(|w| wanted(&w[0]))
            .map(|w| format!("{} {}", w[0], w[1]));
        Ok(format!("eth0 {}", values.collect::<Vec<_>>().join(" ")))
    }

    /// The node's rules and queueing disciplines that serve the pod.
    pub fn host_rules(&self) -> io::Result<String> {
        let rules = self.net.host.try_sh(&["iptables-save", "-t", "nat"])?;
        let rules = rules
            .lines()
            .filter(|line| line.contains("DNAT --to") || line.contains("dnat name"));
        let qdiscs = self.net.host.try_sh(&["tc", "qdisc", "show"])?;
        let qdiscs = qdiscs.lines().filter(|line| line.contains("tbf"));
        Ok(rules.chain(qdiscs).collect::<Vec<_>>().join("\n"))
    }

    /// Everything of the node that the chain may touch and must leave as it was.
    pub fn host_state(&self) -> io::Result<String> {
        let host = &self.net.host;
        let links = host.try_sh(&["ip", "-brief", "link"])?;
        let qdiscs = host.try_sh(&["tc", "qdisc", "show"])?;
        let rules = host.try_sh(&["iptables-save", "-t", "nat"])?;
        // The shared chains stay, as with the reference; mappings do not.
        let mappings = rules.lines().filter(|line| line.contains("CNI-DN-"));
        let mappings: Vec<&str> = mappings.collect();
        let files = files_below(&self.path("tuning")) + files_below(&self.path("cache"));
        Ok(format!(
            "{links}{qdiscs}{}\nstate files: {files}",
            mappings.join("\n")
        ))
    }
}

fn files_below(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| {
            if entry.path().is_dir() {
                files_below(&entry.path())
            } else {
                1
            }
        })
        .sum()
}
