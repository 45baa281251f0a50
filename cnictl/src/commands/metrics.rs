//! `metrics`: what the tables show and `reconcile` and `follow` did, as numbers for node_exporter.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use common::cache::Cache;
use common::sys::file::Draft;
use common::{Attachment, Code, Error};

use super::{lacking, limits, print, sysctls, whole};
use crate::cli::node::Metrics;
use crate::exposition::{Labels, Metric, text};
use crate::mappings::{Mapping, mappings};
use crate::owners::Owners;
use crate::plugins::Plugin;
use crate::record::Record;
use crate::state::State;

pub fn run(args: &Metrics) -> Result<u8, Error> {
    let start = Instant::now();
    let cache = super::cache(&args.cache_dir)?;
    let mut page = Page::default();
    page.attachments(&cache);
    page.node(&cache);
    let mut records = Vec::new();
    for plugin in Plugin::chosen(&[]) {
        match Record::read(&args.state_dir, plugin) {
            Ok(record) => records.extend(record.map(|record| (plugin, record))),
            Err(error) => page.errors.push(error),
        }
    }
    page.reconciled(&records);
    let lacking = lacking(&cache, page.errors);
    let mut errors = Metric::gauge(
        "cni_metrics_errors",
        "Reads that failed; the metrics may lack what they would have shown",
    );
    errors.sample(Labels::new(), lacking.len() as u64);
    let mut took = Metric::gauge(
        "cni_metrics_duration_seconds",
        "How long it took to collect these metrics",
    );
    took.seconds(Labels::new(), start.elapsed().as_secs_f64());
    page.metrics.extend([errors, took]);
    let text = text(page.metrics)?;
    match &args.output {
        Some(file) => write(file, &text)?,
        None => drop(print(&text)?),
    }
    Ok(whole(lacking))
}

/// Whole or not at all, and readable: node_exporter is not root.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    let refused = |details: &str| {
        let msg = format!("--output {} cannot be written", file.display());
        Err(Error::new(Code::Io, msg).with_details(details))
    };
    let dir = match file.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
        Some(dir) => dir,
        None => return refused("it is a directory"),
    };
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        return refused("it does not end in a file name");
    };
    match fs::metadata(dir) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => return refused("its parent is not a directory"),
        Err(error) => return refused(&format!("its directory: {error}")),
    }
    let draft = Draft::write(
        dir,
        &format!(".{name}.{}", std::process::id()),
        text.as_bytes(),
    )?;
    draft.publish()?;
    draft.replace(name)
}

/// What was found so far.
#[derive(Debug, Default)]
struct Page {
    metrics: Vec<Metric>,
    errors: Vec<Error>,
}

impl Page {
    fn attachments(&mut self, cache: &Cache) {
        let mut all = Metric::gauge("cni_attachments", "Attachments in the runtime's cache");
        for entry in &cache.entries {
            all.count(vec![("network", entry.attachment.network.clone())]);
        }
        self.metrics.push(all);
    }

    /// What the kernel has; what cannot be read of it leaves the rest.
    fn node(&mut self, cache: &Cache) {
        let owners = Owners::of(cache);
        if let Some(all) = self.found(mappings(&owners)) {
            self.mappings(&all, &owners);
        }
        if let Some(all) = self.found(limits::look(&owners)) {
            self.limits(&all, &owners);
        }
        if let Some(all) = self.found(sysctls::look(&[], &owners)) {
            let mut values = Metric::gauge("cni_tuning_values", "Values that tuning changed");
            for row in &all {
                values.count(vec![("state", row.state.word().into())]);
            }
            self.metrics.push(values);
        }
    }

    /// What was found, and what is not known of it.
    fn found<T>(&mut self, look: Result<(T, Vec<Error>), Error>) -> Option<T> {
        match look {
            Ok((found, unknown)) => {
                self.errors.extend(unknown);
                Some(found)
            }
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn mappings(&mut self, all: &[Mapping], owners: &Owners<'_>) {
        let mut mappings = Metric::gauge("cni_portmap_mappings", "Host ports");
        let mut connections = Metric::counter(
            "cni_portmap_connections",
            "Connections that a host port's rule or element has counted",
        );
        // Entries of one list may map one port, each for other packets.
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut counted: Vec<(Labels, u64)> = Vec::new();
        for Mapping { row, state, .. } in all {
            mappings.count(vec![
                ("backend", row.backend.into()),
                ("state", state.word().into()),
            ]);
            if let Some(counters) = row.counters {
                let mut labels = labels(owners, &row.owner);
                let address = row.forward.port.address.map(|ip| ip.to_string());
                labels.extend([
                    ("backend", row.backend.to_owned()),
                    ("protocol", row.forward.port.protocol.name().to_owned()),
                    ("host_ip", address.unwrap_or_default()),
                    ("host_port", row.forward.port.number.to_string()),
                    ("to", row.forward.to.to_string()),
                ]);
                let place = *places.entry(labels).or_insert_with_key(|labels| {
                    counted.push((labels.clone(), 0));
                    counted.len() - 1
                });
                if let Some((_, packets)) = counted.get_mut(place) {
                    *packets += counters.packets;
                }
            }
        }
        for (labels, packets) in counted {
            connections.sample(labels, packets);
        }
        self.metrics.extend([mappings, connections]);
    }

    fn limits(&mut self, all: &[limits::Row], owners: &Owners<'_>) {
        let mut limits = Metric::gauge("cni_bandwidth_limits", "Limits");
        for row in all {
            limits.count(vec![("state", row.state.word().into())]);
        }
        self.metrics.push(limits);
        type Value = fn(&bandwidth::list::Limit) -> u64;
        let each: [(Metric, Value); 6] = [
            (
                Metric::gauge(
                    "cni_bandwidth_limit_bytes_per_second",
                    "The rate of a limit",
                ),
                |limit| limit.rate / 8,
            ),
            (
                Metric::counter("cni_bandwidth_sent_bytes", "Bytes that a limit sent"),
                |limit| limit.bytes,
            ),
            (
                Metric::counter("cni_bandwidth_sent_packets", "Packets that a limit sent"),
                |limit| limit.packets,
            ),
            (
                Metric::counter(
                    "cni_bandwidth_dropped_packets",
                    "Packets that a limit dropped",
                ),
                |limit| limit.drops.into(),
            ),
            (
                Metric::counter(
                    "cni_bandwidth_overlimits",
                    "How often a limit delayed a packet",
                ),
                |limit| limit.overlimits.into(),
            ),
            (
                Metric::gauge("cni_bandwidth_backlog_bytes", "Bytes in the queue"),
                |limit| limit.backlog.into(),
            ),
        ];
        for (mut metric, value) in each {
            // What is missing has no counters, unless its queue is there.
            let is_there = |row: &&limits::Row| {
                row.limit.packets > 0 || !matches!(row.state, State::Missing(_))
            };
            for row in all.iter().filter(is_there) {
                let mut labels = labels(owners, &row.owner);
                labels.push(("direction", row.limit.direction.to_owned()));
                labels.push(("device", row.limit.device.clone()));
                metric.sample(labels, value(&row.limit));
            }
            self.metrics.push(metric);
        }
    }

    fn reconciled(&mut self, records: &[(Plugin, Record)]) {
        let of = |plugin: Plugin| vec![("plugin", plugin.name().to_owned())];
        let mut states = Metric::gauge(
            "cni_reconcile_attachments",
            "Attachments at the last reconcile, or repair by follow, by what it found and did",
        );
        let mut repairs = Metric::counter(
            "cni_reconcile_repairs",
            "Attachments that reconcile and follow repaired since the node started",
        );
        let mut finished = Metric::gauge(
            "cni_reconcile_last_timestamp_seconds",
            "When the last reconcile, or repair by follow, ended",
        );
        let mut took = Metric::gauge(
            "cni_reconcile_duration_seconds",
            "How long the last reconcile, or repair by follow, took",
        );
        for (plugin, record) in records {
            for (state, count) in &record.states {
                let mut labels = of(*plugin);
                labels.push(("state", state.clone()));
                states.sample(labels, *count);
            }
            repairs.sample(of(*plugin), record.repairs);
            finished.sample(of(*plugin), record.finished);
            took.seconds(of(*plugin), record.milliseconds as f64 / 1000.0);
        }
        self.metrics.extend([states, repairs, finished, took]);
    }
}

/// The owner of something. What is not known is empty.
fn labels(owners: &Owners<'_>, owner: &Attachment) -> Labels {
    vec![
        ("pod", owners.pod(owner).unwrap_or_default().to_owned()),
        ("network", owner.network.clone()),
        ("container", owner.container.clone()),
        ("interface", owner.ifname.clone()),
    ]
}
