//! A step from what the kernel holds to what was planned.

use crate::drift::Drift;

/// One step of a difference, computed once: CHECK prints its drift, ADD makes its change, and a failed
/// ADD runs the undos of the changes made, last first. `C` is what a plugin can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<C> {
    /// How an object differs from its plan; `None` for what only ADD does on its way.
    pub drift: Option<Drift>,
    /// What ADD changes; `None` where the change of another step covers it.
    pub change: Option<C>,
    /// What undoes the change; `None` where nothing can, or needs to.
    pub undo: Option<C>,
}

impl<C> Step<C> {
    /// A difference that another step's change removes.
    pub fn drift(drift: Drift) -> Step<C> {
        Step {
            drift: Some(drift),
            change: None,
            undo: None,
        }
    }

    /// A change that no difference requires.
    pub fn change(change: C, undo: Option<C>) -> Step<C> {
        Step {
            drift: None,
            change: Some(change),
            undo,
        }
    }

    /// The same change, for a difference.
    #[must_use]
    pub fn because_of(self, drift: Drift) -> Step<C> {
        Step {
            drift: Some(drift),
            ..self
        }
    }
}

/// What CHECK prints of a difference.
pub fn drifts<C>(steps: Vec<Step<C>>) -> Vec<Drift> {
    steps.into_iter().filter_map(|step| step.drift).collect()
}
