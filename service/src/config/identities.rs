//! The tables `issuers` and `roles` of the configuration file: whose tokens are believed, and what
//! who has one may do. Checked as strictly as the file's options; an error names the key.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::Uri;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use toml::{Table, Value};

use crate::auth::fetch::Place;
use crate::auth::fresh_keys::KeySource;
use crate::auth::jwks::ALGORITHMS;
use crate::auth::oidc::IssuerOptions;
use crate::auth::roles::{Role, Roles, Trust};
use crate::config::values::scalar;
use crate::limits::{ROLE_NAME_BYTES_MAX, SESSION_S_DEFAULT, SESSION_S_MAX, SESSION_S_MIN};
use crate::model::policy::document::{Document, Principal};
use crate::model::queue::AccountId;

/// The tables of a file, as they are.
#[derive(Debug, Default)]
pub struct IdentityTables {
    issuers: Option<Value>,
    roles: Option<Value>,
}

impl IdentityTables {
    /// Takes them out of a file's table.
    pub fn take_from(file: &mut Table) -> IdentityTables {
        IdentityTables { issuers: file.remove("issuers"), roles: file.remove("roles") }
    }
}

/// Whom a server believes, and as what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// In the order of their names.
    pub issuers: Vec<IssuerOptions>,
    /// All roles.
    pub roles: Roles,
}

impl Identities {
    /// Checks everything that needs no running server. `account` owns the roles that name none.
    pub fn parse(tables: IdentityTables, account: &AccountId) -> Result<Identities, String> {
        let issuers = entries("issuers", tables.issuers)?;
        let issuers: Vec<_> =
            issuers.map(|entry| issuer(&entry?)).collect::<Result<_, String>>()?;
        let same = |issuer: &&IssuerOptions| {
            issuers.iter().any(|other| other.url == issuer.url && other.name != issuer.name)
        };
        if let Some(IssuerOptions { name, url, .. }) = issuers.iter().find(same) {
            return Err(format!("issuers.{name}.url: there are two issuers with {url}."));
        }
        let roles = entries("roles", tables.roles)?;
        let roles: Roles =
            roles.map(|entry| role(&entry?, account, &issuers)).collect::<Result<_, String>>()?;
        Ok(Identities { issuers, roles })
    }
}

/// One table of several, by its name.
struct Entry {
    /// Its full name, for errors.
    at: String,
    name: String,
    value: Value,
}

type Entries = std::vec::IntoIter<Result<Entry, String>>;

fn entries(of: &'static str, value: Option<Value>) -> Result<Entries, String> {
    let table = match value {
        None => Table::new(),
        Some(Value::Table(table)) => table,
        Some(_) => return Err(format!("{of}: a table, please.")),
    };
    let entry = |(name, value): (String, Value)| {
        let at = format!("{of}.{name}");
        match value.is_table() {
            true => Ok(Entry { at, name, value }),
            false => Err(format!("{at}: a table, please.")),
        }
    };
    Ok(table.into_iter().map(entry).collect::<Vec<_>>().into_iter())
}

impl Entry {
    fn read<'de, T: Deserialize<'de>>(&self) -> Result<T, String> {
        let read = self.value.clone().try_into::<T>();
        read.map_err(|error| format!("{}: {}", self.at, error.to_string().trim_end()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIssuer {
    url: String,
    audiences: Vec<String>,
    algorithms: Option<Vec<String>>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    jwks_ca_file: Option<PathBuf>,
    jwks_token_file: Option<PathBuf>,
}

fn issuer(entry: &Entry) -> Result<IssuerOptions, String> {
    let Entry { at, name, .. } = entry;
    let raw: RawIssuer = entry.read()?;
    if raw.url.is_empty() {
        return Err(format!("{at}.url: what the tokens have as iss, please."));
    }
    if raw.audiences.is_empty() {
        return Err(format!(
            "{at}.audiences: one at least, please: a token that is meant for somebody else must not \
             be good here."
        ));
    }
    let algorithms = match raw.algorithms {
        Some(names) => names.iter().map(|name| algorithm(at, name)).collect::<Result<_, _>>()?,
        None => ALGORITHMS.to_vec(),
    };
    if algorithms.is_empty() {
        return Err(format!("{at}.algorithms: one at least, please."));
    }
    let keys = match (raw.jwks_file, raw.jwks_url) {
        (Some(file), None) => {
            if raw.jwks_ca_file.is_some() || raw.jwks_token_file.is_some() {
                return Err(format!(
                    "{at}: jwks_ca_file and jwks_token_file go with jwks_url, not with jwks_file."
                ));
            }
            KeySource::File(file)
        }
        (None, Some(url)) => KeySource::Url(Place {
            url: key_url(at, &url)?,
            ca_file: raw.jwks_ca_file,
            token_file: raw.jwks_token_file,
        }),
        _ => return Err(format!("{at}: either jwks_file or jwks_url, please.")),
    };
    let (name, url, audiences) = (name.clone(), raw.url, raw.audiences);
    Ok(IssuerOptions { name, url, audiences, algorithms, keys })
}

fn algorithm(at: &str, name: &str) -> Result<Algorithm, String> {
    let known = |algorithm: &Algorithm| format!("{algorithm:?}") == name;
    ALGORITHMS.into_iter().find(known).ok_or_else(|| {
        let known: Vec<String> = ALGORITHMS.iter().map(|one| format!("{one:?}")).collect();
        format!("{at}.algorithms: {name} is not accepted. There are {}.", known.join(", "))
    })
}

/// Keys that come in the clear could be anybody's.
fn key_url(at: &str, url: &str) -> Result<Uri, String> {
    let parsed = url.parse::<Uri>().ok().filter(|url| url.host().is_some());
    let is_safe = |url: &Uri| match url.scheme_str() {
        Some("https") => true,
        Some("http") => matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    };
    parsed.filter(is_safe).ok_or_else(|| {
        format!(
            "{at}.jwks_url: {url} is not accepted. A URL that starts with https://, please, or with \
             http://localhost."
        )
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRole {
    account: Option<String>,
    policies: Vec<Value>,
    max_session_s: Option<u32>,
    trust: Vec<RawTrust>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrust {
    issuer: Option<String>,
    claims: Option<BTreeMap<String, Value>>,
    principals: Option<Vec<String>>,
    external_id: Option<String>,
}

fn role(entry: &Entry, account: &AccountId, issuers: &[IssuerOptions]) -> Result<Role, String> {
    let Entry { at, name, .. } = entry;
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"_+=,.@-".contains(&c);
    if name.is_empty() || name.len() > ROLE_NAME_BYTES_MAX || !name.bytes().all(legal) {
        return Err(format!(
            "{at}: a role's name has 1 to {ROLE_NAME_BYTES_MAX} letters, digits and any of _+=,.@-"
        ));
    }
    let raw: RawRole = entry.read()?;
    let account = match raw.account {
        Some(text) => AccountId::parse(&text).ok_or_else(|| {
            format!("{at}.account: {text} is not accepted; twelve digits, please.")
        })?,
        None => account.clone(),
    };
    let session_s_max = raw.max_session_s.unwrap_or(SESSION_S_DEFAULT);
    if !(SESSION_S_MIN..=SESSION_S_MAX).contains(&session_s_max) {
        return Err(format!(
            "{at}.max_session_s: {session_s_max} is not accepted; a number from {SESSION_S_MIN} to \
             {SESSION_S_MAX}, please."
        ));
    }
    let policies = raw.policies.into_iter().enumerate().map(|(index, value)| {
        policy(value).map_err(|why| {
            format!(
                "{at}.policies: number {} {why}. What the role may do, please, as a text in JSON or \
                 as a table.",
                index + 1
            )
        })
    });
    let policies = policies.collect::<Result<_, _>>()?;
    if raw.trust.is_empty() {
        return Err(format!("{at}.trust: a role that nobody may take is of no use."));
    }
    let trusts = raw.trust.into_iter().map(|raw| trust(&format!("{at}.trust"), raw, issuers));
    let trusts = trusts.collect::<Result<_, _>>()?;
    Ok(Role { account, name: name.clone(), policies, session_s_max, trusts })
}

/// A policy, as a text or as what it is. The role is its principal.
fn policy(value: Value) -> Result<Arc<Document>, &'static str> {
    const NO_POLICY: &str = "is not a policy";
    let text = match value {
        Value::String(text) => text,
        table @ Value::Table(_) => serde_json::to_string(&table).map_err(|_| NO_POLICY)?,
        _ => return Err(NO_POLICY),
    };
    Document::of_identity(&text).map(Arc::new)
}

fn trust(at: &str, raw: RawTrust, issuers: &[IssuerOptions]) -> Result<Trust, String> {
    match raw {
        RawTrust { issuer: Some(issuer), claims, principals: None, external_id: None } => {
            if !issuers.iter().any(|known| known.name == issuer) {
                return Err(format!("{at}.issuer: there is no table issuers.{issuer}."));
            }
            let claims = claims.unwrap_or_default().into_iter();
            let claims: BTreeMap<_, _> = claims
                .map(|(name, value)| {
                    let list = patterns(value).ok_or_else(|| {
                        format!("{at}.claims.{name}: a text, or a list of them, please.")
                    })?;
                    Ok((name, list))
                })
                .collect::<Result<_, String>>()?;
            if !claims.contains_key("sub") {
                return Err(format!(
                    "{at}.claims: say which sub, please: a pattern, and \"*\" if everybody whom the \
                     issuer knows may take the role."
                ));
            }
            Ok(Trust::Token { issuer, claims })
        }
        RawTrust { issuer: None, claims: None, principals: Some(names), external_id } => {
            let principals = names.iter().map(|name| {
                let parsed = Principal::parse_aws(name);
                parsed.filter(|one| *one != Principal::Anyone).ok_or_else(|| {
                    format!(
                        "{at}.principals: {name} is not accepted; an account's id, or the ARN of a \
                         user or a role, please."
                    )
                })
            });
            let principals: Vec<_> = principals.collect::<Result<_, _>>()?;
            if principals.is_empty() {
                return Err(format!("{at}.principals: one at least, please."));
            }
            Ok(Trust::Principals { principals, external_id })
        }
        _ => Err(format!(
            "{at}: either issuer and claims, or principals and perhaps external_id, please."
        )),
    }
}

fn patterns(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => {
            let patterns: Vec<_> = values.into_iter().map(scalar).collect::<Option<_>>()?;
            (!patterns.is_empty()).then_some(patterns)
        }
        value => scalar(value).map(|pattern| vec![pattern]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "
        [issuers.cluster]
        url = 'https://issuer.example'
        audiences = ['stanchion']
        jwks_file = '/etc/jwks.json'
    ";

    const ROLE: &str = r#"
        [roles.orders]
        max_session_s = 7200
        policies = [
            { Version = "2012-10-17", Statement = [
                { Effect = "Allow", Action = "sqs:*", Resource = "arn:aws:sqs:*:*:orders" },
            ] },
            '{"Statement":{"Effect":"Deny","Action":"sqs:PurgeQueue","Resource":"*"}}',
        ]
        [[roles.orders.trust]]
        issuer = "cluster"
        claims = { sub = "system:serviceaccount:shop:*", level = [1, 2] }
        [[roles.orders.trust]]
        principals = ["000000000000", "arn:aws:iam::111111111111:user/jo"]
        external_id = "q-7"
    "#;

    fn parse(file: &str) -> Result<Identities, String> {
        let mut file: Table = file.parse().unwrap();
        let tables = IdentityTables::take_from(&mut file);
        assert!(file.is_empty());
        Identities::parse(tables, &AccountId::parse("000000000000").unwrap())
    }

    #[test]
    fn issuers_and_roles_are_what_their_tables_say() {
        let Identities { issuers, roles } = parse(&[ISSUER, ROLE].concat()).unwrap();
        assert_eq!(issuers[0].audiences, ["stanchion"]);
        assert_eq!(issuers[0].algorithms, ALGORITHMS);
        assert_eq!(issuers[0].keys, KeySource::File("/etc/jwks.json".into()));
        let role = roles.find("arn:aws:iam::000000000000:role/orders").unwrap();
        assert_eq!((role.session_s_max, role.policies.len()), (7200, 2));
        let [Trust::Token { issuer, claims }, Trust::Principals { principals, external_id }] =
            &role.trusts[..]
        else {
            panic!("two trusts: {:?}", role.trusts)
        };
        assert_eq!(issuer, "cluster");
        assert_eq!(claims["sub"], ["system:serviceaccount:shop:*"]);
        assert_eq!(claims["level"], ["1", "2"]);
        assert_eq!((principals.len(), external_id.as_deref()), (2, Some("q-7")));
        assert_eq!(parse(""), Ok(Identities::default()));
    }

    #[test]
    fn keys_may_be_fetched_and_a_role_may_be_of_another_account() {
        let file = "
            [issuers.ci]
            url = 'https://ci.example'
            audiences = ['a']
            algorithms = ['RS256', 'EdDSA']
            jwks_url = 'https://ci.example/keys'
            jwks_ca_file = 'ca.pem'
            jwks_token_file = 'token'
            [roles.deploy]
            account = '111111111111'
            policies = []
            trust = [{ issuer = 'ci', claims = { sub = '*' } }]
        ";
        let Identities { issuers, roles } = parse(file).unwrap();
        assert_eq!(issuers[0].algorithms, [Algorithm::RS256, Algorithm::EdDSA]);
        let KeySource::Url(place) = &issuers[0].keys else { panic!("{:?}", issuers[0].keys) };
        assert_eq!(place.url, "https://ci.example/keys");
        assert_eq!(place.ca_file.as_deref(), Some("ca.pem".as_ref()));
        assert!(roles.find("arn:aws:iam::111111111111:role/deploy").is_some());
    }

    #[test]
    fn a_mistake_is_named_by_its_key() {
        let issuer = |old: &str, new: &str| ISSUER.replace(old, new);
        let role = |old: &str, new: &str| [ISSUER, &ROLE.replace(old, new)].concat();
        #[rustfmt::skip]
        let cases = [
            ("issuers = 3".to_string(),                                    &["issuers: a table"][..]),
            ("[issuers]\nx = 3".into(),                                    &["issuers.x: a table"]),
            (issuer("jwks_file", "jwks"),                                  &["issuers.cluster:", "jwks"]),
            (issuer("url =", "uri ="),                                     &["issuers.cluster:", "uri"]),
            (issuer("['stanchion']", "[]"),                                &["issuers.cluster.audiences", "one at least"]),
            (issuer("'https://issuer.example'", "''"),                     &["issuers.cluster.url"]),
            (issuer("jwks_file =", "jwks_url ="),                          &["issuers.cluster.jwks_url", "https://"]),
            (issuer("jwks_file = '/etc/jwks.json'", ""),                   &["issuers.cluster:", "jwks_file or jwks_url"]),
            (issuer("jwks_file = '/etc/jwks.json'", "jwks_url = 'http://issuer.example/'"), &["jwks_url", "https://"]),
            (issuer("audiences", "jwks_ca_file = 'x'\naudiences"),         &["jwks_ca_file", "jwks_url"]),
            (issuer("audiences", "algorithms = ['none']\naudiences"),      &["issuers.cluster.algorithms", "none", "RS256"]),
            (issuer("audiences", "algorithms = ['HS256']\naudiences"),     &["issuers.cluster.algorithms", "HS256"]),
            (issuer("audiences", "algorithms = []\naudiences"),            &["issuers.cluster.algorithms", "one at least"]),
            ([ISSUER, &ISSUER.replace("cluster", "again")].concat(),       &["issuers.", "two issuers"]),
            (role("[roles.orders]", "[roles.'a b']\n[roles.orders]"),      &["roles.a b:", "letters"]),
            (role("7200", "899"),                                          &["roles.orders.max_session_s", "900", "43200"]),
            (role("7200", "43201"),                                        &["roles.orders.max_session_s"]),
            (role("max_session_s", "duration"),                            &["roles.orders:", "duration"]),
            (role("max_session_s = 7200", "account = '12'"),               &["roles.orders.account", "twelve digits"]),
            (role("Action =", "Actions ="),                                &["roles.orders.policies", "number 1"]),
            (role("\"Action\":", "\"Principal\":\"*\",\"Action\":"),       &["roles.orders.policies", "number 2", "principals"]),
            (role("sqs:PurgeQueue", "PurgeQueue"),                         &["roles.orders.policies", "number 2", "<service>:<name>"]),
            (role("issuer = \"cluster\"", "issuer = \"x\""),               &["roles.orders.trust.issuer", "issuers.x"]),
            (role("sub =", "aud ="),                                       &["roles.orders.trust.claims", "sub"]),
            (role("[1, 2]", "[]"),                                         &["roles.orders.trust.claims.level"]),
            (role("[1, 2]", "{}"),                                         &["roles.orders.trust.claims.level"]),
            (role("\"000000000000\"", "\"*\""),                            &["roles.orders.trust.principals", "*"]),
            (role("\"000000000000\"", "\"jo\""),                           &["roles.orders.trust.principals", "jo"]),
            (role("principals =", "principal ="),                          &["roles.orders:", "principal"]),
            (role("external_id =", "issuer ="),                            &["roles.orders.trust:", "either issuer"]),
            ("[roles.x]\npolicies = []\ntrust = []".into(),                &["roles.x.trust", "nobody"]),
        ];
        for (file, parts) in cases {
            let error = parse(&file).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{file}: {part} in {error}");
            }
        }
    }
}
