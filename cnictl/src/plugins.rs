//! The plugins that are linked into `cnictl`.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use common::{Error, Operate, Plugin as _, Request};

use crate::note;

/// One of them, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plugin {
    /// `bandwidth`
    Bandwidth,
    /// `portmap`
    Portmap,
    /// `tuning`
    Tuning,
}

/// Runs a generic expression for a plugin: `of!(plugin, P => f::<P>())`.
macro_rules! of {
    ($plugin:expr, $P:ident => $body:expr) => {
        match $plugin {
            $crate::plugins::Plugin::Portmap => {
                type $P = portmap::Portmap;
                $body
            }
            $crate::plugins::Plugin::Bandwidth => {
                type $P = bandwidth::Bandwidth;
                $body
            }
            $crate::plugins::Plugin::Tuning => {
                type $P = tuning::Tuning;
                $body
            }
        }
    };
}
pub(crate) use of;

impl ValueEnum for Plugin {
    fn value_variants<'a>() -> &'a [Plugin] {
        &[Plugin::Bandwidth, Plugin::Portmap, Plugin::Tuning]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl Plugin {
    /// Its name, as in the `type` of a configuration.
    pub fn name(self) -> &'static str {
        of!(self, P => P::NAME)
    }

    /// Those that are named, each once; all of them where none is.
    pub fn chosen(named: &[Plugin]) -> Vec<Plugin> {
        let all = Plugin::value_variants().iter().copied();
        all.filter(|plugin| named.is_empty() || named.contains(plugin))
            .collect()
    }
}

/// Removes all that an attachment has by any of some requests.
///
/// # Errors
/// Everything that could not be removed.
pub fn remove_all<P: Operate>(requests: &[Request]) -> Result<(), Error> {
    let mut errors = Vec::new();
    for request in requests {
        errors.extend(P::remove(request).err());
        show_warnings::<P>(request);
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// Shows on stderr what a verb warns of, which is for people here: each a line.
pub fn show_warnings<P: common::Plugin>(request: &Request) {
    for warning in request.log.take().warnings {
        let text = warning.text.replace(['\n', '\r'], " ");
        note(&format!("{}: warning: {text}", P::NAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_named_is_all_of_them() {
        use Plugin::{Bandwidth, Portmap, Tuning};
        assert_eq!(Plugin::chosen(&[]), [Bandwidth, Portmap, Tuning]);
        assert_eq!(
            Plugin::chosen(&[Tuning, Portmap, Tuning]),
            [Portmap, Tuning]
        );
        assert_eq!(Tuning.name(), "tuning");
    }
}
