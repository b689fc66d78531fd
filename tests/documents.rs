//! The documentation says what is: the table of fields has no empty cell, and the tests that it names are there.

use std::fs;
use std::path::{Path, PathBuf};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            found.push(entry);
        }
    }
}

/// The cells of every table line, with its number.
fn rows(text: &str) -> Vec<(usize, Vec<&str>)> {
    let tables = text.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    tables
        .map(|(number, line)| (number + 1, line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>()))
        .collect()
}

#[test]
fn the_table_of_fields_is_full_and_its_tests_are_there() {
    let text = fs::read_to_string(top().join("docs/fields.md")).unwrap();
    let (mut suite, mut plan) = (Vec::new(), Vec::new());
    sources(&top().join("tests/suite"), &mut suite);
    sources(&top().join("src"), &mut plan);
    let holds = |files: &[PathBuf], module: &str, test: &str| {
        let of_module = |file: &&PathBuf| module == "plan" || file.file_stem().is_some_and(|stem| stem == module);
        let name = format!("fn {test}()");
        files.iter().filter(of_module).any(|file| fs::read_to_string(file).unwrap().contains(&name))
    };
    let mut columns = 0;
    let mut named = 0;
    for (number, cells) in rows(&text) {
        if cells.last() == Some(&"test") {
            columns = cells.len();
            continue;
        }
        assert!(columns > 0, "docs/fields.md:{number}: a table that names no tests");
        assert_eq!(cells.len(), columns, "docs/fields.md:{number}: {} cells in a table of {columns}", cells.len());
        assert!(cells.iter().all(|cell| !cell.is_empty()), "docs/fields.md:{number}: an empty cell");
        for name in cells[columns - 1].split(", ") {
            let name = name.trim_matches('`');
            let (module, rest) = name.split_once("::").unwrap_or_else(|| panic!("docs/fields.md:{number}: {name:?}"));
            let test = rest.rsplit("::").next().unwrap_or(rest);
            let found = if module == "plan" { holds(&plan, module, test) } else { holds(&suite, module, test) };
            assert!(found, "docs/fields.md:{number}: there is no test {name}");
            named += 1;
        }
    }
    assert!(named > 80, "{named} tests are named only");
}
