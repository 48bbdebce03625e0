//! `stanchion top`: the queues, live. Redrawn every second or so; keys sort and filter.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};
use stanchion_sdk::Client;
use stanchion_sdk::actions::own::server::{ListQueueStats, QueueStats};
use tokio::sync::mpsc;

use crate::args::Global;
use crate::context::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::units::{parse_duration, show_count, show_seconds};

use crate::queues::name_of;

/// How many depths of the past are drawn.
const HISTORY: usize = 20;

/// What a depth of the past looks like, from nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Watch the queues live
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion top
  stanchion top orders --every 5s

Keys: n, d, f, o, s, r sort by name, depth, in flight, oldest, sent and received a second; / filters
names, Esc ends that; the arrows move; q quits. It is Stanchion's own; Amazon SQS has no such figures.")]
pub(crate) struct Top {
    /// Only queues whose names begin so
    prefix: Option<String>,
    /// How often to look
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    every: Duration,
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    Name,
    #[default]
    Depth,
    InFlight,
    Oldest,
    Sent,
    Received,
}

impl Sort {
    fn of_key(key: char) -> Option<Sort> {
        Some(match key {
            'n' => Sort::Name,
            'd' => Sort::Depth,
            'f' => Sort::InFlight,
            'o' => Sort::Oldest,
            's' => Sort::Sent,
            'r' => Sort::Received,
            _ => return None,
        })
    }
}

/// What is on the screen.
#[derive(Debug, Default)]
struct Screen {
    server: String,
    queues: Vec<QueueStats>,
    depths: HashMap<String, VecDeque<u64>>,
    sort: Sort,
    filter: String,
    /// The filter is being typed.
    typing: bool,
    table: TableState,
    /// Why the figures are old.
    error: Option<String>,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stay,
    Quit,
}

/// Runs it.
pub(crate) async fn run(top: Top, global: &Global) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "top needs a terminal: `stanchion queue ls` prints the same figures once".into(),
        ));
    }
    let target = Target::resolve(global).await?;
    let mut screen = Screen { server: target.client.endpoint(), ..Screen::default() };
    // The first look tells whether there is anything to see, before the screen is taken.
    screen.update(look(&target.client, top.prefix.clone()).await?);

    // A thread of its own: reading keys blocks, and ends with the program.
    let (keys, mut pressed) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if keys.blocking_send(event).is_err() {
                return;
            }
        }
    });
    // A task of its own: a server that does not answer is not to keep anybody from quitting.
    let (looks, mut looked) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(top.every).await;
            if looks.send(look(&target.client, top.prefix.clone()).await).await.is_err() {
                return;
            }
        }
    });
    // Whoever ends us from elsewhere wants the terminal back too.
    let mut interrupt = Interrupt::listen()?;
    let mut terminal = ratatui::try_init()?;
    let ended = loop {
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(error.into());
        }
        tokio::select! {
            event = pressed.recv() => match event {
                Some(Event::Key(key)) if key.kind == KeyEventKind::Press => {
                    if screen.press(key) == Wish::Quit {
                        break Ok(());
                    }
                }
                // Another size: drawn anew.
                Some(_) => {}
                None => break Ok(()),
            },
            // The task ends after us.
            Some(queues) = looked.recv() => match queues {
                Ok(queues) => screen.update(queues),
                Err(failure) => screen.error = Some(failure.to_string()),
            },
            () = interrupt.asked() => break Ok(()),
        }
    };
    ratatui::try_restore()?;
    ended
}

async fn look(client: &Client, prefix: Option<String>) -> Result<Vec<QueueStats>, Failure> {
    let mut queues = Vec::new();
    let mut request = ListQueueStats { queue_name_prefix: prefix, ..ListQueueStats::default() };
    loop {
        let page = client.list_queue_stats(request.clone()).await?;
        queues.extend(page.queues);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(queues);
        }
    }
}

fn depth(queue: &QueueStats) -> u64 {
    queue.available + queue.in_flight + queue.delayed
}

impl Screen {
    fn update(&mut self, queues: Vec<QueueStats>) {
        let names: HashSet<_> = queues.iter().map(|queue| &queue.queue_arn).collect();
        self.depths.retain(|arn, _| names.contains(arn));
        for queue in &queues {
            let depths = self.depths.entry(queue.queue_arn.clone()).or_default();
            if depths.len() == HISTORY {
                depths.pop_front();
            }
            depths.push_back(depth(queue));
        }
        self.queues = queues;
        self.error = None;
    }

    fn press(&mut self, key: KeyEvent) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Wish::Quit,
            KeyCode::Esc if self.typing => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Backspace if self.typing => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.typing => self.filter.push(c),
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Down | KeyCode::Char('j') => self.table.select_next(),
            KeyCode::Up | KeyCode::Char('k') => self.table.select_previous(),
            KeyCode::Char(c) => self.sort = Sort::of_key(c).unwrap_or(self.sort),
            _ => {}
        }
        Wish::Stay
    }

    /// What the filter lets through, sorted.
    fn shown(&self) -> Vec<&QueueStats> {
        let matches = |queue: &&QueueStats| name_of(&queue.queue_url).contains(&self.filter);
        let mut shown: Vec<_> = self.queues.iter().filter(matches).collect();
        let falling = |a: f64, b: f64| b.total_cmp(&a);
        // They come sorted by name, and stay so where they are equal.
        match self.sort {
            Sort::Name => {}
            Sort::Depth => shown.sort_by_key(|queue| std::cmp::Reverse(depth(queue))),
            Sort::InFlight => shown.sort_by_key(|queue| std::cmp::Reverse(queue.in_flight)),
            Sort::Oldest => {
                shown.sort_by_key(|queue| std::cmp::Reverse(queue.oldest_message_age_seconds));
            }
            Sort::Sent => shown.sort_by(|a, b| falling(a.sent_per_second, b.sent_per_second)),
            Sort::Received => {
                shown.sort_by(|a, b| falling(a.received_per_second, b.received_per_second));
            }
        }
        shown
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let areas =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]);
        let [head, body, foot] = areas.areas(frame.area());
        let total = |count: fn(&QueueStats) -> u64| show_count(self.queues.iter().map(count).sum());
        let rate = |rate: fn(&QueueStats) -> f64| self.queues.iter().map(rate).sum::<f64>();
        let summary = format!(
            "{}  {} queues  {} messages  {} in flight  {:.1}/s in  {:.1}/s out",
            self.server,
            self.queues.len(),
            total(depth),
            total(|queue| queue.in_flight),
            rate(|queue| queue.sent_per_second),
            rate(|queue| queue.deleted_per_second),
        );
        let bold = Style::new().add_modifier(Modifier::BOLD);
        frame.render_widget(Paragraph::new(Line::styled(summary, bold)), head);

        let rows: Vec<Row<'static>> =
            self.shown().into_iter().map(|queue| self.row(queue)).collect();
        let number = Constraint::Length(11);
        let widths = [
            Constraint::Min(20),
            number,
            number,
            number,
            Constraint::Length(8),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(HISTORY as u16),
        ];
        let names = [
            "NAME",
            "AVAILABLE",
            "IN FLIGHT",
            "DELAYED",
            "OLDEST",
            "SENT/S",
            "RECV/S",
            "DEL/S",
            "DEPTH",
        ];
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        let table = Table::new(rows, widths)
            .header(Row::new(names).style(bold))
            .row_highlight_style(reversed);
        frame.render_stateful_widget(table, body, &mut self.table);

        let foot_line = match (&self.error, self.typing) {
            (Some(error), _) => Line::styled(error.clone(), Style::new().fg(Color::Red)),
            (None, true) => Line::raw(format!("/{}_", self.filter)),
            (None, false) => {
                let filter = match self.filter.as_str() {
                    "" => String::new(),
                    filter => format!("  filter: {filter}"),
                };
                let sort = format!("{:?}", self.sort);
                Line::raw(format!("sorted by {sort} (n d f o s r)  / filter  q quit{filter}"))
            }
        };
        frame.render_widget(Paragraph::new(foot_line), foot);
    }

    fn row(&self, queue: &QueueStats) -> Row<'static> {
        let depths = self.depths.get(&queue.queue_arn);
        let rate = |rate: f64| Cell::new(format!("{rate:.1}"));
        Row::new([
            Cell::new(name_of(&queue.queue_url).to_owned()),
            Cell::new(show_count(queue.available)),
            Cell::new(show_count(queue.in_flight)),
            Cell::new(show_count(queue.delayed)),
            Cell::new(queue.oldest_message_age_seconds.map_or("-".into(), show_seconds)),
            rate(queue.sent_per_second),
            rate(queue.received_per_second),
            rate(queue.deleted_per_second),
            Cell::new(depths.map(sparkline).unwrap_or_default()),
        ])
    }
}

/// Depths as bars, the highest of which is the most there was.
fn sparkline(depths: &VecDeque<u64>) -> String {
    let most = depths.iter().copied().max().unwrap_or(0).max(1);
    let bar = |depth: &u64| {
        // Wide enough for any depth.
        let level = (u128::from(*depth) * (BARS.len() as u128 - 1)).div_ceil(most.into());
        BARS[usize::try_from(level).unwrap_or(0).min(BARS.len() - 1)]
    };
    depths.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        let queue = |name: &str, available, sent_per_second| QueueStats {
            queue_url: format!("http://127.0.0.1:9324/000000000000/{name}"),
            queue_arn: name.into(),
            available,
            sent_per_second,
            ..QueueStats::default()
        };
        let mut screen = Screen::default();
        screen.update(vec![queue("a", 1, 9.0), queue("bb", 3, 0.0), queue("c", 2, 1.5)]);
        screen
    }

    fn names(screen: &Screen) -> String {
        screen.shown().iter().map(|queue| name_of(&queue.queue_url)).collect::<Vec<_>>().join(" ")
    }

    fn press(screen: &mut Screen, keys: &str) {
        for key in keys.chars() {
            assert_eq!(screen.press(KeyCode::Char(key).into()), Wish::Stay);
        }
    }

    #[test]
    fn keys_sort_and_filter() {
        let mut screen = screen();
        assert_eq!(names(&screen), "bb c a");
        press(&mut screen, "s");
        assert_eq!(names(&screen), "a c bb");
        press(&mut screen, "n/b");
        assert_eq!(names(&screen), "bb");
        press(&mut screen, "q");
        assert_eq!(names(&screen), "", "q is a letter of a filter");
        assert_eq!(screen.press(KeyCode::Esc.into()), Wish::Stay);
        assert_eq!(names(&screen), "a bb c");
        assert_eq!(screen.press(KeyCode::Char('q').into()), Wish::Quit);
    }

    #[test]
    fn a_sparkline_is_as_high_as_the_most() {
        assert_eq!(sparkline(&VecDeque::from([0, 0])), "▁▁");
        assert_eq!(sparkline(&VecDeque::from([0, 1, 50, 100])), "▁▂▅█");
        assert_eq!(sparkline(&VecDeque::from([u64::MAX])), "█");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut screen = screen();
        screen.update(Vec::new());
        assert!(screen.depths.is_empty());
    }
}
