//! What it means that a program fails.

use common::error::{Code, Error};

use super::rules::Wanted;
use super::tool::Failure;
use crate::conditions;

/// How often the same input may fail in the same way before it is not the others' doing.
const SAME_FAILURES: u32 = 4;

/// What was tried, for errors.
pub fn tried(wanted: &Wanted) -> String {
    format!("write the {} rules of {}", wanted.family, wanted.attachment)
}

/// Failures that trying again does not mend.
///
/// # Errors
/// The failure, with its code.
pub fn refuse_the_hopeless(failure: &Failure, wanted: &Wanted) -> Result<(), Error> {
    match failure.hopeless() {
        Some(code) => Err(failure.error(code, tried(wanted))),
        None => Ok(()),
    }
}

/// Distinguishes a refusal from a race: in a race, the input or the answer changes.
#[derive(Default)]
pub struct Failures {
    last: Option<(String, Failure)>,
    count: u32,
}

impl Failures {
    /// Notes one more.
    ///
    /// # Errors
    /// As [`refused`], when it has failed the same way too often.
    pub fn note(&mut self, failure: Failure, input: &str, wanted: &Wanted) -> Result<(), Error> {
        let this = (input.to_owned(), failure);
        self.count = if self.last.as_ref() == Some(&this) {
            self.count + 1
        } else {
            1
        };
        if self.count >= SAME_FAILURES {
            return Err(refused(&this.1, input, wanted));
        }
        self.last = Some(this);
        Ok(())
    }
}

/// The line of its input that a program could not do.
pub fn failed_at<'a>(failure: &Failure, input: &'a str) -> Option<&'a str> {
    let number = failure.line()?;
    input.lines().nth(number.checked_sub(1)?)
}

/// The error of a program that refuses its input.
pub fn refused(failure: &Failure, input: &str, wanted: &Wanted) -> Error {
    let line = failed_at(failure, input);
    // The legacy variant names the COMMIT line when the kernel refuses a rule.
    let may_be_a_jump = line.is_none_or(|line| line.contains("dnat name: ") || line == "COMMIT");
    if wanted.conditional && may_be_a_jump && failure.is_verdict() {
        let key = conditions::key(wanted.family);
        return failure.error(
            Code::InvalidConfig,
            format!("{key}: iptables refuses these matches"),
        );
    }
    let tried = match line {
        Some(line) => format!("{}, in {line:?}", tried(wanted)),
        None => tried(wanted),
    };
    failure.error(Code::System, tried)
}
