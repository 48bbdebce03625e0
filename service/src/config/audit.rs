//! What is put on record, and where.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{BoolishValueParser, RangedU64ValueParser};

use super::ConfigError;
use super::values::parse_size;

/// The smallest file that is worth to be one of several.
const FILE_BYTES_MIN: usize = 64 << 10;

/// The options of the audit log.
#[derive(Clone, Debug, Args)]
#[allow(
    rustdoc::invalid_html_tags,
    reason = "what is said of an option is its help text, where markup would show"
)]
pub struct AuditOptions {
    /// Writes a line for every management action and every refused request to this file, or to
    /// standard output when it is the word stdout
    #[arg(long, value_name = "FILE", value_parser = parse_target)]
    pub audit_log: Option<AuditTarget>,

    /// Writes a line for every action on messages as well
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true",
        value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub audit_data_actions: bool,

    /// Begins a new file of the audit log when this one is full; older ones end in .1, .2 and so on
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub audit_file_size: usize,

    /// Keeps so many older files of the audit log
    #[arg(long, value_name = "N", default_value = "10",
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=1000))]
    pub audit_files: u32,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Standard output.
    Stdout,
    /// A file that grows to some size, and then gives way to a new one.
    File(PathBuf),
}

impl AuditOptions {
    /// What no option can know by itself.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.audit_file_size {
            FILE_BYTES_MIN.. => Ok(()),
            bytes => Err(ConfigError::Refused(format!(
                "audit_file_size: {bytes} bytes are too few to be worth a file; {} KiB or more are \
                 accepted.",
                FILE_BYTES_MIN >> 10
            ))),
        }
    }
}

fn parse_target(text: &str) -> Result<AuditTarget, Infallible> {
    Ok(match text {
        "stdout" => AuditTarget::Stdout,
        path => AuditTarget::File(path.into()),
    })
}
