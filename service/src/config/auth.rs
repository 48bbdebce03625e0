//! Who may use the server, as far as the configuration says it: whether requests must be signed, the
//! key of root, and which addresses may be listened on without one.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use ipnet::IpNet;

use super::ConfigError;
use super::values::{is_loopback, parse_network};
use crate::auth::credentials::Secret;
use crate::auth::root::RootKey;

/// The two environment variables that root's key may come from. They are no options: whatever is on
/// a command line, everybody on the machine can read.
const KEY_VARIABLE: &str = "STANCHION_ROOT_ACCESS_KEY_ID";
const SECRET_VARIABLE: &str = "STANCHION_ROOT_SECRET_ACCESS_KEY";

/// The shortest secret. Who has seen a signed request can try secrets as fast as they like.
const SECRET_CHARS_MIN: usize = 16;

/// Who may use the server.
#[derive(Clone, Debug, Args)]
pub struct AuthOptions {
    /// Whether requests must be signed [default: sigv4 where root has a key, otherwise off]
    #[arg(long, value_name = "MODE")]
    pub auth: Option<AuthMode>,

    /// Reads root's access key from this file, which not everybody may be able to read:
    /// `access_key_id` and `secret_access_key`, or a file as the AWS command line has. Instead,
    /// STANCHION_ROOT_ACCESS_KEY_ID and STANCHION_ROOT_SECRET_ACCESS_KEY may be set in the
    /// environment
    #[arg(long, value_name = "FILE")]
    pub root_credentials_file: Option<PathBuf>,

    /// Serves on other addresses than loopback although --auth is off: whoever reaches them may do
    /// everything
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true",
        value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub allow_open_network: bool,

    /// Shows /metrics to clients in this network, where requests must be signed; may be repeated.
    /// What a proxy passes on is refused
    #[arg(long, value_name = "CIDR", default_value = "127.0.0.0/8,::1", value_delimiter = ',',
        value_parser = parse_network)]
    pub metrics_from: Vec<IpNet>,

    /// Root's key
    #[arg(skip)]
    pub root: Option<RootKey>,
}

/// Whether requests must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// By AWS Signature Version 4
    Sigv4,
    /// Whoever reaches the server may do everything
    Off,
}

impl AuthOptions {
    /// What is in force.
    pub fn mode(&self) -> AuthMode {
        let default = if self.root.is_some() { AuthMode::Sigv4 } else { AuthMode::Off };
        self.auth.unwrap_or(default)
    }

    /// Looks for root's key and checks what no option can know by itself.
    pub(super) fn complete(
        &mut self,
        listen: &[SocketAddr],
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        self.root = self.find_root(env).map_err(ConfigError::Refused)?;
        self.check(listen).map_err(ConfigError::Refused)
    }

    fn find_root(&self, env: impl Fn(&str) -> Option<String>) -> Result<Option<RootKey>, String> {
        let given = |name: &str| env(name).filter(|value| !value.is_empty());
        let key = match (given(KEY_VARIABLE), given(SECRET_VARIABLE), &self.root_credentials_file) {
            (None, None, None) => return Ok(None),
            (Some(id), Some(secret), None) => root_key(id, secret).map_err(|why| {
                format!("environment variables {KEY_VARIABLE} and {SECRET_VARIABLE}: {why}")
            }),
            (None, None, Some(path)) => read_file(path)
                .map_err(|why| format!("root_credentials_file: {}: {why}", path.display())),
            (_, _, None) => {
                Err(format!("{KEY_VARIABLE} and {SECRET_VARIABLE} go together: one is missing."))
            }
            (_, _, Some(_)) => Err(format!(
                "root_credentials_file: root has one key, and {KEY_VARIABLE} or {SECRET_VARIABLE} \
                 names another."
            )),
        };
        key.map(Some)
    }

    fn check(&self, listen: &[SocketAddr]) -> Result<(), String> {
        if self.auth == Some(AuthMode::Sigv4) && self.root.is_none() {
            return Err(format!(
                "auth: sigv4 needs a key for root: {KEY_VARIABLE} and {SECRET_VARIABLE}, or \
                 --root-credentials-file."
            ));
        }
        let open = listen.iter().find(|address| !is_loopback(address.ip()));
        match (open, self.mode(), self.allow_open_network, self.auth) {
            (None, ..) | (_, AuthMode::Sigv4, ..) => Ok(()),
            (Some(_), AuthMode::Off, true, Some(AuthMode::Off)) => Ok(()),
            (Some(open), ..) => Err(format!(
                "listen: {open} is not a loopback address, and requests are not authenticated. \
                 Give root a key ({KEY_VARIABLE} and {SECRET_VARIABLE}, or \
                 --root-credentials-file), listen on 127.0.0.0/8 or [::1] only, or say --auth off \
                 --allow-open-network: then whoever reaches the server may do everything."
            )),
        }
    }
}

/// Root's key from a file: lines of `name = value`, quoted or not, as in TOML and in the credentials
/// of the AWS command line. Sections and comments are passed over.
fn read_file(path: &Path) -> Result<RootKey, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mode = fs::metadata(path).map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "everybody may use it (mode {:03o}): chmod 600, please.",
            mode & 0o777
        ));
    }
    let [mut id, mut secret] = [None, None];
    for line in text.lines().map(str::trim) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let place = match name.trim() {
            "access_key_id" | "aws_access_key_id" => &mut id,
            "secret_access_key" | "aws_secret_access_key" => &mut secret,
            _ => continue,
        };
        let value = value.trim().trim_matches(['"', '\'']);
        if place.replace(value.to_owned()).is_some() {
            return Err("there is more than one key in it; root has one.".into());
        }
    }
    match (id, secret) {
        (Some(id), Some(secret)) => root_key(id, secret),
        _ => Err("it has no access_key_id and secret_access_key.".into()),
    }
}

fn root_key(access_key_id: String, secret: String) -> Result<RootKey, String> {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !(3..=128).contains(&access_key_id.len()) || !access_key_id.chars().all(is_id) {
        return Err("the access key has 3 to 128 letters, digits and underscores, please.".into());
    }
    if secret.len() < SECRET_CHARS_MIN || !secret.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(format!(
            "the secret has {SECRET_CHARS_MIN} or more characters without blanks, please."
        ));
    }
    Ok(RootKey { access_key_id, secret: Secret(secret.into()) })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{CommandLine, Config};

    const KEY: [(&str, &str); 2] =
        [(KEY_VARIABLE, "AKIAROOT"), (SECRET_VARIABLE, "0123456789abcdef")];

    fn load(args: &[&str], env: &[(&str, &str)]) -> Result<Config, String> {
        let args = ["stanchiond"].iter().chain(args).map(OsString::from);
        let env = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        CommandLine::load(args, env).map(|line| line.config).map_err(|error| error.to_string())
    }

    #[test]
    fn requests_are_authenticated_as_soon_as_root_has_a_key() {
        assert_eq!(load(&[], &[]).unwrap().auth.mode(), AuthMode::Off);
        assert_eq!(load(&[], &KEY).unwrap().auth.mode(), AuthMode::Sigv4);
        assert_eq!(load(&["--auth", "off"], &KEY).unwrap().auth.mode(), AuthMode::Off);
        let error = load(&["--auth", "sigv4"], &[]).unwrap_err();
        assert!(error.contains("sigv4 needs a key"), "{error}");
        // As a shell or a container leaves a variable that is not set.
        let empty = [(KEY_VARIABLE, ""), (SECRET_VARIABLE, "")];
        assert_eq!(load(&[], &empty).unwrap().auth.mode(), AuthMode::Off);
    }

    #[test]
    fn who_authenticates_nobody_stays_on_loopback_unless_told_twice() {
        let open = ["--listen", "127.0.0.1:1", "--listen", "0.0.0.0:1"];
        let with = |more: &[&'static str]| [&open[..], more].concat();
        for args in [
            with(&[]),
            with(&["--auth", "off"]),
            with(&["--allow-open-network"]),
            vec!["--listen", "[::]:1"],
            vec!["--listen", "[::ffff:10.0.0.1]:1"],
        ] {
            let error = load(&args, &[]).unwrap_err();
            assert!(error.contains("is not a loopback address"), "{args:?}: {error}");
        }
        assert!(load(&with(&["--auth", "off"]), &KEY).is_err());
        assert!(load(&with(&["--auth", "off", "--allow-open-network"]), &[]).is_ok());
        assert!(load(&with(&[]), &KEY).is_ok());
        // Whoever only looks through a folder listens nowhere.
        assert!(load(&with(&["verify"])[..], &[]).is_ok());
    }

    #[test]
    fn half_a_key_two_keys_and_a_bad_one_are_refused() {
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), text).unwrap();
            file
        };
        let load_file = |text: &str, env: &[(&str, &str)]| {
            let file = file(text);
            load(&["--root-credentials-file", file.path().to_str().unwrap()], env)
        };
        assert!(load(&[], &KEY[..1]).unwrap_err().contains("one is missing"));
        assert!(load(&[], &KEY[1..]).unwrap_err().contains("one is missing"));
        for (key, secret) in
            [("a b", KEY[1].1), ("ab", KEY[1].1), ("abc", "short"), ("abc", "0123456789 abcdef")]
        {
            let env = [(KEY_VARIABLE, key), (SECRET_VARIABLE, secret)];
            let error = load(&[], &env).unwrap_err();
            assert!(error.contains("please") && !error.contains(secret), "{error}");
        }
        for good in [
            "access_key_id = \"AKIAROOT\"\nsecret_access_key = '0123456789abcdef'\n",
            "# root\n[default]\naws_access_key_id=AKIAROOT\naws_secret_access_key=0123456789abcdef",
        ] {
            let root = load_file(good, &[]).unwrap().auth.root.unwrap();
            assert_eq!((&*root.access_key_id, &*root.secret.0), (KEY[0].1, KEY[1].1));
            assert!(load_file(good, &KEY).unwrap_err().contains("root has one key"));
            assert!(load_file(&good.repeat(2), &[]).unwrap_err().contains("more than one key"));
        }
        assert!(load_file("access_key_id = 'AKIAROOT'", &[]).unwrap_err().contains("has no"));
        let missing = load(&["--root-credentials-file", "/nowhere"], &[]).unwrap_err();
        assert!(missing.contains("root_credentials_file: /nowhere"), "{missing}");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let config = load(&[], &KEY).unwrap();
        assert!(!format!("{config:?}").contains(KEY[1].1));
        let help = load(&["--help"], &KEY).unwrap_err();
        assert!(help.contains("--root-credentials-file") && !help.contains(KEY[1].1), "{help}");
        assert!(!help.contains("AKIAROOT") && help.contains("A queue service"), "{help}");
        // Nor may it be given where everybody can read it.
        for option in ["--root-secret-access-key", "--root-access-key-id"] {
            assert!(load(&[option, KEY[1].1], &[]).is_err());
        }
    }
}
