//! A sheet to draw on: boxes, arrows and words that are readable on light and dark pages.

use svg::Document;
use svg::node::element::{
    Circle, Definitions, Line, Marker, Path, Polyline, Rectangle, Style, Text,
};

/// Colours by class, for pages of either kind. `c0` to `c3` are series of a chart.
const STYLE: &str = "\
text{font:15px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#1f2328}\
.title{font-size:19px;font-weight:600}.small{font-size:13px;fill:#59636e}.code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:14px}\
.page{fill:#ffffff;stroke:#d1d9e0}.box{fill:#f6f8fa;stroke:#818b98}.ours{fill:#ddf4ff;stroke:#0969da}\
.arrow{stroke:#59636e;stroke-width:1.5}.head{fill:#59636e}.grid{stroke:#d1d9e0}.line{fill:none;stroke-width:2.5}.dash{stroke-dasharray:7 5}\
.c0{stroke:#0969da}.c1{stroke:#1a7f37}.c2{stroke:#9a6700}.c3{stroke:#cf222e}.dot{fill:none;stroke-width:3}\
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.page{fill:#0d1117;stroke:#3d444d}.box{fill:#151b23;stroke:#656c76}.ours{fill:#10233d;stroke:#4493f8}\
.arrow{stroke:#9198a1}.head{fill:#9198a1}.grid{stroke:#3d444d}.c0{stroke:#4493f8}.c1{stroke:#3fb950}.c2{stroke:#d29922}.c3{stroke:#f85149}}";

/// Height of a line of words.
const LINE: i32 = 19;

/// A drawing of a fixed width, in units that are pixels where there is room.
pub struct Sheet(Document);

impl Sheet {
    /// Empty, but for its title. `about` is read to those who cannot see it.
    pub fn new(width: i32, height: i32, title: &str, about: &str) -> Self {
        let head = Path::new().set("d", "M0,0L8,4L0,8z").set("class", "head");
        let marker = Marker::new()
            .set("id", "head")
            .set("viewBox", "0 0 8 8")
            .set("refX", 7)
            .set("refY", 4)
            .set("markerWidth", 8)
            .set("markerHeight", 8)
            .set("orient", "auto")
            .add(head);
        let document = document(width, height, about)
            .add(Style::new(STYLE))
            .add(Definitions::new().add(marker))
            .add(page(width, height));
        Self(document).words(20, 32, "title", title)
    }

    /// One line of words that begins at `x`, on the line `y`.
    pub fn words(self, x: i32, y: i32, class: &str, text: &str) -> Self {
        self.anchored(x, y, class, "start", text)
    }

    /// One line of words around, or up to, `x`: `middle` or `end`.
    pub fn anchored(self, x: i32, y: i32, class: &str, anchor: &str, text: &str) -> Self {
        let text = Text::new(text)
            .set("x", x)
            .set("y", y)
            .set("text-anchor", anchor)
            .set("class", class);
        Self(self.0.add(text))
    }

    /// A box with lines in its middle; those that begin with a backtick are code.
    pub fn boxed(self, class: &str, [x, y, width, height]: [i32; 4], lines: &[&str]) -> Self {
        let area = Rectangle::new()
            .set("x", x)
            .set("y", y)
            .set("width", width)
            .set("height", height)
            .set("rx", 6)
            .set("class", class);
        let count = i32::try_from(lines.len()).unwrap_or(0);
        let first = y + (height - count * LINE) / 2 + LINE - 5;
        let places = (0..).map(|at| first + at * LINE);
        lines
            .iter()
            .zip(places)
            .fold(Self(self.0.add(area)), |sheet, (line, y)| {
                let (class, line) = match line.strip_prefix('`') {
                    Some(code) => ("code", code),
                    None if y == first => ("", *line),
                    None => ("small", *line),
                };
                sheet.anchored(x + width / 2, y, class, "middle", line)
            })
    }

    /// An arrow.
    pub fn arrow(self, from: (i32, i32), to: (i32, i32)) -> Self {
        let line = Self::straight("arrow", from, to).set("marker-end", "url(#head)");
        Self(self.0.add(line))
    }

    /// A line without a head.
    pub fn line(self, class: &str, from: (i32, i32), to: (i32, i32)) -> Self {
        Self(self.0.add(Self::straight(class, from, to)))
    }

    /// A line through points.
    pub fn through(self, class: &str, points: &[(i32, i32)]) -> Self {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let line = Polyline::new()
            .set("points", points.join(" "))
            .set("class", format!("line {class}"));
        Self(self.0.add(line))
    }

    /// A mark of a chart's figure.
    pub fn dot(self, class: &str, (x, y): (i32, i32)) -> Self {
        let colour = class.split(' ').next().unwrap_or_default();
        let dot = Circle::new()
            .set("cx", x)
            .set("cy", y)
            .set("r", 3)
            .set("class", format!("dot {colour}"));
        Self(self.0.add(dot))
    }

    fn straight(class: &str, from: (i32, i32), to: (i32, i32)) -> Line {
        Line::new()
            .set("x1", from.0)
            .set("y1", from.1)
            .set("x2", to.0)
            .set("y2", to.1)
            .set("class", class)
    }

    /// The file.
    pub fn text(&self) -> String {
        format!("{}\n", self.0)
    }
}

/// An empty picture. `about` is read to those who cannot see it.
pub fn document(width: i32, height: i32, about: &str) -> Document {
    Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("role", "img")
        .set("aria-label", about)
}

/// Its background.
pub fn page(width: i32, height: i32) -> Rectangle {
    Rectangle::new()
        .set("x", 0.5)
        .set("y", 0.5)
        .set("width", width - 1)
        .set("height", height - 1)
        .set("rx", 8)
        .set("class", "page")
}
