//! How far long work is: a line on standard error that moves, where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that counts messages; with a bar where it is known how many there will be.
pub(crate) fn messages(doing: &'static str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}",
        None => "{spinner} {msg} {human_pos} messages, {per_sec}",
    };
    // Without a terminal nothing is drawn.
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    // The templates are constants; a wrong one would only draw plainer.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(doing);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
