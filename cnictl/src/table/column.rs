//! A column: how its content is aligned, cut and left out.

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub(super) title: &'static str,
    pub(super) is_number: bool,
    pub(super) least: usize,
    pub(super) need: Need,
    pub(super) can_fold: bool,
}

/// How much a column is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Left out before anything is cut.
    Spare,
    /// Left out where the others do not fit though they are cut.
    Optional,
    /// Never left out.
    Always,
}

/// Makes a column whose content is never cut.
pub const fn column(title: &'static str) -> Column {
    Column {
        title,
        is_number: false,
        least: usize::MAX,
        need: Need::Always,
        can_fold: false,
    }
}

impl Column {
    /// Aligned at the right.
    #[must_use]
    pub const fn number(self) -> Column {
        Column {
            is_number: true,
            ..self
        }
    }

    /// May be cut to that many characters.
    #[must_use]
    pub const fn cut_to(self, least: usize) -> Column {
        Column { least, ..self }
    }

    /// May be left out where the rest does not fit though it is cut; the last one goes first.
    #[must_use]
    pub const fn optional(self) -> Column {
        Column {
            need: Need::Optional,
            ..self
        }
    }

    /// Is left out before anything is cut; the last one goes first.
    #[must_use]
    pub const fn spare(self) -> Column {
        Column {
            need: Need::Spare,
            ..self
        }
    }

    /// As the last column: goes to a line of its own in a row that is wider than the page. Nothing of it is
    /// cut, and a command in it stays in one piece.
    #[must_use]
    pub const fn folded(self) -> Column {
        Column {
            can_fold: true,
            ..self
        }
    }
}
