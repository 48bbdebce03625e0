//! The environment and the configuration file, laid under the command line.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::OsStr;
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::identities::IdentityTables;
use super::values::scalar;
use super::{CommandLine, ConfigError, in_file};
use crate::declared::parse::Tables;

/// Values from beside the command line, by the id of their option. Later ones are weaker.
pub(super) struct Layers {
    values: Vec<Layer>,
}

struct Layer {
    id: String,
    values: Vec<String>,
    /// For error messages.
    origin: String,
}

impl Layers {
    /// What the environment says.
    pub(super) fn new(env: impl Fn(&str) -> Option<String>) -> Layers {
        let command = CommandLine::command();
        let values = options(&command).filter_map(|option| {
            let id = option.get_id().to_string();
            let variable = format!("STANCHION_{}", id.to_uppercase());
            let value = env(&variable)?;
            let values = match option.get_value_delimiter() {
                Some(delimiter) => value.split(delimiter).map(|v| v.trim().to_string()).collect(),
                None => vec![value],
            };
            Some(Layer { id, values, origin: format!("environment variable {variable}") })
        });
        Layers { values: values.collect() }
    }

    /// What a file says. Answers the tables that are no options.
    pub(super) fn add_file(
        &mut self,
        path: &Path,
    ) -> Result<(Tables, IdentityTables), ConfigError> {
        let refuse = |why: String| in_file(path, &why);
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let mut table: toml::Table = text.parse().map_err(|error| refuse(format!("{error}")))?;
        let tables = (Tables::take_from(&mut table), IdentityTables::take_from(&mut table));
        let command = CommandLine::command();
        for (key, value) in table {
            if key == "config" || !options(&command).any(|option| *option.get_id() == *key) {
                let mut known: Vec<_> = options(&command)
                    .map(|option| option.get_id().as_str())
                    .filter(|id| *id != "config")
                    .collect();
                known.sort_unstable();
                return Err(refuse(format!(
                    "there is no option {key}. There are {}, and the tables issuers, queues, roles \
                     and template.",
                    known.join(", ")
                )));
            }
            let values = match value {
                toml::Value::Array(items) => items.into_iter().map(scalar).collect(),
                value => scalar(value).map(|value| vec![value]),
            };
            let values = values.ok_or_else(|| {
                refuse(format!("{key}: a text, a number, true, false, or a list of them, please."))
            })?;
            self.values.push(Layer { id: key, values, origin: path.display().to_string() });
        }
        Ok(tables)
    }

    /// Parses the command line over these values.
    pub(super) fn parse(&self, args: &[OsString]) -> Result<CommandLine, ConfigError> {
        let mut command = CommandLine::command();
        // The weakest first, so that the strongest is what stays.
        for layer in self.values.iter().rev() {
            let values: Vec<OsStr> = layer.values.iter().map(OsStr::from).collect();
            command = command.mut_arg(&layer.id, |option| option.default_values(values));
        }
        command
            .try_get_matches_from(args)
            .and_then(|matches| CommandLine::from_arg_matches(&matches))
            .map_err(|error| ConfigError::Clap { origin: self.origin_of(&error), error })
    }

    /// Clap names the flag whatever its value came from; this says where that was.
    fn origin_of(&self, error: &clap::Error) -> String {
        let named = error.get(clap::error::ContextKind::InvalidArg).map(ToString::to_string);
        let named = named.unwrap_or_default();
        let flag = named.split(' ').next().unwrap_or_default().trim_start_matches('-');
        let layer = self.values.iter().find(|layer| layer.id.replace('_', "-") == flag);
        layer.map_or_else(String::new, |layer| format!("\nThe value is from {}.\n", layer.origin))
    }
}

/// The options that the environment and the file may set: all but help and version.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|option| !matches!(option.get_id().as_str(), "help" | "version"))
}
