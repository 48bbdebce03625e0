//! The command line on a terminal, where it has colours, asks questions and draws.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::cli::{Ran, eventually};

/// A command on a terminal of 100 by 30.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    /// Runs a command with the terminal as all three of its streams.
    ///
    /// # Panics
    /// When there is no terminal, or the command cannot be run.
    pub fn run(mut command: Command) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("there are terminals");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal can be had");
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).expect("a terminal has a size");
        let name = ptsname(&ours, Vec::new()).expect("a terminal has a name");
        let theirs = open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let theirs = theirs.expect("a terminal can be opened");
        let stream = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a stream can be shared"));
        command.stdin(stream(&theirs)).stdout(stream(&theirs)).stderr(stream(&theirs));
        let child = command.env("TERM", "xterm-256color").spawn().expect("the command can be run");
        // With the command's end, that of the terminal: nobody else holds it.
        drop((command, theirs));
        let keyboard = File::from(ours);
        let screen = keyboard.try_clone().expect("a stream can be shared");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let heard = shown.clone();
        thread::spawn(move || listen(screen, &heard));
        Terminal { keyboard, shown, child }
    }

    /// Everything that it has written so far, as it was written.
    ///
    /// # Panics
    /// When a reader panicked.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("nobody panics")).into_owned()
    }

    /// Waits until it has written this.
    ///
    /// # Panics
    /// When it never does.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        eventually(text, || self.shown().contains(text));
    }

    /// Types this.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("there is a terminal");
    }

    /// What Ctrl-C does.
    ///
    /// # Panics
    /// When it has ended before.
    pub fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("the command can be signalled");
    }

    /// Waits for its end. What it wrote is in `out`, for a terminal has but one stream.
    ///
    /// # Panics
    /// When it cannot be waited for, or does not end.
    pub fn end(mut self) -> Ran {
        eventually("the command ends", || {
            self.child.try_wait().expect("it is our child").is_some()
        });
        let code = self.child.wait().expect("it is our child").code().unwrap_or(-1);
        // The reader holds the other half until it has read everything.
        eventually("the terminal is read to its end", || Arc::strong_count(&self.shown) == 1);
        Ran { code, out: self.shown(), err: String::new() }
    }
}

fn listen(mut screen: File, heard: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    // An error is how a terminal says that nobody writes to it any more.
    while let Ok(count @ 1..) = screen.read(&mut bytes) {
        heard.lock().expect("nobody panics").extend_from_slice(&bytes[..count]);
    }
}
