//! Which server a command talks to, and who signs: what was typed, then the environment, then the
//! named context, then what AWS' own tools would use, then the server on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stanchion_sdk::Client;

use crate::args::Global;
use crate::failure::Failure;

/// Where a server of one's own listens if nobody says otherwise.
pub(crate) const LOCAL: &str = "http://127.0.0.1:9324";

/// What stands for Amazon SQS in place of an endpoint.
pub(crate) const AMAZON: &str = "amazon";

/// The file of contexts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// A server, and who signs.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Its URL, or `amazon`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// A profile of `~/.aws`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// An access key, in place of a profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_key_id: Option<String>,
    /// Its secret. The file is readable by its owner alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_access_key: Option<String>,
    /// Sign nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) unsigned: bool,
    /// Certificates (PEM) of the authority that the server's is from, if not one of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Ask for the queue's name before anything is destroyed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) protected: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Without the secret.
impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Contexts {
    /// Where the file is: in `$STANCHION_HOME`, or `stanchion` in the user's configuration folder.
    pub(crate) fn path() -> Option<PathBuf> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let ours = folder("STANCHION_HOME").map(PathBuf::from);
        let config = folder("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(PathBuf::from(folder("HOME")?).join(".config")));
        Some(ours.or_else(|| Some(config?.join("stanchion")))?.join("contexts.toml"))
    }

    /// Reads them; there are none where there is no file.
    pub(crate) fn load() -> Result<Contexts, Failure> {
        let Some(path) = Contexts::path() else { return Ok(Contexts::default()) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Contexts::default());
            }
            Err(error) => return Err(Failure::of_file(&path)(error)),
        };
        toml::from_str(&text).map_err(Failure::of_file(&path))
    }

    /// Writes them, for their owner alone: there may be secrets among them. Whole or not at all.
    pub(crate) fn save(&self) -> Result<PathBuf, Failure> {
        let path = Contexts::path().ok_or_else(|| Failure::failed("there is no home folder"))?;
        let text =
            toml::to_string_pretty(self).map_err(|error| Failure::failed(error.to_string()))?;
        let named = Failure::of_file::<std::io::Error>(&path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(named)?;
        }
        let beside = path.with_extension("toml.new");
        write_private(&beside, &text).and_then(|()| fs::rename(&beside, &path)).map_err(named)?;
        Ok(path)
    }

    /// The context of this name. Fails with the names there are.
    pub(crate) fn named(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            let hint = match names.is_empty() {
                true => "there is none yet: `stanchion context add NAME --endpoint URL`".to_owned(),
                false => format!("there are: {}", names.join(", ")),
            };
            let message = format!("there is no context {name:?}");
            Failure::NotFound { message, hint: Some(hint) }
        })
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Where a command goes.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it is called in prompts: the context's name, or the endpoint.
    pub(crate) name: String,
    /// Whether destroying asks for a name.
    pub(crate) protected: bool,
    /// What calls it.
    pub(crate) client: Client,
}

impl Target {
    /// Finds out where to go.
    pub(crate) async fn resolve(global: &Global) -> Result<Target, Failure> {
        let contexts = Contexts::load()?;
        let named = global.context.as_ref().or(match &global.endpoint {
            // An endpoint that was typed is not the current context's.
            Some(_) => None,
            None => contexts.current.as_ref(),
        });
        let context = match named {
            Some(name) => contexts.named(name)?.clone(),
            None => Context::default(),
        };
        let endpoint = global.endpoint.clone().or_else(|| context.endpoint.clone());
        let region = global.region.clone().or_else(|| context.region.clone());
        let profile = global.profile.clone().or_else(|| context.profile.clone());

        let mut builder = Client::builder();
        if let Some(region) = region {
            builder = builder.region(region);
        }
        let amazon = endpoint.as_deref() == Some(AMAZON);
        builder = match endpoint {
            _ if amazon => builder.amazon(),
            Some(url) => builder.endpoint(url),
            None => builder,
        };
        if let Some(file) = &context.certificate_authority {
            let pem = fs::read(file).map_err(Failure::of_file(file))?;
            builder = builder.certificate_authority(pem);
        }
        if global.unsigned || (context.unsigned && global.profile.is_none()) {
            builder = builder.unsigned();
        } else if let (Some(key), Some(secret), None) =
            (&context.access_key_id, &context.secret_access_key, &global.profile)
        {
            builder = builder.credentials(key, secret);
        }
        // AWS' own settings are asked only where there are some: to look for them takes time, and on
        // a machine of nobody's cloud it ends in waiting for an address that does not answer.
        if amazon || profile.is_some() || aws_is_set_up() {
            builder = builder.or_from_profile(profile.as_deref()).await;
        } else {
            builder = match aws_endpoint() {
                Some(url) => builder.or_endpoint(url),
                None => builder,
            };
            builder = builder.or_unsigned();
        }
        let client = builder.or_endpoint(LOCAL).build()?;
        let name = named.cloned().unwrap_or_else(|| client.endpoint());
        Ok(Target { name, protected: context.protected, client })
    }
}

/// Where the environment sends AWS' own tools.
fn aws_endpoint() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    variable("AWS_ENDPOINT_URL_SQS").or_else(|| variable("AWS_ENDPOINT_URL"))
}

/// Whether this machine has settings for AWS' own tools.
fn aws_is_set_up() -> bool {
    const VARIABLES: &[&str] = &[
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CONFIG_FILE",
    ];
    let home = std::env::var_os("HOME").map(PathBuf::from);
    VARIABLES.iter().any(|name| std::env::var_os(name).is_some())
        || home.is_some_and(|home| {
            home.join(".aws/credentials").exists() || home.join(".aws/config").exists()
        })
}
