//! The two IP versions: which variant has each, and how both are done at once.

use std::thread;

use common::Family;
use common::error::{Code, Error};
use xtables::Variant;

use super::rules::Wanted;
use super::tool::Tool;
use crate::plan::Plan;

/// The variant in which each IP version is written; `None` where its program does not show it.
#[derive(Debug, Clone, Copy)]
pub struct Variants {
    v4: Option<Variant>,
    v6: Option<Variant>,
}

impl Variants {
    /// Looks at the programs. Without any program it is the kernel's nf_tables, which needs none.
    ///
    /// # Errors
    /// As [`Tool::usual`].
    pub fn find() -> Result<Variants, Error> {
        let (v4, v6) = (Tool::usual(Family::V4)?, Tool::usual(Family::V6)?);
        let of = |own: &Option<Tool>, other: &Option<Tool>| match (own, other) {
            (Some(tool), _) => tool.variant,
            (None, Some(other)) => other.variant.filter(|variant| *variant == Variant::Nft),
            (None, None) => Some(Variant::Nft),
        };
        Ok(Variants {
            v4: of(&v4, &v6),
            v6: of(&v6, &v4),
        })
    }

    /// That of one IP version.
    pub fn of(self, family: Family) -> Option<Variant> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// What reads an IP version; only conditions and the legacy variant need a program for that.
    ///
    /// # Errors
    /// As [`usual`].
    pub fn reader(self, family: Family, is_conditional: bool) -> Result<Tool, Error> {
        match self.of(family) {
            Some(Variant::Nft) if !is_conditional => Ok(Tool::without_program(family)),
            _ => usual(family),
        }
    }

    /// The IP versions that are written by batches, and those that a program writes.
    pub fn split(self, families: impl Iterator<Item = Family>) -> (Vec<Family>, Vec<Family>) {
        families.partition(|family| self.of(*family) == Some(Variant::Nft))
    }

    /// The IP versions of which a plan wants nothing, though an earlier request may have.
    pub fn unplanned(self, plan: &Plan) -> Vec<(Family, Variant)> {
        let families = Family::ALL.into_iter();
        let unplanned = families.filter(|family| plan.family(*family).is_none());
        let known = unplanned.filter_map(|family| Some((family, self.of(family)?)));
        known.collect()
    }

    /// Where a plan wants nothing, though an earlier request may have: all but the variant of each of its IP
    /// versions. Where a program does not show its variant, neither is known to be the other one.
    pub fn elsewhere(self, plan: &Plan) -> Vec<(Family, Variant)> {
        let places = Family::ALL.into_iter().flat_map(|family| {
            let variants = [Variant::Nft, Variant::Legacy].into_iter();
            variants.map(move |variant| (family, variant))
        });
        let is_unplanned = |(family, variant): &(Family, Variant)| {
            let is_other = |own: Variant| own != *variant;
            plan.family(*family).is_none() || self.of(*family).is_some_and(is_other)
        };
        places.filter(is_unplanned).collect()
    }
}

/// Whether a program writes some of the IP versions.
///
/// # Errors
/// As [`Variants::find`].
pub fn is_by_programs(families: impl Iterator<Item = Family>) -> Result<bool, Error> {
    let (_, by_program) = Variants::find()?.split(families);
    Ok(!by_program.is_empty())
}

/// Whether an IP version may do without its rules: many a node has no IPv6, but none that maps ports
/// has no IPv4.
pub fn may_be_left_out(family: Family, error: &Error) -> bool {
    family == Family::V6 && error.code == Code::Unsupported
}

/// The programs of whichever variant the node has.
///
/// # Errors
/// Code 103 where there are none.
pub fn usual(family: Family) -> Result<Tool, Error> {
    Tool::usual(family)?.ok_or_else(|| {
        let program = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        Error::new(Code::Unsupported, format!("{program} is not installed"))
    })
}

/// Runs one action per IP version, side by side.
pub fn each<T: Send>(
    wanted: &[Wanted],
    action: impl Fn(&Wanted, Family) -> Result<T, Error> + Sync,
) -> Vec<Result<T, Error>> {
    let one = |w: &Wanted| action(w, w.family);
    match wanted {
        [first, second] => {
            let (outcome, other) = side_by_side(|| one(first), || one(second));
            vec![outcome, other.unwrap_or_else(lost)]
        }
        others => others.iter().map(one).collect(),
    }
}

/// Runs two actions side by side, or one after the other where the node has no thread to give.
pub fn side_by_side<T: Send>(
    first: impl FnOnce() -> T,
    second: impl Fn() -> T + Sync,
) -> (T, Option<T>) {
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, &second);
        let done = first();
        match other {
            Ok(other) => (done, other.join().ok()),
            Err(_) => (done, Some(second())),
        }
    })
}

/// The outcome of a thread that did not come to its end.
pub fn lost<T>() -> Result<T, Error> {
    Err(Error::new(
        Code::System,
        "a thread of the plugin ended unexpectedly",
    ))
}
