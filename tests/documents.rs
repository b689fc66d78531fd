//! The documentation says what is: the tables of fields, faults, vulnerabilities and practices have no empty cell, and the tests that
//! they name are there.

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

/// True when a file called `module` among these has this test.
fn has_test(files: &[PathBuf], module: &str, test: &str) -> bool {
    let name = format!("fn {test}()");
    let of_module = |file: &&PathBuf| module == "plan" || file.file_stem().is_some_and(|stem| stem == module);
    files.iter().filter(of_module).any(|file| fs::read_to_string(file).unwrap().contains(&name))
}

/// Checks every table of a document: full, and its last column names tests that exist. How many rows there are, and how many tests.
fn check_tables(document: &str) -> (usize, usize) {
    let text = fs::read_to_string(top().join(document)).unwrap();
    let (mut suite, mut plan) = (Vec::new(), Vec::new());
    sources(&top().join("tests/suite"), &mut suite);
    sources(&top().join("src"), &mut plan);
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
            let found = if parts[0] == "plan" { has_test(&plan, "plan", test) } else { has_test(&suite, module, test) };
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

/// The rows of the table in docs/security.md whose first head is `head`, with the column of the tests taken apart.
fn table<'a>(text: &'a str, head: &str) -> Vec<(usize, Vec<&'a str>, Vec<&'a str>)> {
    let rows = rows(text);
    let start = rows.iter().position(|(_, cells)| cells[0] == head).expect("the table");
    let (columns, tests) = {
        let cells = &rows[start].1;
        (cells.len(), cells.iter().position(|cell| ["test", "tests"].contains(cell)).expect("a column of tests"))
    };
    let belongs = |(row, (number, _)): &(usize, &(usize, Vec<&str>))| *number == rows[start].0 + 2 + row;
    let row = |(_, (number, cells)): (usize, &(usize, Vec<&'a str>))| {
        let place = format!("docs/security.md:{number}");
        assert_eq!(cells.len(), columns, "{place}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{place}: an empty cell");
        (*number, cells.clone(), cells[tests].split(", ").map(|name| name.trim_matches('`')).collect())
    };
    rows[start + 1..].iter().enumerate().take_while(belongs).map(row).collect()
}

#[test]
fn the_tables_of_vulnerabilities_and_practices_are_the_tests() {
    let text = fs::read_to_string(top().join("docs/security.md")).unwrap();
    let (mut suite, mut of_cve) = (Vec::new(), Vec::new());
    sources(&top().join("tests/suite"), &mut suite);
    sources(&top().join("tests/suite/cve"), &mut of_cve);
    let check = |number: usize, name: &str| {
        let (module, test) = name.split_once("::").unwrap_or_else(|| panic!("docs/security.md:{number}: {name:?}"));
        assert!(has_test(&suite, module, test), "docs/security.md:{number}: there is no test {name}");
    };

    let vulnerabilities = table(&text, "CVE");
    assert_eq!(vulnerabilities.len(), 35);
    let mut listed = Vec::new();
    for (number, cells, tests) in vulnerabilities {
        tests.iter().for_each(|name| check(number, name));
        // Each id has a test of its own, and each test here is named by an id of its row.
        let of = |id: &str| match id {
            _ if id.starts_with("CVE-") => id.to_lowercase().replace('-', "_"),
            _ if id.starts_with("GHSA-") => id[..9].to_lowercase().replace('-', "_"),
            _ => "no_cve".to_owned(),
        };
        let ids: Vec<String> = match cells[0] {
            none if none.starts_with("no CVE") => vec![of(none)],
            ids => ids.split(", ").map(of).collect(),
        };
        let named =
            |id: &String, name: &str| name.split("::").nth(1).is_some_and(|test| test.starts_with(&format!("{id}_")));
        for id in &ids {
            assert!(tests.iter().any(|name| named(id, name)), "docs/security.md:{number}: no test is named {id}");
        }
        for name in &tests {
            assert!(ids.iter().any(|id| named(id, name)), "docs/security.md:{number}: {name} is of another row");
        }
        listed.extend(tests.iter().map(|name| name.split("::").nth(1).unwrap().to_owned()));
    }
    for file in &of_cve {
        for line in fs::read_to_string(file).unwrap().lines() {
            let test = line.strip_prefix("fn ").and_then(|rest| rest.split_once("()")).map_or("", |(name, _)| name);
            let is_one = ["cve_", "ghsa_", "no_cve_"].iter().any(|start| test.starts_with(start));
            assert!(!is_one || listed.iter().any(|name| name == test), "docs/security.md does not list {test}");
        }
    }

    let practices = table(&text, "number");
    for (row, (number, cells, tests)) in practices.iter().enumerate() {
        assert_eq!(cells[0], (row + 1).to_string(), "docs/security.md:{number}");
        tests.iter().for_each(|name| check(*number, name));
    }
    assert_eq!(practices.len(), 28);

    let attacks = table(&text, "attack");
    assert!(attacks.len() >= 10);
    for (number, _, tests) in &attacks {
        tests.iter().for_each(|name| check(*number, name));
    }

    let weaknesses = table(&text, "weakness");
    assert!(weaknesses.len() >= 20);
    for (number, _, tests) in &weaknesses {
        tests.iter().for_each(|name| check(*number, name));
    }
}
