//! Clients from other languages' registries, installed once into the cache that `infra/build` uses.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{FlockOperation, flock};

/// The folder `tests/clients`.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// A virtual environment with the packages of `clients/python/requirements.txt`. `None`, said
/// aloud, when this machine has no Python.
///
/// # Panics
/// When the installation fails; in CI also when there is no Python.
pub fn python() -> Option<PathBuf> {
    require("python3", "boto3 and the AWS CLI")?;
    let requirements = clients().join("python/requirements.txt");
    Some(once("python", &requirements, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip.args(["install", "--quiet", "--requirement"]).arg(&requirements));
    }))
}

/// A folder with the `node_modules` of `clients/javascript/package.json`. `None`, said aloud, when
/// this machine has no Node.js.
///
/// # Panics
/// When the installation fails; in CI also when there is no Node.js.
pub fn javascript() -> Option<PathBuf> {
    require("npm", "the AWS SDK for JavaScript")?;
    let package = clients().join("javascript/package.json");
    Some(once("javascript", &package, |folder| {
        fs::copy(&package, folder.join("package.json")).expect("the cache takes a file");
        let mut npm = Command::new("npm");
        run(npm.args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(folder));
    }))
}

/// Whether `program` can be run. Where it cannot, a test is left out, but never in CI and never in
/// silence.
fn require(program: &str, what: &str) -> Option<()> {
    if Command::new(program).arg("--version").output().is_ok_and(|run| run.status.success()) {
        return Some(());
    }
    assert!(env::var_os("CI").is_none(), "no {program}: CI must test {what}");
    #[expect(clippy::print_stderr, reason = "a test that is left out must be noticed")]
    {
        eprintln!("\n*** NOT TESTED: {what}. This machine has no {program}. ***\n");
    }
    None
}

/// The folder in the cache that belongs to the contents of `list`, filled by `install` the first
/// time. Other processes wait while one installs.
fn once(name: &str, list: &Path, install: impl FnOnce(&Path)) -> PathBuf {
    let contents = fs::read(list).expect("the list of packages is in the repository");
    // FNV-1a: the name only has to change when the list does.
    let hash = contents.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folder = cache().join(format!("client-{name}-{hash:016x}"));
    fs::create_dir_all(&folder).expect("the cache takes a folder");

    let lock = fs::File::create(folder.join("lock")).expect("the cache takes a file");
    flock(&lock, FlockOperation::LockExclusive).expect("a local file can be locked");
    let complete = folder.join("complete");
    if !complete.exists() {
        install(&folder);
        fs::write(complete, "").expect("the cache takes a file");
    }
    folder
}

/// As in `infra/build/rocksdb.sh`.
fn cache() -> PathBuf {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    variable("STANCHION_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("stanchion")))
        .or_else(|| Some(variable("HOME")?.join(".cache/stanchion")))
        .expect("HOME is set")
}

fn run(command: &mut Command) {
    let output = command.output().expect("the installer can be run");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
