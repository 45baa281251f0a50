//! What is shown, and how: plain lines, with headings in bold on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// The story so far; told step by step.
#[derive(Debug)]
pub struct Story {
    text: String,
    bold: bool,
    started: Instant,
}

impl Story {
    /// Begins.
    pub fn new() -> Story {
        Story {
            text: String::new(),
            bold: io::stdout().is_terminal(),
            started: Instant::now(),
        }
    }

    /// A heading.
    pub fn title(&mut self, text: &str) {
        let (on, off) = if self.bold {
            ("\u{1b}[1m", "\u{1b}[0m")
        } else {
            ("", "")
        };
        self.text.push_str(&format!("{on}{text}{off}\n"));
    }

    /// The heading of a step; what was told before it is printed.
    pub fn step(&mut self, text: &str) -> io::Result<()> {
        self.text.push('\n');
        self.title(text);
        self.print()
    }

    /// One line.
    pub fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// Several lines, indented.
    pub fn lines(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("  {line}"));
        }
    }

    /// A command and what it said.
    pub fn command(&mut self, text: &str) {
        self.line(text.trim_end());
    }

    /// Ends, with the time it took.
    pub fn end(mut self) -> io::Result<()> {
        let seconds = self.started.elapsed().as_secs_f32();
        self.line(&format!("\nDone in {seconds:.1} s."));
        self.print()
    }

    fn print(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(std::mem::take(&mut self.text).as_bytes())?;
        stdout.flush()
    }
}

/// Says why the demo ended early.
pub fn failure(error: &io::Error) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "demo: {error}");
}

/// A rate in bits per second, for people.
pub fn mbit(bits: u64) -> String {
    format!("{}.{} Mbit/s", bits / 1_000_000, bits / 100_000 % 10)
}
