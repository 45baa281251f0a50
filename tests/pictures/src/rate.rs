//! What a limited pod receives from the first packet on.

use std::io;
use std::path::Path;

use crate::chart::{Chart, Series, legend};
use crate::data::rows;
use crate::sheet::Sheet;

/// Columns: seconds, then Mbit/s of ours and of the reference.
///
/// # Errors
/// When the figures cannot be read.
pub fn picture(data: &Path) -> io::Result<String> {
    let rows = rows::<3>(data)?;
    let lines = [("this project", "c0", 1), ("reference 1.1.1", "c3", 2)];
    let series = Series::of_columns(&rows, &lines)?;
    let whole = |row: &[String; 3]| row[0].strip_suffix(".0").unwrap_or_default().to_owned();
    let places: Vec<String> = rows.iter().map(whole).collect();
    let title = "bandwidth: a pod limited to 10 Mbit/s";
    let about =
        format!("{title}, with the burst that containerd sends: what it receives in ten seconds");
    let chart = Chart {
        area: [70, 86, 470, 200],
        places: &places,
        decades: (0, 4),
        title: "Mbit/s received, with containerd's burst",
    };
    let sheet = chart.draw(Sheet::new(560, 390, title, &about), &series);
    let sheet = sheet.anchored(305, 326, "small", "middle", "seconds");
    Ok(legend(sheet, (70, 352), &series).text())
}
