//! From the command line and the environment to a network, an attachment and a runner.

use std::env;
use std::path::{Path, PathBuf};

use common::error::{Code, Context, short};

use crate::cli::network::{Attach, Common};
use crate::cli::node::Gc;
use crate::runner::attachment::{default_container, netns_path, parse_cni_arg, parse_cni_args};
use crate::runner::cache::{Cache, Entry};
use crate::runner::request::ValidAttachment;
use crate::runner::{Attachment, Error, Network, Result, Runner, capabilities, conf_dir, names};

const DEFAULT_PATH: &str = "/opt/cni/bin:/usr/lib/cni";

/// The network that was named.
pub fn network(common: &Common, name: &str) -> Result<Network> {
    conf_dir::find(&configurations(common.conf_dir.as_ref()), name)
}

/// The directory of configurations: the one that was named, or the usual one.
pub fn configurations(named: Option<&PathBuf>) -> PathBuf {
    let dir = named
        .cloned()
        .or_else(|| variable("NETCONFPATH").map(PathBuf::from));
    dir.unwrap_or_else(|| PathBuf::from(conf_dir::DEFAULT))
}

/// The directories of plugins: those that were named, or the usual ones.
pub fn plugins(named: Option<&String>) -> Vec<PathBuf> {
    let path = named.cloned().or_else(|| variable("CNI_PATH"));
    let path = path.as_deref().unwrap_or(DEFAULT_PATH);
    let dirs = path.split(':').filter(|dir| !dir.is_empty());
    dirs.map(PathBuf::from).collect()
}

/// The runner; its own binary is used for a missing `veth`.
pub fn runner(common: &Common) -> Runner {
    Runner {
        path: plugins(common.path.as_ref()),
        cache: Cache::new(&common.cache_dir),
        builtin: env::current_exe().ok(),
        is_traced: common.trace,
    }
}

/// The attachment. Only DEL may go without a namespace, and then needs the container's ID.
pub fn attachment(attach: &Attach, netns_may_be_gone: bool) -> Result<Attachment> {
    let netns = netns_path(attach.netns.as_deref().unwrap_or_default())?;
    let container = match (&attach.container_id, netns.as_str()) {
        (Some(_), "") if !netns_may_be_gone => return Err(Error::Own("NETNS is missing".into())),
        (None, "") => {
            return Err(Error::Own(
                "NETNS is missing (DEL also works with --container-id)".into(),
            ));
        }
        (Some(id), _) => id.clone(),
        (None, netns) => default_container(netns),
    };
    let mut args = parse_cni_args(&variable("CNI_ARGS").unwrap_or_default())?;
    for pair in &attach.args {
        args.push(parse_cni_arg(pair)?);
    }
    let ifname = attach.ifname.clone().or_else(|| variable("CNI_IFNAME"));
    let ifname = ifname.unwrap_or_else(|| "eth0".into());
    let capabilities = capabilities::collect(attach, variable("CAP_ARGS").as_deref())?;
    names::check_attachment(&container, &ifname)?;
    Ok(Attachment {
        container,
        netns,
        ifname,
        args,
        capabilities,
    })
}

/// The list for GC, of what is remembered; `None` if no option is about valid attachments.
pub fn valid_attachments(gc: &Gc, remembered: &[Entry]) -> Result<Option<Vec<ValidAttachment>>> {
    if gc.valid.is_empty() && !gc.valid_cached && !gc.none_valid {
        return Ok(None);
    }
    let valid = gc.valid.iter().map(|text| valid_attachment(text));
    let mut valid = valid.collect::<Result<Vec<_>>>()?;
    if gc.valid_cached {
        for Entry { attachment: on, .. } in remembered {
            // One that is not named may be there.
            if on.netns.is_empty() || is_there(&on.netns)? {
                valid.push(ValidAttachment {
                    container: on.container.clone(),
                    ifname: on.ifname.clone(),
                });
            }
        }
    }
    Ok(Some(valid))
}

/// Whether an attachment's namespace is still there.
fn is_there(netns: &str) -> Result<bool> {
    let found = Path::new(netns).try_exists();
    Ok(found.context(Code::Io, || format!("look at {netns}"))?)
}

fn valid_attachment(text: &str) -> Result<ValidAttachment> {
    let Some((container, ifname)) = text.split_once('/') else {
        return Err(Error::Own(format!(
            "--valid expects CONTAINER/IFNAME: {:?}",
            short(text)
        )));
    };
    names::check_attachment(container, ifname)?;
    Ok(ValidAttachment {
        container: container.to_owned(),
        ifname: ifname.to_owned(),
    })
}

/// A variable of the environment; empty is as good as unset.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
