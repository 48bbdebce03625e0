//! Ctrl-C: the first asks to stop cleanly, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// How often somebody asked to stop. For work that leaves something behind when it just ends.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<u32>);

impl Interrupt {
    /// Listens from now on to SIGINT and SIGTERM. The second ends the program.
    pub(crate) fn listen() -> std::io::Result<Interrupt> {
        Interrupt::listen_to(1)
    }

    /// The same for who has processes to take along: the second is told, the third ends the program.
    pub(crate) fn listen_to_two() -> std::io::Result<Interrupt> {
        Interrupt::listen_to(2)
    }

    fn listen_to(told: u32) -> std::io::Result<Interrupt> {
        let (asked, interrupt) = watch::channel(0);
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            for times in 1.. {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                }
                if times > told {
                    std::process::exit(INTERRUPTED);
                }
                asked.send_replace(times);
            }
        });
        Ok(Interrupt(interrupt))
    }

    /// Whether somebody did.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Until somebody does.
    pub(crate) async fn asked(&mut self) {
        self.asked_times(1).await;
    }

    /// Until somebody does so again.
    pub(crate) async fn insisted(&mut self) {
        self.asked_times(2).await;
    }

    async fn asked_times(&mut self, times: u32) {
        // The sender lives as long as the program.
        let _ = self.0.wait_for(|asked| *asked >= times).await;
    }
}
