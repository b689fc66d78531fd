//! The documentation says what is: its tables have no empty cell, and the tests that they name are there.

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

/// Checks every table of a document: full, and its last column names tests that exist. How many rows there are, and how many tests.
fn check_tables(document: &str) -> (usize, usize) {
    let text = fs::read_to_string(top().join(document)).unwrap();
    let (mut suite, mut plan) = (Vec::new(), Vec::new());
    sources(&top().join("tests/suite"), &mut suite);
    sources(&top().join("src"), &mut plan);
    let holds = |files: &[PathBuf], module: &str, test: &str| {
        let of_module = |file: &&PathBuf| module == "plan" || file.file_stem().is_some_and(|stem| stem == module);
        let name = format!("fn {test}()");
        files.iter().filter(of_module).any(|file| fs::read_to_string(file).unwrap().contains(&name))
    };
    let (mut columns, mut lines, mut named) = (0, 0, 0);
    for (number, cells) in rows(&text) {
        if cells.last() == Some(&"test") {
            columns = cells.len();
            continue;
        }
        assert!(columns > 0, "{document}:{number}: a table that names no tests");
        assert_eq!(cells.len(), columns, "{document}:{number}: {} cells in a table of {columns}", cells.len());
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{document}:{number}: an empty cell");
        lines += 1;
        for name in cells[columns - 1].split(", ") {
            let parts: Vec<_> = name.trim_matches('`').split("::").collect();
            let [.., module, test] = parts[..] else { panic!("{document}:{number}: {name:?}") };
            let found = if parts[0] == "plan" { holds(&plan, "plan", test) } else { holds(&suite, module, test) };
            assert!(found, "{document}:{number}: there is no test {name}");
            named += 1;
        }
    }
    (lines, named)
}

#[test]
fn the_table_of_fields_is_full_and_its_tests_are_there() {
    let (_, named) = check_tables("docs/fields.md");
    assert!(named > 80, "{named} tests are named only");
}

#[test]
fn the_table_of_faults_is_full_and_its_tests_are_there() {
    assert_eq!(check_tables("docs/faults.md").0, 30);
}
