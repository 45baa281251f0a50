//! The verbs over a whole chain, in the order and with the previous results that libcni gives.

use std::path::PathBuf;
use std::time::Instant;

use common::version::Version;
use serde_json::Value;

use crate::note;
use crate::runner::answer::Answer;
use crate::runner::cache::{self, Cache, Entry};
use crate::runner::network::Plugin;
use crate::runner::request::{self, Request, ValidAttachment};
use crate::runner::{Attachment, Error, Network, Result, Verb, exec, trace};

/// Runs the plugins of networks.
#[derive(Debug)]
pub struct Runner {
    /// Where the binaries are; also `CNI_PATH` for the plugins.
    pub path: Vec<PathBuf>,
    /// Where results are remembered.
    pub cache: Cache,
    /// The runner's own binary, which is used as `veth` where no plugin of that name is installed.
    pub builtin: Option<PathBuf>,
    /// Whether every request and answer is shown, and not only what plugins write to stderr.
    pub is_traced: bool,
}

/// What a verb did that need not concern every plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every plugin was called.
    Done,
    /// No plugin was called, for this reason.
    Skipped(String),
}

/// What one plugin says about versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The `type` of the plugin.
    pub plugin: String,
    /// The binary that answered.
    pub path: PathBuf,
    /// The versions it supports.
    pub supported: Vec<String>,
}

impl Runner {
    /// Attaches the container, and remembers the result, which it returns.
    ///
    /// If a plugin fails, the whole chain gets DEL, as runtimes do it, including the plugins
    /// that were never called. A plugin that is not installed is noticed before anything is run:
    /// its DEL could not be run either. An attachment that the cache has from an earlier ADD is left as
    /// it is: it may be in use.
    pub fn add(&self, network: &Network, on: &Attachment) -> Result<Value> {
        for plugin in &network.plugins {
            exec::find(&plugin.kind, &self.path, self.builtin.as_deref())?;
        }
        let earlier = self.cache.read(network, on);
        let add = match self.add_chain(network, on) {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        // What cannot be read may be of a living attachment, too.
        if !matches!(earlier, Ok(None)) {
            let file = self.cache.file(network, on);
            let why = format!("as an earlier ADD of it is in {}", file.display());
            return Err(Error::Several {
                text: format!("{add}\nDEL was not run, {why}: cnictl del removes it"),
                msg: format!("ADD failed; DEL was not run, {why}"),
                errors: vec![add],
            });
        }
        match self.del(network, on) {
            Ok(()) => Err(add),
            Err(del) => Err(Error::Several {
                text: format!("{add}\nthe DEL that followed failed too: {del}"),
                msg: "ADD failed, and so did the DEL that followed".into(),
                errors: vec![add, del],
            }),
        }
    }

    fn add_chain(&self, network: &Network, on: &Attachment) -> Result<Value> {
        let mut result = None;
        for plugin in &network.plugins {
            let request = self.of_attachment(Verb::Add, (network, plugin), on, result.as_ref());
            result = Some(self.ask(&request)?.result(&request, &network.cni_version)?);
        }
        let result = result.unwrap_or_default();
        self.cache.write(network, on, &result)?;
        Ok(result)
    }

    /// Checks with every plugin that the attachment is still what ADD made it, and stops at the first failure.
    pub fn check(&self, network: &Network, on: &Attachment) -> Result<Outcome> {
        if !network.has(Version::V040)? {
            let version = &network.cni_version;
            let problem = format!("CHECK needs cniVersion 0.4.0 or newer, but this is {version:?}");
            return Err(Error::config(&network.name, problem));
        }
        if network.disable_check {
            return Ok(Outcome::Skipped(
                "the configuration has disableCheck".into(),
            ));
        }
        let Some(result) = self.cached_result(network, on)? else {
            let (name, container, ifname) = (&network.name, &on.container, &on.ifname);
            return Err(Error::Own(format!(
                "nothing to check: {} has no result of ADD for container {container} and interface \
                 {ifname} on network {name}; --container-id, --ifname and --cache-dir name another",
                self.cache.file(network, on).display()
            )));
        };
        self.each(&network.plugins, network, Verb::Check, on, Some(&result))?;
        Ok(Outcome::Done)
    }

    /// Detaches the container, in reverse order, and forgets the result. Stops at the first failure:
    /// the result stays remembered then, for the next attempt.
    pub fn del(&self, network: &Network, on: &Attachment) -> Result<()> {
        let result = match network.has(Version::V040)? {
            // A result that cannot be read must not block DEL for ever.
            true => self.cached_result(network, on).unwrap_or(None),
            false => None,
        };
        let plugins = network.plugins.iter().rev();
        self.each(plugins, network, Verb::Del, on, result.as_ref())?;
        self.cache.remove(network, on)
    }

    /// Gives DEL to every attachment of these that is not in the list, then GC to the plugins
    /// (from version 1.1.0). Carries on after failures, and reports them all. `remembered` is what was
    /// in the cache before the list was made: what came later does not concern it.
    ///
    /// `None` means what cnitool means: no attachment is valid, and the plugins get no list.
    pub fn gc(
        &self,
        network: &Network,
        remembered: &[Entry],
        valid: Option<&[ValidAttachment]>,
    ) -> Result<Outcome> {
        if network.disable_gc {
            return Ok(Outcome::Skipped("the configuration has disableGC".into()));
        }
        let mut errors = Vec::new();
        for entry in remembered {
            let on = &entry.attachment;
            let is_this =
                |v: &ValidAttachment| v.container == on.container && v.ifname == on.ifname;
            if !valid.unwrap_or_default().iter().any(is_this) {
                errors.extend(self.del(network, on).err());
            }
        }
        if !network.has(Version::V110)? {
            let version = &network.cni_version;
            let skipped = format!("GC needs cniVersion 1.1.0, but this is {version:?}");
            return Error::join(errors).map(|()| Outcome::Skipped(skipped));
        }
        for plugin in &network.plugins {
            let request = self.of_gc(network, plugin, valid);
            let answer = self.ask(&request);
            errors.extend(answer.and_then(|answer| answer.check(&request)).err());
        }
        Error::join(errors).map(|()| Outcome::Done)
    }

    /// Runs STATUS of every plugin, and stops at the first that is not ready for ADD.
    pub fn status(&self, network: &Network) -> Result<Outcome> {
        if !network.has(Version::V110)? {
            let version = &network.cni_version;
            let skipped = format!("STATUS needs cniVersion 1.1.0, but this is {version:?}");
            return Ok(Outcome::Skipped(skipped));
        }
        for plugin in &network.plugins {
            let request = self.of_status(network, plugin);
            self.ask(&request)?.check(&request)?;
        }
        Ok(Outcome::Done)
    }

    /// Runs VERSION of every plugin of the chain once: the versions that it supports.
    pub fn versions(&self, network: &Network) -> Result<Vec<Versions>> {
        let mut versions: Vec<Versions> = Vec::new();
        for Plugin { kind, .. } in &network.plugins {
            if versions.iter().any(|known| known.plugin == *kind) {
                continue;
            }
            let request = request::version(kind);
            let supported = self.ask(&request)?.versions(&request)?;
            let path = exec::find(kind, &self.path, self.builtin.as_deref())?.path;
            versions.push(Versions {
                plugin: kind.clone(),
                path,
                supported,
            });
        }
        Ok(versions)
    }

    /// Fills in what ADD was given, where nothing is given now: `CNI_ARGS`, and capabilities.
    ///
    /// # Errors
    /// Where it cannot be read: without its ports an attachment is in order that is not.
    pub fn recall(&self, network: &Network, mut on: Attachment) -> Result<Attachment> {
        let entry = self.cache.read(network, &on)?;
        if let Some(entry) = entry {
            if on.args.is_empty() {
                on.args = entry.attachment.args;
            }
            if on.capabilities.is_empty() {
                on.capabilities = entry.attachment.capabilities;
            }
        }
        Ok(on)
    }

    fn each<'p>(
        &self,
        plugins: impl IntoIterator<Item = &'p Plugin>,
        network: &Network,
        verb: Verb,
        on: &Attachment,
        prev_result: Option<&Value>,
    ) -> Result<()> {
        for plugin in plugins {
            let request = self.of_attachment(verb, (network, plugin), on, prev_result);
            self.ask(&request)?.check(&request)?;
        }
        Ok(())
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        let program = exec::find(&request.plugin, &self.path, self.builtin.as_deref())?;
        if self.is_traced {
            note(trace::request_text(request, &program.path).trim_end());
        }
        let start = Instant::now();
        let answer = exec::run(&program, request)?;
        if self.is_traced {
            note(trace::answer_text(request, &answer, start.elapsed()).trim_end());
        } else if answer.success && !answer.stderr.is_empty() {
            // As libcni does it; after a failure it is part of the error.
            note(String::from_utf8_lossy(&answer.stderr).trim_end());
        }
        Ok(answer)
    }

    /// The result of the last ADD, in the version of the configuration, which may have changed since.
    pub fn cached_result(&self, network: &Network, on: &Attachment) -> Result<Option<Value>> {
        let entry = self.cache.read(network, on)?;
        let Some(result) = entry.and_then(|entry| entry.result) else {
            return Ok(None);
        };
        cache::in_version(result, &network.cni_version)
            .map(Some)
            .map_err(|problem| Error::config(&network.name, problem))
    }
}
