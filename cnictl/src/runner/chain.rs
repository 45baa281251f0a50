//! The verbs over a whole chain, in the order and with the previous results that libcni gives.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use crate::runner::answer::Answer;
use crate::runner::cache::{self, Cache, Entry};
use crate::runner::exec;
use crate::runner::network::Plugin;
use crate::runner::request::{self, Request, RequestWriter, ValidAttachment};
use crate::runner::spec_version::{CHECK, GC_AND_STATUS};
use crate::runner::trace::Observer;
use crate::runner::{Attachment, Error, Network, Result, Verb, names};

/// Runs the plugins of networks.
pub struct Runner<'a> {
    /// Where the binaries are; also `CNI_PATH` for the plugins.
    pub path: Vec<PathBuf>,
    /// Where results are remembered.
    pub cache: Cache,
    /// The runner's own binary, which is used as `veth` where no plugin of that name is installed.
    pub builtin: Option<PathBuf>,
    /// Sees requests and answers.
    pub observer: Option<&'a dyn Observer>,
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

impl Runner<'_> {
    /// Attaches the container, and remembers the result, which it returns.
    ///
    /// If a plugin fails, the whole chain gets DEL, as runtimes do it, including the plugins
    /// that were never called. A plugin that is not installed is noticed before anything is run:
    /// its DEL could not be run either. An attachment that the cache has from an earlier ADD is left as
    /// it is: it may be in use.
    pub fn add(&self, network: &Network, on: &Attachment) -> Result<Value> {
        names::check_network(&network.name)?;
        on.check_names()?;
        for plugin in &network.plugins {
            exec::find(&plugin.kind, &self.path, self.builtin.as_deref())?;
        }
        let file = self.cache.file(&network.name, &on.container, &on.ifname);
        let earlier = self.cache.read(&network.name, &on.container, &on.ifname);
        let add = match self.add_chain(network, on) {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        // What cannot be read may be of a living attachment, too.
        if !matches!(earlier, Ok(None)) {
            let add = Box::new(add);
            return Err(Error::AddAgain { add, file });
        }
        match self.del(network, on) {
            Ok(()) => Err(add),
            Err(del) => Err(Error::AddAndDel {
                add: Box::new(add),
                del: Box::new(del),
            }),
        }
    }

    fn add_chain(&self, network: &Network, on: &Attachment) -> Result<Value> {
        let writer = self.writer(network);
        let mut result = None;
        for plugin in &network.plugins {
            let request = writer.attachment(Verb::Add, plugin, on, result.as_ref());
            result = Some(self.ask(&request)?.result(&request, &network.cni_version)?);
        }
        let result = result.unwrap_or_default();
        self.cache.write(network, on, &result)?;
        Ok(result)
    }

    /// Checks with every plugin that the attachment is still what ADD made it, and stops at the first failure.
    pub fn check(&self, network: &Network, on: &Attachment) -> Result<Outcome> {
        names::check_network(&network.name)?;
        on.check_names()?;
        if network.version()? < CHECK {
            let problem = format!(
                "CHECK needs cniVersion {CHECK} or newer, but this is {:?}",
                network.cni_version
            );
            return Err(Error::config(&network.name, problem));
        }
        if network.disable_check {
            return Ok(Outcome::Skipped(
                "the configuration has disableCheck".into(),
            ));
        }
        let Some(result) = self.cached_result(network, on)? else {
            let file = self.cache.file(&network.name, &on.container, &on.ifname);
            return Err(Error::NotAttached {
                network: network.name.clone(),
                container: on.container.clone(),
                ifname: on.ifname.clone(),
                file,
            });
        };
        self.each(
            network.plugins.iter(),
            network,
            Verb::Check,
            on,
            Some(&result),
        )?;
        Ok(Outcome::Done)
    }

    /// Detaches the container, in reverse order, and forgets the result. Stops at the first failure:
    /// the result stays remembered then, for the next attempt.
    pub fn del(&self, network: &Network, on: &Attachment) -> Result<()> {
        names::check_network(&network.name)?;
        on.check_names()?;
        let result = if network.version()? >= CHECK {
            // A result that cannot be read must not block DEL for ever.
            self.cached_result(network, on).unwrap_or(None)
        } else {
            None
        };
        self.each(
            network.plugins.iter().rev(),
            network,
            Verb::Del,
            on,
            result.as_ref(),
        )?;
        self.cache.remove(&network.name, &on.container, &on.ifname)
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
        names::check_network(&network.name)?;
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
        if network.version()? < GC_AND_STATUS {
            let skipped = format!(
                "GC needs cniVersion {GC_AND_STATUS}, but this is {:?}",
                network.cni_version
            );
            return Error::join(errors).map_or(Ok(Outcome::Skipped(skipped)), Err);
        }
        for plugin in &network.plugins {
            let request = self.writer(network).gc(plugin, valid);
            errors.extend(
                self.ask(&request)
                    .and_then(|answer| answer.check(&request))
                    .err(),
            );
        }
        Error::join(errors).map_or(Ok(Outcome::Done), Err)
    }

    /// Runs STATUS of every plugin, and stops at the first that is not ready for ADD.
    pub fn status(&self, network: &Network) -> Result<Outcome> {
        names::check_network(&network.name)?;
        if network.version()? < GC_AND_STATUS {
            let version = &network.cni_version;
            return Ok(Outcome::Skipped(format!(
                "STATUS needs cniVersion {GC_AND_STATUS}, but this is {version:?}"
            )));
        }
        for plugin in &network.plugins {
            let request = self.writer(network).status(plugin);
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
        let entry = self.cache.read(&network.name, &on.container, &on.ifname)?;
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
        plugins: impl Iterator<Item = &'p Plugin>,
        network: &Network,
        verb: Verb,
        on: &Attachment,
        prev_result: Option<&Value>,
    ) -> Result<()> {
        for plugin in plugins {
            let request = self
                .writer(network)
                .attachment(verb, plugin, on, prev_result);
            self.ask(&request)?.check(&request)?;
        }
        Ok(())
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        let program = exec::find(&request.plugin, &self.path, self.builtin.as_deref())?;
        if let Some(observer) = self.observer {
            observer.request(request, &program.path);
        }
        let start = Instant::now();
        let answer = exec::run(&program, request)?;
        if let Some(observer) = self.observer {
            observer.answer(request, &answer, start.elapsed());
        }
        Ok(answer)
    }

    /// The result of the last ADD, in the version of the configuration, which may have changed since.
    pub fn cached_result(&self, network: &Network, on: &Attachment) -> Result<Option<Value>> {
        let entry = self.cache.read(&network.name, &on.container, &on.ifname)?;
        let Some(result) = entry.and_then(|entry| entry.result) else {
            return Ok(None);
        };
        cache::in_version(result, &network.cni_version)
            .map(Some)
            .map_err(|problem| Error::config(&network.name, problem))
    }

    fn writer<'n>(&'n self, network: &'n Network) -> RequestWriter<'n> {
        RequestWriter {
            network,
            path: &self.path,
        }
    }
}
