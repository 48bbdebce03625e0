//! Clients from other languages' registries, installed once into the cache that `infra/build` uses.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{FlockOperation, flock};

/// The oldest Go that the SDK's module accepts.
const GO_MIN: (u32, u32) = (1, 24);

/// The oldest Java that runs a program from its source.
const JAVA_MIN: (u32, u32) = (11, 0);

/// The folder `tests/clients`.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// The folder `tests/functions`.
pub fn functions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("functions")
}

/// A virtual environment with the packages of a list in `clients/python`. `None`, said aloud, when
/// this machine has no Python.
///
/// # Panics
/// When the installation fails; in CI also when there is no Python.
pub fn python(list: &str) -> Option<PathBuf> {
    required(version("python3", "--version"), "boto3 and the AWS CLI 1: there is no python3")?;
    Some(python_environment(&clients().join("python").join(list)))
}

/// The same with Lambda's runtime, for `functions/python`.
///
/// # Panics
/// As [`python`].
pub fn python_function() -> Option<PathBuf> {
    required(version("python3", "--version"), "functions in Python: there is no python3")?;
    Some(python_environment(&functions().join("python/requirements.txt")))
}

/// Whether there is a Node.js, which `functions/node` needs nothing besides. `None`, said aloud, when
/// there is none.
///
/// # Panics
/// In CI, when there is none.
pub fn node() -> Option<()> {
    required(version("node", "--version"), "functions in JavaScript: there is no node")?;
    Some(())
}

/// The program of `functions/go`. `None`, said aloud, when this machine has no Go.
///
/// # Panics
/// When it does not compile.
pub fn go_function() -> Option<PathBuf> {
    let found = version("go", "version").filter(|version| *version >= GO_MIN);
    wished(found, "functions in Go: there is no go, or none of version 1.24")?;
    let source = functions().join("go");
    let folder = once("go-function", &source.join("main.go"), |folder| {
        let mut go = Command::new("go");
        go.arg("build").arg("-o").arg(folder.join("function")).arg(".");
        run(go.current_dir(&source).env("GOTOOLCHAIN", "local"));
    });
    Some(folder.join("function"))
}

fn python_environment(requirements: &Path) -> PathBuf {
    once("python", requirements, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip.args(["install", "--quiet", "--requirement"]).arg(requirements));
    })
}

/// A folder with the `node_modules` of a list in `clients/javascript`. `None`, said aloud, when this
/// machine has no Node.js.
///
/// # Panics
/// When the installation fails; in CI also when there is no Node.js.
pub fn javascript(list: &str) -> Option<PathBuf> {
    required(version("npm", "--version"), "the AWS SDK for JavaScript: there is no npm")?;
    let package = clients().join("javascript").join(list);
    Some(once("javascript", &package, |folder| {
        fs::copy(&package, folder.join("package.json")).expect("the cache takes a file");
        let mut npm = Command::new("npm");
        run(npm.args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(folder));
    }))
}

/// The folder of an AWS CLI 2, and its version. It is in no registry, so it is the system's:
/// `infra/build/install.sh clients` installs it. `None`, said aloud, when there is none.
///
/// # Panics
/// In CI, when there is none.
pub fn command_line_2() -> Option<(PathBuf, (u32, u32))> {
    let path = env::var_os("PATH").unwrap_or_default();
    // The first may well be a version 1.
    let found = env::split_paths(&path).find_map(|folder| {
        let version = version(folder.join("aws"), "--version")?;
        (version.0 == 2).then_some((folder, version))
    });
    required(found, "the AWS CLI 2: there is none on the path")
}

/// Whether there is a Go, which installs what a program needs by itself. `None` is said aloud.
pub fn go() -> Option<()> {
    let found = version("go", "version").filter(|version| *version >= GO_MIN);
    wished(found, "the AWS SDK for Go: there is no go, or none of version 1.24")?;
    Some(())
}

/// A folder with the archives that `clients/java/pom.xml` names. `None`, said aloud, when this
/// machine has no JDK or no Maven.
///
/// # Panics
/// When the installation fails.
pub fn java() -> Option<PathBuf> {
    let found = version("javac", "--version").filter(|version| *version >= JAVA_MIN);
    wished(found, "the AWS SDK for Java: there is no JDK, or none of version 11")?;
    wished(version("mvn", "--version"), "the AWS SDK for Java: there is no mvn")?;
    let project = clients().join("java/pom.xml");
    Some(once("java", &project, |folder| {
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(&project);
        maven.arg("dependency:copy-dependencies");
        run(maven.arg(format!("-DoutputDirectory={}", folder.display())));
    }))
}

/// A program's version, major and minor: the first number in what it says. `None` when it cannot
/// be run.
fn version(program: impl AsRef<Path>, ask: &str) -> Option<(u32, u32)> {
    let output = Command::new(program.as_ref()).arg(ask).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let number = &said[said.find(|c: char| c.is_ascii_digit())?..];
    let mut parts = number.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let (major, minor) = (parts.next()?.ok()?, parts.next()?.unwrap_or(0));
    output.status.success().then_some((major, minor))
}

/// What a test cannot do without. Where it is missing the test is left out, but never in CI and
/// never in silence.
fn required<T>(found: Option<T>, what: &str) -> Option<T> {
    assert!(found.is_some() || env::var_os("CI").is_none(), "CI must test {what}");
    wished(found, what)
}

/// What a test is left out without, though not in silence.
fn wished<T>(found: Option<T>, what: &str) -> Option<T> {
    if found.is_none() {
        // Not with a macro: what those print of a test that passes is never shown.
        let _ = writeln!(io::stderr(), "\n*** NOT TESTED: {what}. ***\n");
    }
    found
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
