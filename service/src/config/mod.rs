//! Everything that can be configured, from flags, environment and a file, in this order of
//! precedence; read once and checked once.
//!
//! Each option is declared once, as a flag. The environment and the file are laid under the flags as
//! their defaults, so that all three are parsed, checked and refused alike.

pub mod atrest;
pub mod audit;
pub mod auth;
pub mod identities;
mod layers;
pub mod transport;
pub(crate) mod values;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, RangedU64ValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use self::atrest::AtRest;
use self::audit::AuditOptions;
use self::auth::AuthOptions;
use self::identities::Identities;
use self::layers::Layers;
use self::transport::TransportConfig;
use self::values::{
    parse_account, parse_mark, parse_network, parse_public_url, parse_region, parse_size,
};
use crate::declared::parse::Declarations;
use crate::limits::{self, Limits};
use crate::model::queue::{AccountId, Region};

/// A queue service that speaks the Amazon SQS API.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "stanchiond",
    version,
    about = "A queue service that speaks the Amazon SQS API",
    after_help = "Every option may also be given in the environment (--cache-memory as \
                  STANCHION_CACHE_MEMORY) or in the file that --config names (as cache_memory, \
                  TOML). A flag beats the environment, which beats the file. Options that may be \
                  repeated are lists in the file, and take commas in the environment.",
    args_conflicts_with_subcommands = false,
    disable_help_subcommand = true
)]
pub struct CommandLine {
    /// What to do; to serve, if nothing is said.
    #[command(subcommand)]
    pub task: Option<Task>,
    /// How to do it.
    #[command(flatten)]
    pub config: Config,
}

/// What the program can do beside serving.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Task {
    /// Opens a data folder that the server refuses to open because acknowledged data are gone from
    /// its log, keeps what is left, and says what that is
    Repair {
        /// Confirms that what cannot be recovered is to be given up
        #[arg(long)]
        accept_loss: bool,
    },
    /// Makes a data folder of a checkpoint, which stays as it is. The folder that --data names must
    /// be new or empty
    Restore {
        /// The checkpoint's folder, as the action Checkpoint answered it, or a copy of it
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Looks through a stopped server's data folder, or a checkpoint, changes nothing, and says
    /// what is damaged; the exit code is 0 when nothing is
    Verify,
}

/// How the server is to run.
#[derive(Clone, Debug, Args)]
#[allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "what is said of an option is its help text, where markup would show"
)]
pub struct Config {
    /// Reads further options from a TOML file
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// The queues that the file declares, and the template
    #[arg(skip)]
    pub declarations: Declarations,

    /// The issuers and the roles that the file declares
    #[arg(skip)]
    pub identities: Identities,

    /// Keeps everything in this folder; created if it is missing
    #[arg(long, value_name = "DIR", default_value = "./data", global = true)]
    pub data: PathBuf,

    /// Serves on this address, such as 127.0.0.1:9324 or [::1]:0; may be repeated. Port 0 takes any
    /// free port. Others than loopback addresses are for servers that authenticate
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9324", value_delimiter = ',')]
    pub listen: Vec<SocketAddr>,

    /// Who may use the server
    #[command(flatten)]
    pub auth: AuthOptions,

    /// Starts queue URLs with this, such as https://sqs.example.com; otherwise they start with what
    /// the client used to reach the server
    #[arg(long, value_name = "URL", value_parser = parse_public_url)]
    pub public_url: Option<String>,

    /// Believes peers in this network, such as 10.0.0.0/8, what they say about how and from where
    /// their clients came; may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = parse_network)]
    pub trust_proxy: Vec<IpNet>,

    /// In which headers the peers of --trust-proxy say it. The others are the client's own words
    #[arg(long, value_name = "HEADERS", default_value = "x-forwarded")]
    pub proxy_headers: ProxyHeaders,

    /// The account that owns the queues
    #[arg(long, value_name = "ID", default_value = "000000000000", value_parser = parse_account)]
    pub account: AccountId,

    /// The region of requests that are not signed for another one
    #[arg(long, value_name = "NAME", default_value = "us-east-1", value_parser = parse_region)]
    pub region: Region,

    /// When a send or a delete is answered
    #[arg(long, value_name = "LEVEL", default_value = "fsync")]
    pub durability: Durability,

    /// How closely the limits of AWS are kept
    #[arg(long, value_name = "PROFILE", default_value = "standard")]
    pub limits: Profile,

    /// Lets an admin call move the server's clock forward, for tests of programs that use queues
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true",
        value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub virtual_clock: bool,

    /// Confirms that the clock is right, once, when the server finds that more time has passed since
    /// its last run than any message is kept
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true",
        value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub accept_clock: bool,

    /// Creates a queue that does not exist when an action names it, as the table template of the
    /// file says; a name that ends in .fifo makes a FIFO queue. For development
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true",
        value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub create_queues_on_use: bool,

    /// Spreads the queues over so many threads; may change at any start
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub shards: usize,

    /// Serves connections on so many threads [default: one for each processor that the shards leave]
    #[arg(long, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub workers: Option<usize>,

    /// Memory for the store's caches and write buffers together
    #[arg(long, value_name = "SIZE", default_value = "192MiB", value_parser = parse_size)]
    pub cache_memory: usize,

    /// Memory for messages that are read ahead, over all queues
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub read_ahead_memory: usize,

    /// Refuses sends while the disk has less room than this: a size, or auto for what a restart
    /// needs and 5 % of the disk, at most 4 GiB
    #[arg(long, value_name = "SIZE", default_value = "auto", value_parser = parse_mark)]
    pub free_space_mark: FreeSpaceMark,

    /// Answers 503 beyond so many requests in progress, waiting long polls not counted
    #[arg(long, value_name = "N", default_value = "10000",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub max_requests_in_flight: usize,

    /// Answers 503 beyond so much memory for the bodies of requests and answers in progress
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub max_bytes_in_flight: usize,

    /// Answers 503 beyond so many long polls in progress
    #[arg(long, value_name = "N", default_value = "100000",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub max_parked_polls: usize,

    /// What keeps messages and secrets unreadable on the disk
    #[command(flatten)]
    pub at_rest: AtRest,

    /// What is put on record
    #[command(flatten)]
    pub audit: AuditOptions,
    /// TLS, and the bounds of connections, times and rates
    #[command(flatten)]
    pub transport: TransportConfig,

    /// How log lines look, on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Which log lines there are; debug shows refused requests
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,
}

/// What is true of a message when its send is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// Answered when it is on the disk: survives a power cut
    Fsync,
    /// Answered when the kernel has it: survives the end of the process, not a power cut
    Os,
    /// Nothing is kept beyond the end of the process; the data folder is not used
    Memory,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Fsync => "fsync",
            Durability::Os => "os",
            Durability::Memory => "memory",
        })
    }
}

/// Which headers a proxy writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProxyHeaders {
    /// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, as most proxies do
    XForwarded,
    /// Forwarded (RFC 7239)
    Forwarded,
}

/// Which limits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// AWS to the letter, the 60-second rules of creating and purging included
    Strict,
    /// The limits of AWS without the waiting
    Standard,
    /// Without what only the fleet of AWS needs
    Relaxed,
}

/// How much room on the disk keeps the server accepting sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeSpaceMark {
    /// What a restart needs and a share of the disk.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Which log lines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the words say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something is wrong; or help was asked for, which clap treats alike.
    #[error("{error}{origin}")]
    Clap {
        /// In clap's words, which name the option and what it accepts.
        error: clap::Error,
        /// Where a value comes from, if not from a flag.
        origin: String,
    },
    /// Anything else.
    #[error("{0}")]
    Refused(String),
}

impl CommandLine {
    /// Reads and checks everything. `env` looks an environment variable up.
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<CommandLine, ConfigError> {
        let args: Vec<_> = args.into_iter().collect();
        let mut layers = Layers::new(&env);
        let mut line = layers.parse(&args)?;
        if let Some(file) = line.config.config.clone() {
            let (tables, identities) = layers.add_file(&file)?;
            line = layers.parse(&args)?;
            let declarations = Declarations::parse(tables, line.config.limits());
            line.config.declarations = declarations.map_err(|why| in_file(&file, &why))?;
            let identities = Identities::parse(identities, &line.config.account);
            line.config.identities = identities.map_err(|why| in_file(&file, &why))?;
        }
        line.config.at_rest.take_key(&env).map_err(ConfigError::Refused)?;
        line.config.check()?;
        // Who only looks through a folder needs no key and listens nowhere.
        if line.task.is_none() {
            line.config.auth.complete(&line.config.listen, env)?;
        }
        Ok(line)
    }
}

impl Config {
    /// The limits in force.
    pub fn limits(&self) -> &'static Limits {
        match self.limits {
            Profile::Strict => &limits::STRICT,
            Profile::Standard => &limits::STANDARD,
            Profile::Relaxed => &limits::RELAXED,
        }
    }

    /// What no option can know by itself.
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Refused(text));
        if self.max_bytes_in_flight < limits::REQUEST_BODY_BYTES_MAX {
            return refuse(format!(
                "max_bytes_in_flight: {} bytes do not hold the largest request; {} MiB or more are \
                 accepted.",
                self.max_bytes_in_flight,
                limits::REQUEST_BODY_BYTES_MAX >> 20
            ));
        }
        if self.cache_memory < 16 << 20 {
            return refuse(format!(
                "cache_memory: {} bytes are too few to work with; 16 MiB or more are accepted.",
                self.cache_memory
            ));
        }
        self.audit.check()?;
        self.transport.check().map_err(ConfigError::Refused)
    }
}

fn in_file(path: &Path, why: &str) -> ConfigError {
    ConfigError::Refused(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::CommandFactory;

    use super::*;

    fn load(args: &[&str], env: &[(&str, &str)], file: &str) -> Result<CommandLine, String> {
        let mut toml = tempfile::NamedTempFile::new().unwrap();
        toml.write_all(file.as_bytes()).unwrap();
        let path = toml.path().to_str().unwrap().to_string();
        let args = ["stanchiond"].iter().chain(args).map(OsString::from);
        let env = |name: &str| match name {
            "STANCHION_CONFIG" => (!file.is_empty()).then(|| path.clone()),
            name => env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()),
        };
        CommandLine::load(args, env).map_err(|error| error.to_string())
    }

    #[test]
    fn the_declaration_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn without_any_options_it_serves_on_loopback_as_others_do() {
        let line = load(&[], &[], "").unwrap();
        assert_eq!(line.task, None);
        let config = line.config;
        assert_eq!(config.listen, ["127.0.0.1:9324".parse().unwrap()]);
        assert_eq!(config.account.as_str(), "000000000000");
        assert_eq!(config.region.as_str(), "us-east-1");
        assert_eq!(config.data, Path::new("./data"));
        assert_eq!((config.durability, config.limits().name), (Durability::Fsync, "standard"));
        assert_eq!((config.cache_memory, config.read_ahead_memory), (192 << 20, 64 << 20));
        assert_eq!(config.free_space_mark, FreeSpaceMark::Auto);
        assert!(!config.virtual_clock && config.workers.is_none());
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let file = "region = 'file-1'\nshards = 3\nvirtual_clock = true\ncache_memory = '20MiB'";
        let env = [("STANCHION_REGION", "env-1"), ("STANCHION_SHARDS", "2")];
        let config = load(&["--region", "flag-1"], &env, file).unwrap().config;
        assert_eq!(config.region.as_str(), "flag-1");
        assert_eq!(config.shards, 2);
        assert!(config.virtual_clock);
        assert_eq!(config.cache_memory, 20 << 20);
        let config = load(&["--virtual-clock=false"], &[], file).unwrap().config;
        assert!(!config.virtual_clock);
    }

    #[test]
    fn a_repeated_option_replaces_the_weaker_ones() {
        let file = "listen = ['127.0.0.1:1', '[::1]:2']\ntrust_proxy = '10.0.0.0/8'";
        let ports = |line: CommandLine| -> Vec<u16> {
            line.config.listen.iter().map(SocketAddr::port).collect()
        };
        assert_eq!(ports(load(&[], &[], file).unwrap()), [1, 2]);
        let env = [("STANCHION_LISTEN", "127.0.0.1:3, 127.0.0.1:4")];
        assert_eq!(ports(load(&[], &env, file).unwrap()), [3, 4]);
        let flags = ["--listen", "127.0.0.1:5", "--listen", "127.0.0.1:6"];
        assert_eq!(ports(load(&flags, &env, file).unwrap()), [5, 6]);
    }

    #[test]
    fn repair_takes_the_folder_from_wherever_it_is_said() {
        let repair = Some(Task::Repair { accept_loss: true });
        for args in [
            &["--data", "/d", "repair", "--accept-loss"][..],
            &["repair", "--accept-loss", "--data", "/d"],
        ] {
            let line = load(args, &[], "").unwrap();
            assert_eq!((&line.task, &*line.config.data), (&repair, Path::new("/d")));
        }
        let line = load(&["repair", "--accept-loss"], &[], "data = '/d'").unwrap();
        assert_eq!((&line.task, &*line.config.data), (&repair, Path::new("/d")));
    }

    #[test]
    fn errors_name_the_option_what_it_accepts_and_where_the_value_is_from() {
        #[rustfmt::skip]
        let cases: &[(&[&str], &str, &[&str])] = &[
            (&["--durability", "none"],       "", &["--durability", "fsync, os, memory"]),
            (&["--account", "12"],            "", &["--account", "twelve digits"]),
            (&["--cache-memory", "big"],      "", &["--cache-memory", "64MiB"]),
            (&["--cache-memory", "1MiB"],     "", &["cache_memory", "16 MiB"]),
            (&["--shards", "0"],              "", &["--shards", "1..=256"]),
            (&["--listen", "0.0.0.0:1"],      "", &["listen", "0.0.0.0:1", "127.0.0.0/8"]),
            (&["--listen", "localhost"],      "", &["--listen"]),
            (&["--public-url", "ftp://x"],    "", &["--public-url", "https://"]),
            (&["--trust-proxy", "x"],         "", &["--trust-proxy", "10.0.0.0/8"]),
            (&["--max-bytes-in-flight", "1"], "", &["max_bytes_in_flight", "16 MiB"]),
            (&["--audit-file-size", "1KiB"],  "", &["audit_file_size", "64 KiB"]),
            (&["--free-space-mark", "x"],     "", &["--free-space-mark", "auto", "4GiB"]),
            (&[], "shard = 2",          &["no option shard", "shards"]),
            (&[], "shards = 1.5",       &["shards", "a number"]),
            (&[], "shards = 'many'",    &["--shards", "The value is from"]),
            (&[], "config = 'other'",   &["no option config"]),
            (&[], "shards =",           &["TOML"]),
        ];
        for (args, file, parts) in cases {
            let error = load(args, &[], file).unwrap_err();
            for part in *parts {
                assert!(error.contains(part), "{args:?} {file}: {part} in {error}");
            }
        }
        let error = load(&[], &[("STANCHION_REGION", "Moon")], "").unwrap_err();
        assert!(error.contains("STANCHION_REGION"), "{error}");
    }

    #[test]
    fn a_master_key_comes_from_the_environment_or_a_file_and_is_not_shown() {
        let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        let env = [("STANCHION_MASTER_KEY", key)];
        let config = load(&[], &env, "").unwrap().config;
        let keyring = config.at_rest.keyring(None).unwrap();
        assert!(keyring.seals_messages());
        assert!(!format!("{config:?}").contains("AQEB"));
        let error = load(&[], &[("STANCHION_MASTER_KEY", "AQEB")], "").unwrap_err();
        assert!(error.contains("STANCHION_MASTER_KEY: 32 bytes"), "{error}");
        let error = load(&["--master-keys-file", "/k.toml"], &env, "").unwrap_err();
        assert!(error.contains("One of the two"), "{error}");
        let config = load(&[], &[], "master_keys_file = '/no/such/file'").unwrap().config;
        let error = config.at_rest.keyring(None).unwrap_err();
        assert!(error.contains("/no/such/file"), "{error}");
        let config = load(&[], &[], "").unwrap().config;
        assert!(!config.at_rest.keyring(None).unwrap().seals_messages());
    }
}
