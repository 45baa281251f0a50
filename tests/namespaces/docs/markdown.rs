//! The documents: fenced blocks, tables and links.

use std::fs;
use std::path::{Path, PathBuf};

/// The project's directory.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap().to_owned()
}

/// A document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its path below the project's directory.
    pub path: String,
    pub text: String,
}

/// What of a document is to be run, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Block(Block),
    /// Sessions go on on a fresh node.
    FreshNode(Node),
}

/// What a fresh node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Our plugins in /opt/cni/bin, and conflist.
    Ours,
    /// The reference's plugins in /opt/cni/bin, and conflist.
    Reference,
    /// Nothing of CNI but Debian's package.
    Bare,
}

/// A fenced block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    pub language: String,
    /// `file=PATH`
    pub file: Option<String>,
    /// `no-run: REASON`
    pub no_run: Option<String>,
    pub text: String,
}

/// Every document of the project, in alphabetical order.
pub fn documents() -> Vec<Document> {
    let root = root();
    let mut paths = markdown_below(&root);
    paths.sort();
    let document = |path: PathBuf| Document {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(&root).unwrap().display().to_string(),
    };
    paths.into_iter().map(document).collect()
}

/// The document of that path.
pub fn document(path: &str) -> Document {
    let found = documents().into_iter().find(|one| one.path == path);
    found.unwrap_or_else(|| panic!("there is no {path}"))
}

fn markdown_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(markdown_below(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

impl Document {
    /// Its blocks and the remarks between them.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut open: Option<Block> = None;
        for (line, text) in (1..).zip(self.text.lines()) {
            let inner = text.trim_start();
            match open.take() {
                Some(block) if inner.starts_with("```") => parts.push(Part::Block(block)),
                Some(mut block) => {
                    block.text.push_str(text);
                    block.text.push('\n');
                    open = Some(block);
                }
                None if inner.starts_with("```") => open = Some(Block::opened(line, &inner[3..])),
                None => parts.extend(remark(inner)),
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.path);
        parts
    }

    /// Its blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let block = |part| match part {
            Part::Block(block) => Some(block),
            Part::FreshNode(_) => None,
        };
        self.parts().into_iter().filter_map(block).collect()
    }

    /// Its lines outside of blocks, each with its number.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut is_inside = false;
        let numbered = (1..).zip(self.text.lines());
        numbered
            .filter(|(_, line)| {
                let is_fence = line.trim_start().starts_with("```");
                is_inside ^= is_fence;
                !is_inside && !is_fence
            })
            .collect()
    }

    /// The rows of every table whose head has these columns, as those columns.
    pub fn rows<const N: usize>(&self, columns: [&str; N]) -> Vec<[String; N]> {
        let mut rows = Vec::new();
        let mut places: Option<[usize; N]> = None;
        for (_, line) in self.prose() {
            let cells = cells(line);
            if cells.is_empty() {
                places = None;
            } else if let Some(places) = places {
                if !cells.iter().all(|cell| cell.starts_with("---")) {
                    rows.push(places.map(|place| cells[place].clone()));
                }
            } else {
                let place = |name: &str| cells.iter().position(|cell| cell == name);
                let found: Option<Vec<usize>> = columns.iter().map(|name| place(name)).collect();
                places = found.map(|found| found.try_into().unwrap());
            }
        }
        rows
    }

    /// The text of every inline span of code.
    pub fn spans(&self) -> Vec<&str> {
        let lines = self.prose().into_iter().map(|(_, line)| line);
        lines
            .flat_map(|line| line.split('`').skip(1).step_by(2))
            .collect()
    }
}

impl Block {
    fn opened(line: usize, info: &str) -> Block {
        let (words, no_run) = match info.split_once("no-run:") {
            Some((words, reason)) => (words, Some(reason.trim().to_owned())),
            None => (info, None),
        };
        let mut block = Block {
            line,
            no_run,
            ..Block::default()
        };
        for (place, word) in words.split_whitespace().enumerate() {
            match word.strip_prefix("file=") {
                Some(path) => block.file = Some(path.to_owned()),
                None if place == 0 => block.language = word.to_owned(),
                None => panic!("line {line}: nobody knows what {word:?} is"),
            }
        }
        block
    }
}

fn remark(line: &str) -> Option<Part> {
    let node = match line.trim() {
        "<!-- a fresh node -->" => Node::Ours,
        "<!-- a fresh node with the reference -->" => Node::Reference,
        "<!-- a bare node -->" => Node::Bare,
        _ => return None,
    };
    Some(Part::FreshNode(node))
}

/// The cells of a table's line; `\|` is no border.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    if !line.starts_with('|') {
        return Vec::new();
    }
    let inner = line.trim_matches('|').replace("\\|", "\u{1}");
    let cells = inner.split('|');
    cells
        .map(|cell| cell.trim().replace('\u{1}', "|"))
        .collect()
}

#[test]
fn blocks_are_read_with_what_their_fence_says() {
    let text = "a\n\n```json file=/etc/x no-run: why not\n{}\n```\n<!-- a fresh node -->\n- b\n  ```\n  # x\n  ```\n";
    let document = Document {
        path: "x.md".into(),
        text: text.into(),
    };
    let first = Block {
        line: 3,
        language: "json".into(),
        file: Some("/etc/x".into()),
        no_run: Some("why not".into()),
        text: "{}\n".into(),
    };
    let second = Block {
        line: 8,
        text: "  # x\n".into(),
        ..Block::default()
    };
    let fresh = Part::FreshNode(Node::Ours);
    let expected = [Part::Block(first), fresh, Part::Block(second)];
    assert_eq!(document.parts(), expected);
    assert_eq!(document.prose().len(), 4);
}

#[test]
fn tables_are_read_by_their_columns() {
    let text = "| key | x | example |\n| --- | --- | --- |\n| a | 1 | `[\"a\\|b\"]` |\n\n| key |\n| --- |\n| b |\n";
    let document = Document {
        path: "x.md".into(),
        text: text.into(),
    };
    let rows = document.rows(["key", "example"]);
    assert_eq!(rows, [["a".to_owned(), "`[\"a|b\"]`".to_owned()]]);
}
