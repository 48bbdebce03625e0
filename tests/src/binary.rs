//! Where the programs are: `STANCHIOND` and `STANCHION_CLI` if set, otherwise built once per test
//! program.

use std::{env, path::PathBuf, process::Command, sync::OnceLock};

use serde_json::Value;

/// The path of `stanchiond`, built in the tests' own profile unless `STANCHIOND` names one.
///
/// # Panics
/// When the server does not compile.
pub fn stanchiond() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        env::var_os("STANCHIOND").map_or_else(|| build("stanchiond"), PathBuf::from)
    })
}

/// The path of `stanchion`, the command line, built like the server unless `STANCHION_CLI` names one.
///
/// # Panics
/// When it does not compile.
pub fn stanchion() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        env::var_os("STANCHION_CLI").map_or_else(|| build("stanchion"), PathBuf::from)
    })
}

fn build(program: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace is selected, and an example with it, so that features are unified as in
    // `cargo test`, and nothing is compiled twice.
    cargo
        .args(["build", "--quiet", "--locked", "--workspace", "--all-features", "--bin", program])
        .args(["--example", "fifo"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(std::process::Stdio::inherit()).output().expect("cargo can be run");
    assert!(output.status.success(), "{program} does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let is_ours = message["target"]["name"] == program;
            message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
        })
        .expect("cargo names the program it built")
}
