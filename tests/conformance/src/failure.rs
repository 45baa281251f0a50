//! Why a case failed.

/// What was seen instead of what should be.
#[derive(Debug, Clone)]
pub struct Failure(pub String);

/// Whether a case passed.
pub type Verdict = Result<(), Failure>;

/// Failures of the laboratory itself (a command that is missing) count as failures too. `Failure` is no
/// `Error`, or this would clash with the standard library's own conversion.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A failure that says `what`.
pub fn fail<T>(what: impl Into<String>) -> Result<T, Failure> {
    Err(Failure(what.into()))
}

/// Fails with `what` unless `condition` holds.
pub fn ensure(condition: bool, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { fail(what()) }
}

/// Fails when the two are not equal; `what` names the thing.
pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, seen: &T, expected: &T) -> Verdict {
    ensure(seen == expected, || {
        format!("{what}: expected {expected:?}, saw {seen:?}")
    })
}
