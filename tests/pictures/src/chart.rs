//! A chart with a logarithmic scale upwards and named places from left to right.

use std::io;

use crate::data::figure;
use crate::sheet::Sheet;

/// A line of a chart.
pub struct Series {
    /// What it is called.
    pub name: String,
    /// How it is drawn: a colour, and `dash` for broken.
    pub class: String,
    /// A value for each place; none where there is no figure.
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// Lines of a table's columns: the name, the class, and the column of each.
    ///
    /// # Errors
    /// When a cell is no number.
    pub fn of_columns<const COLUMNS: usize>(
        rows: &[[String; COLUMNS]],
        lines: &[(&str, &str, usize)],
    ) -> io::Result<Vec<Series>> {
        let of = |(name, class, at): &(&str, &str, usize)| {
            let values = rows.iter().map(|row| figure(&row[*at]));
            Ok(Series {
                name: (*name).to_owned(),
                class: (*class).to_owned(),
                values: values.collect::<io::Result<_>>()?,
            })
        };
        lines.iter().map(of).collect()
    }
}

/// Where a chart is, and its scale.
pub struct Chart<'a> {
    /// Upper left corner, width and height of the area of the lines.
    pub area: [i32; 4],
    /// Names of the places.
    pub places: &'a [String],
    /// The smallest and largest power of ten of the scale.
    pub decades: (i32, i32),
    /// What is written above it.
    pub title: &'a str,
}

impl Chart<'_> {
    /// Draws grid and lines.
    pub fn draw(&self, sheet: Sheet, series: &[Series]) -> Sheet {
        let [left, top, width, height] = self.area;
        let sheet = sheet.words(left, top - 12, "", self.title);
        let sheet = (self.decades.0..=self.decades.1).fold(sheet, |sheet, power| {
            let value = 10f64.powi(power);
            let y = self.up(value);
            let name = if power < 0 {
                format!("{value:.1}")
            } else {
                thousands(value)
            };
            sheet.line("grid", (left, y), (left + width, y)).anchored(
                left - 8,
                y + 4,
                "small",
                "end",
                &name,
            )
        });
        let sheet = self
            .places
            .iter()
            .enumerate()
            .fold(sheet, |sheet, (at, place)| {
                let y = top + height + 18;
                sheet.anchored(self.across(at), y, "small", "middle", place)
            });
        series.iter().fold(sheet, |sheet, one| {
            let values = one.values.iter().enumerate();
            let points: Vec<(i32, i32)> = values
                .filter_map(|(at, value)| value.map(|value| (self.across(at), self.up(value))))
                .collect();
            let sheet = sheet.through(&one.class, &points);
            points
                .iter()
                .fold(sheet, |sheet, point| sheet.dot(&one.class, *point))
        })
    }

    fn across(&self, at: usize) -> i32 {
        let [left, _, width, _] = self.area;
        let count = i32::try_from(self.places.len()).unwrap_or(1);
        let at = i32::try_from(at).unwrap_or(0);
        left + width * (2 * at + 1) / (2 * count)
    }

    fn up(&self, value: f64) -> i32 {
        let [_, top, _, height] = self.area;
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let share = ((value.log10() - low) / (high - low)).clamp(0.0, 1.0);
        let down = f64::from(height) * (1.0 - share);
        // Within the area, so within i32.
        #[allow(clippy::cast_possible_truncation)]
        let down = down.round() as i32;
        top + down
    }
}

/// What each line is, below one another.
pub fn legend(sheet: Sheet, (x, y): (i32, i32), series: &[Series]) -> Sheet {
    series.iter().zip(0..).fold(sheet, |sheet, (one, at)| {
        let y = y + 22 * at;
        sheet
            .through(&one.class, &[(x, y - 5), (x + 34, y - 5)])
            .words(x + 44, y, "", &one.name)
    })
}

/// `5000` as `5,000`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    match digits.len() {
        4.. => {
            let (head, tail) = digits.split_at(digits.len() - 3);
            format!("{head},{tail}")
        }
        _ => digits,
    }
}
