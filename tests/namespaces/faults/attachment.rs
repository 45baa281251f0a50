//! An attachment that a plugin is to make, and what its node looks like.

use sandbox::Namespace;
use sandbox::plugin::{Answer, Call};
use serde_json::Value;

use super::inject::{EVERYWHERE, injected};

/// A plugin, how it is called for one attachment, and how the state of its node is told.
pub struct Attachment<'a> {
    /// Where the plugin runs.
    pub host: &'a Namespace,
    /// The call of a verb.
    pub call: &'a dyn Fn(&str) -> Call,
    /// Everything that the plugin may change.
    pub state: &'a dyn Fn() -> Vec<String>,
}

/// How an ADD with a fault ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The fault never came: there is no such call any more.
    NeverMet,
    /// It was got over.
    Added,
    /// It failed.
    Refused,
}

impl Attachment<'_> {
    pub fn run(&self, verb: &str) -> Answer {
        (self.call)(verb).run(self.host).unwrap()
    }

    #[track_caller]
    pub fn succeeds(&self, verb: &str, when: &str) {
        let answer = self.run(verb);
        assert_eq!(answer.code, Some(0), "{verb} {when}: {answer:?}");
    }

    /// Runs ADD while the `nth` call of `name` fails with `errno`.
    #[track_caller]
    pub fn add_with(&self, name: &str, errno: &str, nth: usize, before: &[String]) -> End {
        let fault = (name, errno, nth);
        let answer = injected(self.host, &(self.call)("ADD"), fault, EVERYWHERE);
        let (answer, is_met) = answer;
        if !is_met {
            assert_eq!(answer.code, Some(0), "{name} {nth}: {answer:?}");
            return End::NeverMet;
        }
        let when = format!("after {errno} of {name} {nth}");
        self.judge(&answer, before, &when)
    }

    /// Whether an ADD's answer is true.
    #[track_caller]
    pub fn judge(&self, answer: &Answer, before: &[String], when: &str) -> End {
        match answer.code {
            Some(0) => {
                self.succeeds("CHECK", when);
                End::Added
            }
            // The answer itself could not be written. Nobody can be told, and a runtime calls DEL.
            Some(1) if when.contains("of write") && !answer.stdout.contains("msg") => End::Refused,
            Some(1) => {
                let error: Value = serde_json::from_str(&answer.stdout)
                    .unwrap_or_else(|e| panic!("{when}: {e}: {answer:?}"));
                assert!(
                    error["msg"].as_str().is_some_and(|m| !m.is_empty()),
                    "{error}"
                );
                // Where even taking back fails, the error says so.
                if !error.to_string().contains("roll back") {
                    assert_eq!((self.state)(), before, "{when}: {error}");
                }
                End::Refused
            }
            _ => panic!("{when}: {answer:?}"),
        }
    }

    /// Lets each call of `name` fail once. DEL must leave the node as it was. Gives how many ADDs
    /// failed, and how many succeeded all the same.
    #[track_caller]
    pub fn each(&self, name: &str, errno: &str) -> [usize; 2] {
        let clean = (self.state)();
        let mut ends = [0, 0];
        for nth in 1..200 {
            let end = self.add_with(name, errno, nth, &clean);
            self.succeeds("DEL", &format!("after {errno} of {name} {nth}"));
            if end == End::Added || name == "write" {
                assert_eq!((self.state)(), clean, "DEL after {errno} of {name} {nth}");
            }
            match end {
                End::NeverMet => return ends,
                End::Refused => ends[0] += 1,
                End::Added => ends[1] += 1,
            }
        }
        panic!("{name} without end");
    }
}
