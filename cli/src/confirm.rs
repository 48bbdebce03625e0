//! Asking before something is destroyed.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use crate::context::Target;
use crate::failure::Failure;

/// What commands take that destroy something.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Consent {
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Do not ask in a protected context: the queue's name once more
    #[arg(long, value_name = "NAME")]
    pub(crate) yes_i_mean: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Consent {
    /// Asks on the terminal, in a protected context for the queue's name; without a terminal only a
    /// flag will do. `deed` is what will happen: `purge 7 messages`.
    pub(crate) fn ask(&self, target: &Target, queue: &str, deed: &str) -> Result<(), Failure> {
        match &self.yes_i_mean {
            Some(name) if name == queue => return Ok(()),
            // Whoever names another one is mistaken, whatever else is said.
            Some(other) => {
                let text = format!("--yes-i-mean says {other:?}, and this is {queue:?}");
                return Err(Failure::Usage(text));
            }
            None if self.yes && !target.protected => return Ok(()),
            None => {}
        }
        if !io::stdin().is_terminal() {
            let flag = match target.protected {
                true => format!("--yes-i-mean {queue}"),
                false => "--yes".into(),
            };
            return Err(Failure::Usage(format!("nobody to ask whether to {deed}: say {flag}")));
        }
        let wanted = if target.protected { queue } else { "y" };
        let question = match target.protected {
            true => format!("[{}, protected] {deed}? Type its name: ", target.name),
            false => format!("[{}] {deed}? [y/N] ", target.name),
        };
        let mut stderr = io::stderr();
        stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush())?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let answer = answer.trim();
        let agreed = answer == wanted || (!target.protected && answer.eq_ignore_ascii_case("yes"));
        agreed.then_some(()).ok_or_else(|| Failure::failed("left as it is"))
    }
}
