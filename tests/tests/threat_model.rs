//! The page on what is defended names tests that exist.

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/threat-model.md");

/// Everything in the Rust files beneath a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        match path.extension() {
            _ if path.is_dir() => sources(&path, text),
            Some(extension) if extension == "rs" => {
                text.push_str(&fs::read_to_string(&path).expect("a source is text"));
            }
            _ => {}
        }
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    for folder in ["service/src", "service/tests", "tests/tests"] {
        sources(&root.join(folder), &mut text);
    }
    let mut named = 0;
    for row in PAGE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        for name in shown_by.split('`').skip(1).step_by(2) {
            assert!(text.contains(&format!("fn {name}(")), "there is no test {name}");
            named += 1;
        }
    }
    assert!(named > 30, "{named} tests");
}
