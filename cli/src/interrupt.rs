//! Ctrl-C: the first asks to stop cleanly, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Whether somebody asked to stop. For work that leaves something behind when it just ends.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on to SIGINT and SIGTERM.
    pub(crate) fn listen() -> std::io::Result<Interrupt> {
        let (asked, interrupt) = watch::channel(false);
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                }
                if asked.send_replace(true) {
                    std::process::exit(INTERRUPTED);
                }
            }
        });
        Ok(Interrupt(interrupt))
    }

    /// Whether somebody did.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Until somebody does.
    pub(crate) async fn asked(&mut self) {
        // The sender lives as long as the program.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}
