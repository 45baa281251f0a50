//! What is timed: verbs in a row, on a pod of ours and one of the reference's in turn.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::Namespace;

use crate::run::{Call, Sample};
use crate::table::Row;

/// How long one scenario is timed.
const BUDGET: Duration = Duration::from_secs(60);
/// How many rounds it has however long they take.
const FEWEST: usize = 7;

/// Who is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The plugin beside this program.
    Ours,
    /// Debian's, in `/usr/lib/cni` or in `$CNI_REFERENCE`.
    Reference,
}

impl Side {
    /// The file of the plugin `name`.
    pub fn program(self, name: &str) -> PathBuf {
        match self {
            Side::Ours => sandbox::plugin::binary(name),
            Side::Reference => std::env::var_os("CNI_REFERENCE")
                .map_or_else(|| PathBuf::from("/usr/lib/cni"), PathBuf::from)
                .join(name),
        }
    }
}

/// One line of verbs under one circumstance.
pub struct Scenario {
    /// The plugin.
    pub plugin: &'static str,
    /// The backend, where the plugin has several.
    pub backend: &'static str,
    /// Other pods on the node.
    pub others: u32,
    /// What else there is to say, such as `both directions`.
    pub circumstance: String,
    /// What is called in each round, in this order. The last one must leave the pod as it was.
    pub verbs: Vec<&'static str>,
    /// Whom the plugins serve. They live as long as the scenario.
    pub pods: Box<dyn Pods>,
}

/// A pod for each side, and what is asked for it.
pub trait Pods {
    /// The namespace that the plugins run in: each side its own, so that they do not meet.
    fn host(&self, side: Side) -> &Namespace;

    /// Whether a side can serve a verb at all.
    fn has(&self, _side: Side, _verb: &str) -> bool {
        true
    }

    /// The call of a verb.
    fn call(&self, side: Side, verb: &str) -> Call;

    /// Makes the pod ready for a round, untimed: takes away what a side's verbs leave.
    ///
    /// # Errors
    /// When that cannot be done.
    fn prepare(&self, _side: Side) -> io::Result<()> {
        Ok(())
    }
}

impl Scenario {
    /// Times every verb on both sides, taking turns in who comes first: so many rounds, or fewer when
    /// that takes longer than [`BUDGET`], but at least [`FEWEST`].
    ///
    /// # Errors
    /// When a call fails.
    pub fn measure(&self, rounds: usize) -> io::Result<Vec<Row>> {
        let mut samples: Vec<[Vec<Sample>; 2]> = vec![Default::default(); self.verbs.len()];
        // One round for nothing: what comes first pays for cold caches.
        self.round(Side::Ours)?;
        self.round(Side::Reference)?;
        let start = Instant::now();
        for round in 0..rounds {
            if round >= FEWEST && start.elapsed() > BUDGET {
                break;
            }
            let mut sides = [(0, Side::Ours), (1, Side::Reference)];
            if round % 2 == 1 {
                sides.reverse();
            }
            for (column, side) in sides {
                for (verb, sample) in samples.iter_mut().zip(self.round(side)?) {
                    if let Some(column) = verb.get_mut(column) {
                        column.extend(sample);
                    }
                }
            }
        }
        let rows = self.verbs.iter().zip(samples);
        Ok(rows
            .map(|(verb, [ours, reference])| Row {
                plugin: self.plugin,
                backend: self.backend,
                others: self.others,
                circumstance: self.circumstance.clone(),
                verb,
                ours,
                reference,
            })
            .collect())
    }

    fn round(&self, side: Side) -> io::Result<Vec<Option<Sample>>> {
        self.pods.prepare(side)?;
        let call = |verb: &&str| {
            self.pods
                .has(side, verb)
                .then(|| self.pods.call(side, verb))
        };
        let calls: Vec<Option<Call>> = self.verbs.iter().map(call).collect();
        // Inside, a child needs no step of its own between fork and exec.
        self.pods.host(side).run(|| {
            calls
                .iter()
                .map(|call| call.as_ref().map(Call::run).transpose())
                .collect()
        })
    }
}
