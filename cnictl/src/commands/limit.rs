//! `limit`: another limit for a running pod.

use bandwidth::Bandwidth;
use common::cache::{Cache, Entry};
use common::error::short;
use common::{Added, Code, Context, Error, Operate, Plugin};
use serde_json::{Map, Value};

use super::{note, print};
use crate::cli::node::Limit;
use crate::cli::value::Rate;
use crate::owners::{Owners, name};
use crate::plugins::show_warnings;
use crate::requests::{requests, requests_by};

pub fn run(args: &Limit) -> Result<u8, Error> {
    let cache = super::cache(&args.cache_dir)?;
    let entry = find(&cache, args)?;
    let config = changed(entry, args)?;
    let (former, now) = (
        requests::<Bandwidth>(entry)?,
        requests_by::<Bandwidth>(entry, &config)?,
    );
    for request in &now {
        let done = Bandwidth::add(request).map(Added::keep);
        show_warnings::<Bandwidth>(request);
        done?;
    }
    // What is not limited any longer. The new limits are in place by now.
    Bandwidth::retire(&former, &now).map_err(|error| {
        let msg = format!(
            "remove the former limits of {}; the new ones are set. Run the command again",
            name(&entry.attachment)
        );
        Error::new(error.code, msg).with_details(error)
    })?;
    let limits = [("ingress", &args.ingress), ("egress", &args.egress)];
    let told = limits.iter().filter_map(|(direction, rate)| {
        let text = rate.as_ref()?.text.as_str();
        Some(format!("{direction} {text}"))
    });
    let told: Vec<String> = told.collect();
    let code = print(&format!(
        "{}: {}\n",
        name(&entry.attachment),
        told.join(", ")
    ))?;
    note(
        "the runtime does not know about this: cnictl reconcile or follow restores a limit that the \
         runtime requested, reconcile --config-dir also removes one that it did not, and new pods get \
         what it requests",
    );
    Ok(code)
}

/// The only attachment that is meant.
fn find<'a>(cache: &'a Cache, args: &Limit) -> Result<&'a Entry, Error> {
    if let Some(error) = Error::all(cache.faults.clone()) {
        return Err(error);
    }
    let owners = Owners::of(cache);
    let is_meant = |entry: &&Entry| {
        let Entry { attachment, .. } = entry;
        let is_pod = attachment.container == args.pod || owners.is_pod(attachment, &args.pod);
        let is_network = |network: &String| attachment.network == *network;
        is_pod && args.network.as_ref().is_none_or(is_network)
    };
    let mut found = Vec::new();
    for entry in cache.entries.iter().filter(is_meant) {
        if !requests::<Bandwidth>(entry)?.is_empty() {
            found.push(entry);
        }
    }
    let refuse = |msg: String, way_out: &str| {
        Err(Error::new(Code::InvalidConfig, msg).with_details(way_out))
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] => refuse(
            format!(
                "no attachment of {:?} has bandwidth in its chain",
                short(&args.pod)
            ),
            "cnictl limits and ports list pods and containers; without the plugin in its chain, \
             nothing would maintain the limit",
        ),
        several => {
            let names = several.iter().map(|entry| name(&entry.attachment));
            let names: Vec<String> = names.collect();
            refuse(
                format!("{:?} is {}", short(&args.pod), names.join(" and ")),
                "--network or the container's ID says which",
            )
        }
    }
}

/// The network's configuration with the limits in it: there they beat those of the runtime's request.
fn changed(entry: &Entry, args: &Limit) -> Result<Vec<u8>, Error> {
    let tried = || format!("read the configuration in {}", entry.file.display());
    let mut list: Value = serde_json::from_slice(&entry.config).context(Code::Decoding, tried)?;
    let parts = match list.get_mut("plugins").and_then(Value::as_array_mut) {
        Some(plugins) => plugins.iter_mut().collect(),
        None => vec![&mut list],
    };
    let asked = entry
        .capabilities
        .iter()
        .find(|(name, _)| name == Bandwidth::NAME);
    let asked = asked.map(|(_, value)| serde_json::from_str(&value.to_string()));
    let asked: Option<Map<String, Value>> = asked.transpose().context(Code::Decoding, tried)?;
    for part in parts.into_iter().filter_map(Value::as_object_mut) {
        if part.get("type").and_then(Value::as_str) == Some(Bandwidth::NAME) {
            limit(part, asked.as_ref(), args);
        }
    }
    Ok(list.to_string().into_bytes())
}

fn limit(part: &mut Map<String, Value>, asked: Option<&Map<String, Value>>, args: &Limit) {
    const OF_RUNTIME: &str = "bandwidth";
    let is_limit = |key: &String| {
        let key = key.to_ascii_lowercase();
        key.ends_with("rate") || key.ends_with("burst") || key.ends_with("subnets")
    };
    let takes = part.get("capabilities").and_then(|all| all.get(OF_RUNTIME));
    // As the plugin has it: limits of the configuration count alone, or those of the request.
    if !part.keys().any(is_limit)
        && takes == Some(&Value::Bool(true))
        && let Some(asked) = asked
    {
        part.extend(asked.clone());
    }
    for (direction, rate) in [("ingress", &args.ingress), ("egress", &args.egress)] {
        let Some(Rate { rate, burst, .. }) = rate else {
            continue;
        };
        for (what, value) in [("Rate", *rate), ("Burst", *burst)] {
            let key = format!("{direction}{what}");
            part.retain(|known, _| !known.eq_ignore_ascii_case(&key));
            part.insert(key, value.into());
        }
    }
}
