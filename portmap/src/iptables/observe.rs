//! The tables, read for many attachments at once: what `reconcile` needs after a firewall's reload.

use common::Family;
use xtables::state::State;
use xtables::{Table, Variant};

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
    v4: Option<(Tool, State)>,
    v6: Option<(Tool, State)>,
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
            if tables.is_empty() {
                return None;
            }
            let is_conditional = jobs.iter().any(|(_, config)| !is_plain(config));
            let tool = variants.reader(family, is_conditional).ok()?;
            let state = match tool.variant {
                Some(Variant::Nft) => native::whole(family, &tables).ok()?.state,
                Some(Variant::Legacy) | None => tool.save(&tables).ok()?,
            };
            Some((tool, state))
        };
        let (v4, v6) = side_by_side(|| read(Family::V4), || read(Family::V6));
        Tables {
            v4,
            v6: v6.flatten(),
        }
    }

    /// Those of each IP version.
    pub fn by_family(self) -> [(Family, Option<(Tool, State)>); 2] {
        [(Family::V4, self.v4), (Family::V6, self.v6)]
    }

    /// Those of one IP version; none where they could not be read.
    pub fn of(&self, family: Family) -> Option<&(Tool, State)> {
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
