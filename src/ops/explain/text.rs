//! A document as text: labels and columns aligned, long lines broken at blanks. No colours, no control characters.

use super::document::{Body, Document, Section};
use crate::log::visible;

/// Lines are broken where they would be longer, at a blank if there is one.
const WIDTH: usize = 100;

/// A blank at which no line is broken: U+00A0, printed as a plain one.
pub const TIGHT: char = '\u{a0}';

pub fn render(document: &Document) -> String {
    let mut text = String::new();
    for section in document.sections.iter().filter(|section| !section.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&self::section(section));
    }
    let name =
        |section: &Section| section.title.split([',', ':', '(']).next().unwrap_or_default().trim().to_lowercase();
    let unused: Vec<String> = document.sections.iter().filter(|section| section.is_empty()).map(name).collect();
    if !unused.is_empty() {
        text.push_str("\nNot asked for\n");
        text.push_str(&line("  ", &unused.join(", ")));
    }
    text
}

pub fn section(section: &Section) -> String {
    let mut text = format!("{}\n", visible(&section.title));
    match &section.body {
        Body::Facts(facts) => {
            let shown = || facts.iter().filter(|fact| !fact.lines.is_empty());
            let width = shown().map(|fact| fact.label.len()).max().unwrap_or(0);
            for fact in shown() {
                for (number, words) in fact.lines.iter().enumerate() {
                    let label = if number == 0 { fact.label } else { "" };
                    text.push_str(&line(&format!("  {label:width$}  "), words));
                }
            }
        }
        Body::Table(rows, _) => text.push_str(&table(rows)),
    }
    let width = section.legend.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
    for (number, (word, meaning)) in section.legend.iter().enumerate() {
        text.push_str(if number == 0 { "  where\n" } else { "" });
        text.push_str(&line(&format!("    {word:width$}  "), meaning));
    }
    text
}

/// All columns but the last are as wide as their longest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell).chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut start = String::from("  ");
        let Some((last, before)) = row.split_last() else { continue };
        for (cell, width) in before.iter().zip(&widths) {
            let cell = visible(cell);
            start.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(&line(&start, last));
    }
    text
}

/// `start` and the words, continued on further lines below the first of them.
fn line(start: &str, words: &str) -> String {
    let words = visible(words);
    let indent = start.chars().count();
    let room = WIDTH.saturating_sub(indent).max(30);
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let last = lines.last_mut().expect("one at least");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > room {
            lines.push(word.to_owned());
            continue;
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    let mut text = String::new();
    for (number, words) in lines.iter().enumerate() {
        let start = if number == 0 { start.to_owned() } else { " ".repeat(indent) };
        text.push_str(format!("{start}{words}").trim_end().replace(TIGHT, " ").as_str());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn long_lines_are_broken_below_their_words() {
        let text = line("  label  ", &"word ".repeat(40));
        assert!(text.lines().count() == 3 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("         word")), "{text}");
    }

    #[test]
    fn columns_stand_below_each_other_and_control_characters_are_visible() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["a", "b\u{1b}[2J", "c"]), row(["long", "x", "y"])]);
        assert_eq!(text, "  a     b\\u{1b}[2J  c\n  long  x           y\n");
    }

    #[test]
    fn what_is_empty_is_named_at_the_end() {
        let mut document = Document::default();
        document.sections.push(Section::table("hooks", "Hooks", Vec::new(), Value::Null));
        assert_eq!(render(&document), "\nNot asked for\n  hooks\n");
    }
}
