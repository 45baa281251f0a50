//! How long a ping takes beside a TCP stream that uses up a pod's limit.

use std::io;
use std::path::Path;

use crate::chart::{Chart, Series, legend};
use crate::data::rows;
use crate::sheet::Sheet;

/// Columns: rate, then mean and maximum of ours, and the mean of the reference, in milliseconds.
///
/// # Errors
/// When the figures cannot be read.
pub fn picture(data: &Path) -> io::Result<String> {
    let rows = rows::<4>(data)?;
    let lines = [
        ("this project, mean", "c0", 1),
        ("this project, maximum", "c0 dash", 2),
        ("reference with containerd's burst, mean", "c3", 3),
    ];
    let series = Series::of_columns(&rows, &lines)?;
    let places: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let title = "bandwidth: ping of a limited pod under load";
    let about = format!("{title}; the figures are in docs/bandwidth.md");
    let chart = Chart {
        area: [70, 86, 470, 220],
        places: &places,
        decades: (0, 5),
        title: "milliseconds, beside one TCP stream",
    };
    let sheet = chart.draw(Sheet::new(560, 430, title, &about), &series);
    let sheet = sheet.anchored(305, 346, "small", "middle", "limit, bit/s");
    Ok(legend(sheet, (70, 374), &series).text())
}
