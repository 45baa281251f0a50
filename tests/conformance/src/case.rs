//! One case of the suite, and the table that collects them.

use crate::failure::Verdict;
use crate::group::Group;
use crate::lab::Lab;

/// What a case does: nothing but look from outside, and say whether it saw what it should.
type Run = Box<dyn Fn(&Lab) -> Verdict + Send + Sync>;

/// One case.
pub struct Case {
    /// The plugin, and the backend it runs on.
    pub group: Group,
    /// A sentence which says what a conforming plugin does. Unique in its group.
    pub name: String,
    run: Run,
}

/// The cases, in the order they are reported.
#[derive(Default)]
pub struct Table {
    /// All of them.
    pub cases: Vec<Case>,
    group: Group,
}

impl Case {
    /// Runs the case in a laboratory of its own.
    pub fn run(&self, lab: &Lab) -> Verdict {
        (self.run)(lab)
    }
}

impl Table {
    /// Cases added from now on belong to `group`.
    pub fn group(&mut self, group: Group) -> &mut Self {
        self.group = group;
        self
    }

    /// Adds a case.
    pub fn case(
        &mut self,
        name: impl Into<String>,
        run: impl Fn(&Lab) -> Verdict + Send + Sync + 'static,
    ) {
        self.cases.push(Case {
            group: self.group,
            name: name.into(),
            run: Box::new(run),
        });
    }
}
