//! A new user's walk through the README's section, as the documentation shows it.
//!
//! After a change of what is printed: `STANCHION_GOLDEN=write cargo test --test promises walk`.

use std::{env, fmt::Write as _, fs, path::Path};

use stanchion_tests::{
    Server, binary,
    cli::{Cli, Ran},
};

const README: &str = include_str!("../../../README.md");
const WALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli-walk.md");

#[test]
fn the_readme_prints_what_the_documentation_shows() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let mut walked = String::new();
    for line in block(README, "sh", "stanchion queue create").lines() {
        let printed = typed(&cli, line).expect_code(0).out;
        let end = if printed.is_empty() || printed.ends_with('\n') { "" } else { "\n" };
        write!(walked, "$ {line}\n{printed}{end}").expect("a text takes any text");
    }
    let page = fs::read_to_string(WALK).expect("the page is there");
    let shown = block(&page, "console", "");
    if env::var_os("STANCHION_GOLDEN").is_some_and(|value| value == "write") {
        let fenced = |lines: &str| format!("```console\n{lines}```");
        let page = page.replacen(&fenced(shown), &fenced(&walked), 1);
        fs::write(WALK, page).expect("the page can be written");
        return;
    }
    assert_eq!(
        without_ids_and_times(shown),
        without_ids_and_times(&walked),
        "STANCHION_GOLDEN=write records it anew"
    );
}

/// The inside of the first block in this language that begins so.
fn block<'a>(page: &'a str, language: &str, beginning: &str) -> &'a str {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    let mut found = blocks.filter(|block| block.starts_with(beginning));
    found.next().expect("the page has such a block")
}

/// What a line does that somebody types into a shell: both streams, as a terminal mixes them.
fn typed(cli: &Cli, line: &str) -> Ran {
    let programs = binary::stanchion().parent().map(Path::to_path_buf);
    let system = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(programs.into_iter().chain(env::split_paths(&system)));
    let mut shell = cli.program("bash", &["-c", &format!("exec 2>&1; {line}")]);
    shell.env("PATH", path.expect("no folder's name has a colon"));
    shell.output().expect("bash can be run").into()
}

/// The words of each line, with placeholders for what is another one every time. How far columns are
/// apart follows from that.
fn without_ids_and_times(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let (bare, rest) = match word.strip_suffix([':', ',']) {
            Some(bare) => (bare, &word[bare.len()..]),
            None => (word, ""),
        };
        match bare {
            _ if is_message_id(bare) => format!("ID{rest}"),
            _ if is_time(bare) => format!("TIME{rest}"),
            _ => word.to_owned(),
        }
    };
    let words = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

/// Such as `5f0c9a1e-4d0b-4f8e-9d0e-1c2b3a495867`.
fn is_message_id(word: &str) -> bool {
    let lengths = word.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Such as `0s` or `12ms`.
fn is_time(word: &str) -> bool {
    let number = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = &word[number.len()..];
    !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
        && ["ms", "s", "m"].contains(&unit)
}
