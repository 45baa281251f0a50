//! Tables for people: aligned columns, colour on a terminal only, and as wide as the terminal.
//!
//! Where they do not fit, counters are left out first, then what is needed least, and the rest is cut
//! where it may be. Into a file or a pipe every column goes whole.

mod sort;

use std::io::{self, IsTerminal};

use common::sys::terminal;

use sort::Key;

/// What is between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    is_number: bool,
    least: usize,
    need: Need,
}

/// How much a column is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Left out before anything is cut.
    Spare,
    /// Left out where the others do not fit though they are cut.
    Optional,
    /// Never left out.
    Always,
}

/// What is in one place of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    amount: Option<u128>,
}

impl Cell {
    /// A number, and how it is shown.
    pub fn amount(amount: impl Into<u128>, text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            amount: Some(amount.into()),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell {
            text: text.into(),
            amount: None,
        }
    }
}

/// Makes a column whose content is never cut.
pub const fn column(title: &'static str) -> Column {
    Column {
        title,
        is_number: false,
        least: usize::MAX,
        need: Need::Always,
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
}

/// How a row is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As everything else.
    Plain,
    /// As something that was put right.
    Good,
    /// As something that may not be as it should.
    Doubtful,
    /// As something that is not as it should be.
    Bad,
}

/// Rows under columns.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<(Tone, Vec<Cell>)>,
}

/// Where a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Characters in a line, if there is a limit.
    pub width: Option<usize>,
    /// Whether it can show colours.
    pub colour: bool,
}

impl Page {
    /// stdout: a terminal has a width and colours (unless `NO_COLOR` is set), anything else has
    /// neither. `COLUMNS` sets the width of either.
    pub fn stdout() -> Page {
        let is_terminal = io::stdout().is_terminal();
        let set = std::env::var("COLUMNS").ok();
        let set = set.and_then(|text| text.parse().ok()).filter(|n| *n > 0);
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Page {
            width: set.or_else(|| is_terminal.then(terminal::stdout_width).flatten()),
            colour: is_terminal && !no_colour,
        }
    }
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl Into<Vec<Column>>) -> Table {
        Table {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: one text for each column. Control characters are shown as `?`, so that no name can
    /// pose as a row or contain terminal escape sequences.
    pub fn row<C: Into<Cell>>(&mut self, tone: Tone, cells: impl IntoIterator<Item = C>) {
        let printable = |cell: C| {
            let cell = cell.into();
            let shown = |c: char| if c.is_control() { '?' } else { c };
            Cell {
                text: cell.text.chars().map(shown).collect(),
                ..cell
            }
        };
        let mut cells: Vec<Cell> = cells.into_iter().map(printable).collect();
        cells.resize(self.columns.len(), Cell::from(""));
        self.rows.push((tone, cells));
    }

    /// The places of the rows in the order of a column: the largest amount first, texts from A to Z, and
    /// numbers in texts by their value. Equal ones stay as they are.
    pub fn order(&self, title: &str) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        let column = self
            .columns
            .iter()
            .position(|c| c.title.eq_ignore_ascii_case(title));
        let key = |place: &usize| {
            let (_, cells) = self.rows.get(*place)?;
            let Cell { text, amount } = cells.get(column?)?;
            Some(Key::of(text, *amount))
        };
        order.sort_by_cached_key(key);
        order
    }

    /// The titles of the columns.
    pub fn titles(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.title).collect()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, titles first.
    pub fn text(&self, page: Page) -> String {
        let layout = self.layout(page.width);
        let titles: Vec<Cell> = self.columns.iter().map(|c| c.title.into()).collect();
        let mut out = paint(page, "1", &self.line(&layout, &titles));
        for (tone, cells) in &self.rows {
            let line = self.line(&layout, cells);
            out.push_str(&match tone {
                Tone::Plain => line + "\n",
                Tone::Good => paint(page, "32", &line),
                Tone::Doubtful => paint(page, "33", &line),
                Tone::Bad => paint(page, "31", &line),
            });
        }
        out
    }

    /// The columns shown and their widths.
    fn layout(&self, page: Option<usize>) -> Vec<(usize, usize)> {
        let needed = |index: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(index));
            let longest = cells
                .map(|cell| cell.text.chars().count())
                .max()
                .unwrap_or(0);
            longest.max(column.title.len())
        };
        let columns = self.columns.iter().enumerate();
        let mut layout: Vec<(usize, usize)> = columns.map(|(i, c)| (i, needed(i, c))).collect();
        let Some(page) = page else { return layout };
        while total(&layout) > page && self.leave_out(Need::Spare, &mut layout) {}
        while total(&self.cut_most(&layout)) > page && self.leave_out(Need::Optional, &mut layout) {
        }
        while total(&layout) > page && self.cut(&mut layout) {}
        layout
    }

    /// As narrow as the columns can be.
    fn cut_most(&self, layout: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let least = |index: usize| self.columns.get(index).map_or(0, |column| column.least);
        let narrow = layout.iter().map(|(i, width)| (*i, least(*i).min(*width)));
        narrow.collect()
    }

    /// Cuts the column that has most to give by one character.
    fn cut(&self, layout: &mut [(usize, usize)]) -> bool {
        let spare = |(index, width): (usize, usize)| {
            let least = self.columns.get(index).map_or(width, |column| column.least);
            width.saturating_sub(least)
        };
        match layout.iter_mut().max_by_key(|entry| spare(**entry)) {
            Some(entry) if spare(*entry) > 0 => {
                entry.1 -= 1;
                true
            }
            _ => false,
        }
    }

    fn leave_out(&self, need: Need, layout: &mut Vec<(usize, usize)>) -> bool {
        let is_it =
            |(index, _): &(usize, usize)| self.columns.get(*index).is_some_and(|c| c.need == need);
        match layout.iter().rposition(is_it) {
            Some(place) => {
                layout.remove(place);
                true
            }
            None => false,
        }
    }

    fn line(&self, layout: &[(usize, usize)], cells: &[Cell]) -> String {
        let mut line = String::new();
        for (place, (index, width)) in layout.iter().enumerate() {
            let text = cells.get(*index).map_or("", |cell| cell.text.as_str());
            let text = shortened(text, *width);
            let blanks = " ".repeat(width.saturating_sub(text.chars().count()));
            if place > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            match self.columns.get(*index).is_some_and(|c| c.is_number) {
                true => line.extend([blanks.as_str(), text.as_str()]),
                false => line.extend([text.as_str(), blanks.as_str()]),
            }
        }
        line.trim_end().to_owned()
    }
}

fn total(layout: &[(usize, usize)]) -> usize {
    let widths: usize = layout.iter().map(|(_, width)| width).sum();
    widths + GAP * layout.len().saturating_sub(1)
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

fn paint(page: Page, code: &str, line: &str) -> String {
    match page.colour {
        true => format!("\x1b[{code}m{line}\x1b[0m\n"),
        false => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            column("PORT").number(),
            column("CONTAINER").cut_to(6),
            column("NETWORK"),
            column("NOTE").optional(),
        ]);
        let id = "f3ebbdab6149a293";
        table.row(Tone::Plain, ["80", id, "net1", ""].map(str::to_owned));
        table.row(
            Tone::Bad,
            ["8080", "c\n2", "net1", "gone"].map(str::to_owned),
        );
        table
    }

    fn text(width: Option<usize>) -> String {
        let page = Page {
            width,
            colour: false,
        };
        table().text(page)
    }

    #[test]
    fn columns_are_aligned_and_whole_where_nothing_limits_them() {
        let expected = "PORT  CONTAINER         NETWORK  NOTE\n\
                        \x20 80  f3ebbdab6149a293  net1\n\
                        8080  c?2               net1     gone\n";
        assert_eq!(text(None), expected);
    }

    #[test]
    fn what_does_not_fit_is_cut_then_left_out() {
        assert!(
            text(Some(30)).contains("f3ebbdab…  net1"),
            "{}",
            text(Some(30))
        );
        let narrow = text(Some(22));
        assert!(!narrow.contains("NOTE") && narrow.contains("…"), "{narrow}");
        // What was left out makes room for the rest.
        assert!(
            text(Some(25)).contains("  f3ebbdab6…  net1"),
            "{}",
            text(Some(25))
        );
        for width in [21, 22, 25, 30, 37] {
            assert!(
                text(Some(width))
                    .lines()
                    .all(|line| line.chars().count() <= width)
            );
        }
    }

    #[test]
    fn counters_are_left_out_before_anything_is_cut() {
        let mut table = Table::new([
            column("NAME").cut_to(1),
            column("BYTES").spare(),
            column("NOTE").optional(),
        ]);
        table.row(Tone::Plain, ["a-long-name", "12", "note"]);
        let page = |width| Page {
            width: Some(width),
            colour: false,
        };
        assert_eq!(
            table.text(page(17)),
            "NAME         NOTE\na-long-name  note\n"
        );
        assert_eq!(table.text(page(10)), "NAME  NOTE\na-l…  note\n");
    }

    #[test]
    fn rows_are_ordered_by_any_column() {
        let mut table = Table::new([column("HOST"), column("BYTES").number()]);
        for (host, bytes) in [("10.0.0.10:80", 5u64), ("10.0.0.9:80", 70), ("a", 70)] {
            table.row(Tone::Plain, [host.into(), Cell::amount(bytes, "x")]);
        }
        assert_eq!(table.order("host"), [1, 0, 2]);
        assert_eq!(table.order("BYTES"), [1, 2, 0]);
        assert_eq!(table.order("none"), [0, 1, 2]);
    }

    #[test]
    fn only_a_page_with_colours_is_coloured() {
        let page = Page {
            width: None,
            colour: true,
        };
        assert!(table().text(page).contains("\x1b[31m8080"));
        assert!(!text(None).contains('\x1b'));
    }
}
