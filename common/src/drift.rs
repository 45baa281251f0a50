//! One difference between what was planned and what the kernel has.

use std::fmt::{self, Display};

use crate::error::{Code, Error, short};

/// An object that is not as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What differs, such as `mtu of eth0`.
    pub object: String,
    /// What the plan says.
    pub expected: String,
    /// What the kernel says.
    pub actual: String,
}

impl Drift {
    /// A difference, printed from any three values; long ones are cut.
    pub fn new(object: impl Display, expected: impl Display, actual: impl Display) -> Drift {
        Drift {
            object: short(&object.to_string()).into_owned(),
            expected: short(&expected.to_string()).into_owned(),
            actual: short(&actual.to_string()).into_owned(),
        }
    }
}

impl Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drift {
            object,
            expected,
            actual,
        } = self;
        write!(f, "{object}: expected {expected}, found {actual}")
    }
}

/// CHECK's answer: success without drifts, else one error (code 101) that lists them all.
///
/// # Errors
/// When there are drifts.
pub fn verdict(attachment: impl Display, drifts: &[Drift]) -> Result<(), Error> {
    if drifts.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = drifts.iter().map(Drift::to_string).collect();
    Err(
        Error::new(Code::Drift, format!("{attachment} has changed since ADD"))
            .with_details(list.join("; ")),
    )
}
