//! What functions write to their outputs, line by line, with where it comes from.

use std::fmt;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::watch;

/// A longer line becomes several, so that no function can fill the host's memory.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A line that a function wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The function's name.
    pub function: Arc<str>,
    /// Which of its processes, counted from 1.
    pub process: u64,
    /// The invocation that the process had last; None before the first.
    pub request_id: Option<Arc<str>>,
    /// Where it was written to.
    pub stream: LogStream,
    /// The line without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// An output of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// `[orders/3 6f1c…] text`: the function, the process and the invocation before the line.
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}/{}", self.function, self.process)?;
        if let Some(id) = &self.request_id {
            write!(f, " {id}")?;
        }
        write!(f, "] {}", self.text)
    }
}

/// Where lines go.
pub(crate) type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// The default: an event of `tracing` each.
pub(crate) fn trace(line: LogLine) {
    let LogLine { function, process, request_id, stream, text } = line;
    let request_id = request_id.as_deref();
    tracing::info!(target: "stanchion::function", %function, process, request_id, ?stream, "{text}");
}

/// What is known of a process whose output is read.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) function: Arc<str>,
    pub(crate) process: u64,
    pub(crate) request_id: watch::Receiver<Option<Arc<str>>>,
    pub(crate) sink: LogSink,
}

/// Passes an output on, line by line, until it ends.
pub(crate) async fn read(output: impl AsyncRead + Unpin, stream: LogStream, writer: Writer) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut output).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        let Writer { function, process, request_id, sink } = &writer;
        // Not within the call: nothing is locked while the sink runs.
        let request_id = request_id.borrow().clone();
        sink(LogLine { function: function.clone(), process: *process, request_id, stream, text });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn lines_carry_where_they_come_from_and_long_ones_are_cut() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let (set, request_id) = watch::channel(None);
        let sink: LogSink = Arc::new(move |line| {
            seen.lock().unwrap().push(line);
            set.send_replace(Some("id".into()));
        });
        let writer = Writer { function: "orders".into(), process: 3, request_id, sink };
        let mut output = b"one\r\ntwo \xff\n".to_vec();
        output.extend(vec![b'x'; LINE_BYTES_MAX as usize + 1]);
        read(&output[..], LogStream::Stderr, writer).await;

        let lines = lines.lock().unwrap();
        let shown: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(shown[0], "[orders/3] one");
        assert_eq!(shown[1], "[orders/3 id] two \u{fffd}");
        assert_eq!(lines[2].text.len(), LINE_BYTES_MAX as usize);
        assert_eq!(lines[3].text, "x");
        assert_eq!(lines.len(), 4);
    }
}
