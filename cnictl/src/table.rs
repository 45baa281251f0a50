//! Tables for people: aligned columns, colour on a terminal only, and as wide as the terminal.
//!
//! Where they do not fit, counters are left out first, then what is needed least, and the rest is cut
//! where it may be, or goes to a second line. Into a file or a pipe every column goes whole.

mod column;
mod sort;

use std::io::{self, IsTerminal};

use common::sys::terminal;

use column::Need;

pub use column::{Column, column};

/// What is between two columns.
const GAP: usize = 2;

/// Before what a row has on a second line: further in than a severity, so that rows begin at the left.
const INDENT: usize = 9;

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
            Some(sort::key(text, *amount))
        };
        order.sort_by_cached_key(key);
        order
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
            let line = self.folded(&layout, cells, page.width);
            out.push_str(&match tone {
                Tone::Plain => line + "\n",
                Tone::Good => paint(page, "32", &line),
                Tone::Doubtful => paint(page, "33", &line),
                Tone::Bad => paint(page, "31", &line),
            });
        }
        out
    }

    /// A row, with its last cell on a second line if it must be.
    fn folded(&self, layout: &[(usize, usize)], cells: &[Cell], page: Option<usize>) -> String {
        let line = self.line(layout, cells);
        let fits = page.is_none_or(|page| line.chars().count() <= page);
        match layout.split_last() {
            Some(((last, _), others)) if !fits && self.can_fold(*last) => {
                let text = cells.get(*last).map_or("", |cell| cell.text.as_str());
                format!("{}\n{:INDENT$}{text}", self.line(others, cells), "")
            }
            _ => line,
        }
    }

    fn can_fold(&self, index: usize) -> bool {
        self.columns
            .get(index)
            .is_some_and(|column| column.can_fold)
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
mod tests;
