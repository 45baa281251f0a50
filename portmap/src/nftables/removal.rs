//! What is to go, and what it did.

use common::Family;
use nft::command::Command;
use nft::object::{Element, Set};

use super::elements::Elements;
use super::{claim, translation};
use crate::host_port::Forward;

/// What to delete, and what led to containers through it.
#[derive(Debug, Default)]
pub struct Removal {
    /// The deletions.
    pub commands: Vec<Command>,
    /// What no longer leads anywhere.
    pub gone: Vec<Forward>,
}

impl Removal {
    /// Takes the claims of some away. Where one of them was served, the next one is.
    pub fn claims(
        family: Family,
        sets: &[Set],
        found: &Elements,
        is_gone: impl Fn(&str) -> bool,
    ) -> Removal {
        let (touched, wanted) = claim::without(family, sets, found, &is_gone);
        let theirs = |element: &Element| element.comment.as_deref().is_some_and(&is_gone);
        let mut gone = touched.clone();
        gone.retain(|_, element| theirs(element));
        Removal {
            commands: claim::commands(family, &wanted, &touched),
            gone: translation::of_elements(&gone),
        }
    }

    /// Adds another.
    pub fn extend(&mut self, more: Removal) {
        self.commands.extend(more.commands);
        self.gone.extend(more.gone);
    }
}
