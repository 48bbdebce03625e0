//! What is done to a data folder while no server runs on it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use stanchion_service::config::Config;
use stanchion_service::env::os_random;
use stanchion_service::instance::rocks_options;
use stanchion_service::store::rocks::{self, Loss, RocksView};
use stanchion_service::verify;

/// Opens a folder that a start refuses.
pub(crate) fn repair(config: &Config, accept_loss: bool) -> Result<(), String> {
    let loss = if accept_loss { Loss::Accept } else { Loss::Refuse };
    let recovered = rocks::repair(&config.data, loss, &rocks_options(config))
        .map_err(|error| error.to_string())?;
    let folder = config.data.display();
    say(&match recovered {
        None => format!("{folder}: there was nothing to repair\n"),
        Some(recovered) => format!(
            "{folder}: repaired; {} synced turns are gone, {} records behind the damage were \
             dropped; the damaged logs are in {}\n",
            recovered.lost_turns,
            recovered.dropped_records,
            recovered.aside.display()
        ),
    })
}

/// Makes a data folder of a checkpoint.
pub(crate) fn restore(config: &Config, from: &Path) -> Result<(), String> {
    let chance = u32::from_ne_bytes(os_random());
    let note = rocks::restore(from, &config.data, &rocks_options(config), chance)
        .map_err(|error| error.to_string())?;
    say(&format!("{}: restored from checkpoint {}\n", config.data.display(), note.name))
}

/// Looks through a folder. Damage is an error.
pub(crate) fn verify(config: &Config) -> Result<(), String> {
    let view =
        RocksView::open(&config.data, &rocks_options(config)).map_err(|error| error.to_string())?;
    let keyring = config.at_rest.keyring_as_is(&config.data)?;
    let report = verify::verify(&view, &keyring);
    let folder = config.data.display();
    let counts = report.counts;
    let mut text = format!("{folder}\n");
    let mut line = |name: &str, count: u64| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<12}{count}");
    };
    line("queues", counts.queues);
    line("messages", counts.messages);
    line("received", counts.received);
    line("under way", counts.under_way);
    line("rows", counts.rows);
    for fault in &report.told {
        let _ = writeln!(text, "  damaged: {fault}");
    }
    if report.is_whole() {
        text.push_str("nothing is damaged\n");
        return say(&text);
    }
    let more = report.faults - report.told.len() as u64;
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    say(&text)?;
    Err(format!("{folder} is damaged in {} places", report.faults))
}

fn say(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}
