//! Attachments that are not as ADD left them, and what is left of those that are gone.

use common::Operate;

use super::Node;
use crate::dead::{self, Dead, Living};
use crate::finding::{Finding, counted, some};
use crate::lint;
use crate::owners::name;
use crate::plugins::{Plugin, of};
use crate::repair::{Job, Outcome, Task, run, tasks};

pub(super) fn findings(node: &Node<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for plugin in lint::ours() {
        let own;
        let tasks = match plugin {
            Plugin::Portmap => node.tasks,
            _ => {
                own = of!(plugin, P => tasks::<P>(node.cache, true));
                &own
            }
        };
        findings.extend(of!(plugin, P => drifts::<P>(node, tasks)));
        let is_clean = plugin == Plugin::Portmap && has_no_leftovers(node);
        if !is_clean {
            findings.extend(of!(plugin, P => leftovers::<P>(node)));
        }
    }
    findings
}

/// What `cnictl reconcile --dry-run` would say.
fn drifts<P: Operate>(node: &Node<'_>, tasks: &[Task<'_>]) -> Vec<Finding> {
    let outcomes = run::<P>(tasks);
    let (mut drifted, mut failed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let mut accepted = Vec::new();
    let mut in_order = 0;
    for (task, outcome) in tasks.iter().zip(outcomes) {
        let owner = node.owners.name(&task.job.entry.attachment);
        match outcome {
            Outcome::InOrder | Outcome::Superseded => in_order += 1,
            Outcome::Drifted(what) if is_accepted::<P>(&task.job) => {
                accepted.push(format!("{owner}: {}", what.whole));
            }
            Outcome::Drifted(what) => drifted.push(format!("{owner}: {}", what.whole)),
            Outcome::Gone => gone.push(owner),
            Outcome::Failed(error) => failed.push(format!("{owner}: {error}")),
            Outcome::Repaired(_) | Outcome::Deleted | Outcome::Renewed => {}
        }
    }
    let mut findings = Vec::new();
    if in_order > 0 {
        let text = format!("{} unchanged since ADD", counted(in_order, "attachment"));
        findings.push(Finding::ok(P::NAME, text));
    }
    if !accepted.is_empty() {
        let count = accepted.len();
        let text = format!(
            "CHECK accepts {} that ADD would make otherwise: {}",
            counted(count, "attachment"),
            some(&accepted)
        );
        findings.push(Finding::warning(P::NAME, text).run("cnictl reconcile"));
    }
    let count = drifted.len();
    if count > 0 {
        let text = format!(
            "{} changed since ADD: {}",
            counted(count, "attachment"),
            some(&drifted)
        );
        findings.push(Finding::error(P::NAME, text).run("cnictl reconcile"));
    }
    if !failed.is_empty() {
        let count = failed.len();
        let text = format!(
            "{} could not be checked: {}",
            counted(count, "attachment"),
            some(&failed)
        );
        findings.push(Finding::error(P::NAME, text));
    }
    if !gone.is_empty() {
        let text = format!(
            "{}: the network namespace is gone, but the runtime's cache still has the attachment: \
             DEL failed or has not been called yet",
            some(&gone)
        );
        findings.push(Finding::warning(P::NAME, text).run("crictl pods; ls /var/lib/cni/results"));
    }
    findings
}

/// Whether CHECK finds nothing wrong, such as with what the reference made.
fn is_accepted<P: Operate>(job: &Job<'_>) -> bool {
    let requests = job.requests.as_ref();
    requests.is_ok_and(|requests| requests.iter().all(|request| P::check(request).is_ok()))
}

/// Whether the cache knows the owners of all host ports that were found.
fn has_no_leftovers(node: &Node<'_>) -> bool {
    let mut owners = node.mappings.iter().map(|mapping| &mapping.row.owner);
    node.are_mappings_known && owners.all(|owner| !node.owners.index.find(owner).is_empty())
}

/// What no attachment in the cache owns.
fn leftovers<P: Operate>(node: &Node<'_>) -> Vec<Finding> {
    // Without a whole cache no attachment is known to be dead.
    if !node.cache.exists || !node.cache.faults.is_empty() {
        return Vec::new();
    }
    let living = Living {
        cache_dir: &node.places.cache,
        pods: None,
    };
    let dead = match dead::find::<P>(living, &[]) {
        Ok(dead) => dead,
        Err(error) => return vec![Finding::unread(P::NAME, &error)],
    };
    if dead.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = dead
        .iter()
        .map(|Dead { attachment, .. }| name(attachment))
        .collect();
    let text = format!(
        "left over from {}, which is not in the runtime's cache",
        some(&names)
    );
    vec![Finding::warning(P::NAME, text).run("cnictl gc --dry-run")]
}
