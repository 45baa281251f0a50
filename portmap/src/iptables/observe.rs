//! The tables, read for many attachments at once: what `reconcile` needs after a firewall's reload.

use std::sync::OnceLock;

use common::Family;
use xtables::state::State;
use xtables::{Table, Variant};

use super::excerpt::Excerpts;
use super::families::{Variants, side_by_side};
use super::native;
use super::rules::all_wanted;
use super::tool::Tool;
use crate::config::Config;
use crate::options::OnConflict;
use crate::plan::Plan;

/// All rules of the tables that attachments are in, in each IP version, as far as they could be read.
#[derive(Debug, Default)]
pub struct Tables {
    /// The variants of the programs.
    pub variants: Option<Variants>,
    v4: Option<Whole>,
    v6: Option<Whole>,
}

/// The rules of one IP version.
#[derive(Debug)]
pub struct Whole {
    /// What has read them.
    pub tool: Tool,
    state: State,
    excerpts: OnceLock<Excerpts>,
}

impl Whole {
    /// What of them matters to an attachment.
    pub fn excerpts(&self) -> &Excerpts {
        self.excerpts.get_or_init(|| Excerpts::of(&self.state))
    }
}

impl Tables {
    /// Reads what these attachments are about.
    pub fn read(jobs: &[(&Plan, &Config)]) -> Tables {
        let Ok(variants) = Variants::find() else {
            return Tables::default();
        };
        let read = |family| {
            let wanted = jobs
                .iter()
                .flat_map(|(plan, config)| all_wanted(plan, config, &[family]));
            let mut tables: Vec<Table> = wanted
                .flat_map(|wanted| wanted.chains.into_iter().map(|(table, _)| table))
                .collect();
            tables.sort_unstable();
            tables.dedup();
            let is_unplanned = |(plan, _): &(&Plan, &Config)| plan.family(family).is_none();
            if tables.is_empty() {
                // What an attachment has of an earlier request is to be found.
                tables.push(Table::Nat);
                let is_read = variants.of(family) == Some(Variant::Nft);
                if !is_read || !jobs.iter().any(is_unplanned) {
                    return None;
                }
            }
            let is_conditional = jobs.iter().any(|(_, config)| !is_plain(config));
            let tool = variants.reader(family, is_conditional).ok()?;
            let state = match tool.variant {
                Some(Variant::Nft) => native::whole(family, &tables).ok()?.state,
                Some(Variant::Legacy) | None => tool.save(&tables).ok()?,
            };
            Some(Whole {
                tool,
                state,
                excerpts: OnceLock::new(),
            })
        };
        let (v4, v6) = side_by_side(|| read(Family::V4), || read(Family::V6));
        Tables {
            variants: Some(variants),
            v4,
            v6: v6.flatten(),
        }
    }

    /// Those of each IP version.
    pub fn by_family(self) -> [(Family, Option<(Tool, State)>); 2] {
        let parts = |whole: Whole| (whole.tool, whole.state);
        [
            (Family::V4, self.v4.map(parts)),
            (Family::V6, self.v6.map(parts)),
        ]
    }

    /// Those of one IP version; none where they could not be read.
    pub fn of(&self, family: Family) -> Option<&Whole> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }
}

/// Whether ADD of an attachment is only the writing of what it lacks.
pub fn is_plain(config: &Config) -> bool {
    config.on_conflict == OnConflict::Replace
        && config.conditions_v4.is_empty()
        && config.conditions_v6.is_empty()
}
