//! Tables for people: aligned columns, colour on a terminal only, and as wide as the terminal.
//!
//! Where they do not fit, columns that allow it are cut, then those that are least needed are left
//! out. Into a file or a pipe everything goes whole.

use std::io::{self, IsTerminal};

use common::sys::terminal;

/// What stands between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    is_number: bool,
    least: usize,
    is_optional: bool,
}

/// Makes a column whose content is never cut.
pub const fn column(title: &'static str) -> Column {
    Column {
        title,
        is_number: false,
        least: usize::MAX,
        is_optional: false,
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

    /// May be left out; the last one goes first.
    #[must_use]
    pub const fn optional(self) -> Column {
        Column {
            is_optional: true,
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
    /// As something that is not as it should be.
    Bad,
}

/// Rows under columns.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<(Tone, Vec<String>)>,
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
    /// pose as a row or speak to the terminal.
    pub fn row(&mut self, tone: Tone, cells: impl IntoIterator<Item = String>) {
        let printable = |cell: String| {
            let shown = |c: char| if c.is_control() { '?' } else { c };
            cell.chars().map(shown).collect()
        };
        let mut cells: Vec<String> = cells.into_iter().map(printable).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push((tone, cells));
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, titles first.
    pub fn text(&self, page: Page) -> String {
        let layout = self.layout(page.width);
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
        let mut out = paint(page, "1", &self.line(&layout, &titles));
        for (tone, cells) in &self.rows {
            let line = self.line(&layout, cells);
            out.push_str(&match tone {
                Tone::Plain => line + "\n",
                Tone::Good => paint(page, "32", &line),
                Tone::Bad => paint(page, "31", &line),
            });
        }
        out
    }

    /// The columns shown and their widths.
    fn layout(&self, page: Option<usize>) -> Vec<(usize, usize)> {
        let needed = |index: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(index));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.max(column.title.len())
        };
        let columns = self.columns.iter().enumerate();
        let mut layout: Vec<(usize, usize)> = columns.map(|(i, c)| (i, needed(i, c))).collect();
        let Some(page) = page else { return layout };
        while total(&layout) > page && (self.cut(&mut layout) || self.leave_out(&mut layout)) {}
        layout
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

    fn leave_out(&self, layout: &mut Vec<(usize, usize)>) -> bool {
        let is_optional =
            |(index, _): &(usize, usize)| self.columns.get(*index).is_some_and(|c| c.is_optional);
        match layout.iter().rposition(is_optional) {
            Some(place) => {
                layout.remove(place);
                true
            }
            None => false,
        }
    }

    fn line(&self, layout: &[(usize, usize)], cells: &[String]) -> String {
        let mut line = String::new();
        for (place, (index, width)) in layout.iter().enumerate() {
            let text = cells.get(*index).map_or("", String::as_str);
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
        for width in [21, 22, 30, 37] {
            assert!(
                text(Some(width))
                    .lines()
                    .all(|line| line.chars().count() <= width)
            );
        }
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
