//! The view that fills a terminal of any size.

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Paragraph};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::View;
use super::book::{Book, Filter, Flow, Lag};

/// The characters of a bar, which differ without colours, too.
const DONE: &str = "━";
const OPEN: &str = "·";
/// In a narrower terminal bars are left out.
const NARROW: u16 = 60;

/// The terminal and its content.
pub struct Screen {
    terminal: DefaultTerminal,
    keys: UnboundedReceiver<KeyEvent>,
    shown: Shown,
}

/// All that is drawn.
#[derive(Default)]
struct Shown {
    /// The address of the page; empty: unknown.
    page: String,
    filter: Filter,
    books: Vec<Book>,
    flow: Option<Flow>,
    trouble: String,
    /// The first line of books.
    top: usize,
    /// Whether the filter is being typed.
    typing: bool,
    failed_only: bool,
    left: bool,
    interrupted: bool,
}

impl Screen {
    /// Switches the terminal to the view; a panic restores it.
    pub fn open(filter: Filter, page: &str) -> anyhow::Result<Self> {
        let terminal = ratatui::try_init()?;
        let (sender, keys) = unbounded_channel();
        // Reading blocks and cannot be cancelled; the thread ends with the program.
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                let key = match event {
                    Event::Key(key) if key.kind == KeyEventKind::Press => key,
                    // Redraw at once.
                    Event::Resize(..) => KeyEvent::new(KeyCode::Null, KeyModifiers::NONE),
                    _ => continue,
                };
                if sender.send(key).is_err() {
                    return;
                }
            }
        });
        let shown = Shown { filter, page: page.to_owned(), ..Shown::default() };
        Ok(Self { terminal, keys, shown })
    }

    /// Restores the terminal; returns the last books, and whether Ctrl-C was pressed.
    pub fn close(self) -> (Vec<Book>, bool) {
        ratatui::restore();
        (self.shown.visible().into_iter().cloned().collect(), self.shown.interrupted)
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let shown = &self.shown;
        self.terminal.draw(|frame| shown.draw(frame)).map(|_| ())
    }
}

impl View for Screen {
    fn show(&mut self, books: &[Book], flow: Option<&Flow>) -> anyhow::Result<bool> {
        self.shown.books = books.to_vec();
        // Failed books first, then those at work.
        self.shown.books.sort_by_key(|book| (!book.failed(), book.over));
        self.shown.flow = flow.copied();
        while let Ok(key) = self.keys.try_recv() {
            self.shown.press(key);
        }
        self.draw()?;
        Ok(!self.shown.left)
    }

    fn show_notice(&mut self, words: &str) {
        words.clone_into(&mut self.shown.trouble);
        // If the terminal is gone, the next draw returns the error.
        let _ = self.draw();
    }

    async fn pressed(&mut self) {
        if let Some(key) = self.keys.recv().await {
            self.shown.press(key);
            let _ = self.draw();
        } else {
            std::future::pending().await
        }
    }
}

impl Shown {
    fn visible(&self) -> Vec<&Book> {
        self.books
            .iter()
            .filter(|book| self.filter.lets(book) && (!self.failed_only || book.failed()))
            .collect()
    }

    fn press(&mut self, key: KeyEvent) {
        match (key.code, self.typing) {
            (KeyCode::Char('c'), _) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                (self.left, self.interrupted) = (true, true);
            }
            (KeyCode::Enter, true) => self.typing = false,
            (KeyCode::Esc, true) => {
                self.typing = false;
                self.filter.search.clear();
            }
            (KeyCode::Backspace, true) => {
                self.filter.search.pop();
            }
            (KeyCode::Char(letter), true) => self.filter.search.push(letter),
            (KeyCode::Char('/'), false) => self.typing = true,
            (KeyCode::Char('f'), false) => self.failed_only = !self.failed_only,
            (KeyCode::Char('q') | KeyCode::Esc, false) => self.left = true,
            (KeyCode::Down | KeyCode::Char('j'), false) => self.top += 1,
            (KeyCode::Up | KeyCode::Char('k'), false) => self.top = self.top.saturating_sub(1),
            (KeyCode::PageDown, false) => self.top += 10,
            (KeyCode::PageUp, false) => self.top = self.top.saturating_sub(10),
            (KeyCode::Home, false) => self.top = 0,
            _ => {}
        }
        self.top = self.top.min(self.visible().len().saturating_sub(1));
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
                .areas(frame.area());
        frame.render_widget(self.head(), head);
        let books = self.visible();
        if books.is_empty() && body.height > 0 {
            let words = if self.books.is_empty() {
                "no book is at work"
            } else {
                "no book fits the filter"
            };
            frame.render_widget(Paragraph::new(words).dim(), Rect { height: 1, ..body });
        }
        for (row, book) in (body.y..body.bottom()).zip(books.iter().skip(self.top)) {
            draw_book(frame, Rect { y: row, height: 1, ..body }, book);
        }
        frame.render_widget(self.foot(), foot);
    }

    fn head(&self) -> Line<'_> {
        let count = |is: fn(&Book) -> bool| self.books.iter().filter(|book| is(book)).count();
        let (failed, over) = (count(Book::failed), count(|book| book.over));
        let working = self.books.len() - failed - over;
        let mut parts = vec![
            "Bindery".bold(),
            format!("  {working} at work, {failed} failed, {over} over").into(),
        ];
        if let Some(flow) = &self.flow {
            let shown = working + failed;
            if usize::try_from(flow.books).is_ok_and(|books| books > shown) {
                parts.push(format!(" ({shown} of {} shown)", flow.books).into());
            }
            parts.push(format!("   {:.0} events/s", flow.rate).into());
            parts.push(match flow.lag {
                Lag::None => "   live".into(),
                Lag::Seconds(lag) => format!("   {lag:.1} s behind").into(),
                Lag::Unknown => "   not caught up yet".into(),
            });
        }
        if !self.page.is_empty() {
            parts.push(format!("   {}", self.page).underlined());
        }
        if !self.trouble.is_empty() {
            parts.push(Span::from(format!("   {}", self.trouble)).red().bold());
        }
        Line::from(parts)
    }

    fn foot(&self) -> Line<'_> {
        if self.typing {
            return Line::from(format!("/{}_   enter keeps, esc clears", self.filter.search))
                .bold();
        }
        let filter = if self.filter.search.is_empty() {
            String::new()
        } else {
            format!("   filter: {}", self.filter.search)
        };
        let failed = if self.failed_only { "   failed only" } else { "" };
        Line::from(format!("/ filter   f failed   arrows scroll   q quit{filter}{failed}")).dim()
    }
}

fn draw_book(frame: &mut Frame<'_>, area: Rect, book: &Book) {
    let style = if book.failed() {
        Style::new().red()
    } else if book.over {
        Style::new().dim()
    } else {
        Style::new()
    };
    let bar = if area.width < NARROW { 0 } else { (area.width / 3).min(40) };
    let widths =
        [Constraint::Max(29), Constraint::Length(bar), Constraint::Length(10), Constraint::Min(0)];
    let [name, gauge, percent, standing] = Layout::horizontal(widths).areas(area);
    frame.render_widget(Paragraph::new(book.name()).style(style), name);
    if bar > 0 {
        let line = LineGauge::default()
            .ratio((book.overall / 100.0).clamp(0.0, 1.0))
            .label("")
            .filled_symbol(DONE)
            .unfilled_symbol(OPEN)
            .filled_style(style.cyan().add_modifier(Modifier::BOLD))
            .unfilled_style(Style::new().dim());
        frame.render_widget(line, gauge);
    }
    frame.render_widget(Paragraph::new(format!("{:7.2} % ", book.overall)).style(style), percent);
    frame.render_widget(Paragraph::new(book.standing()).style(style), standing);
}

#[cfg(test)]
mod tests {
    use super::super::book::tests::{book, flow};
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(shown: &Shown, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| shown.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y| {
            (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned()
        };
        (0..height).map(row).collect()
    }

    fn books() -> Shown {
        let failed = Book { title: Some("Fog".to_owned()), status: "FAILED".to_owned(), ..book() };
        Shown { books: vec![book(), failed], flow: Some(flow()), ..Shown::default() }
    }

    fn press(shown: &mut Shown, keys: &str) {
        keys.chars()
            .for_each(|key| shown.press(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)));
    }

    #[test]
    fn a_wide_terminal_has_bars_and_a_narrow_one_the_essential_columns() {
        let wide = drawn(&books(), 120, 5);
        assert!(
            wide[0].contains("1 at work, 1 failed")
                && wide[0].contains("(2 of 200 shown)   1234 events/s   7.2 s behind"),
            "{wide:#?}"
        );
        assert!(wide[1].contains("━━·"), "{wide:#?}");
        assert!(wide[1].contains("12.50 %") && wide[1].contains("Find names 3"), "{wide:#?}");
        let narrow = drawn(&books(), 50, 5);
        assert!(narrow[1].contains("12.50 %") && !narrow[1].contains('━'), "{narrow:#?}");
        drawn(&books(), 3, 1);
        drawn(&books(), 1, 3);
    }

    #[test]
    fn keys_filter_scroll_and_leave() {
        let mut shown = books();
        press(&mut shown, "/fo");
        assert_eq!(shown.visible().len(), 1);
        assert!(drawn(&shown, 80, 4)[3].starts_with("/fo_"));
        shown.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        assert_eq!(shown.visible().len(), 2);
        press(&mut shown, "f");
        assert_eq!(shown.visible().len(), 1);
        press(&mut shown, "fj");
        assert_eq!(shown.top, 1);
        press(&mut shown, "jjj");
        assert_eq!(shown.top, 1, "the last book stays in sight");
        press(&mut shown, "q");
        assert!(shown.left);
    }

    #[test]
    fn a_filter_without_results_is_reported() {
        let mut shown = books();
        shown.filter.search = "nowhere".to_owned();
        assert!(drawn(&shown, 80, 4)[1].contains("no book fits"));
        shown.trouble = "reconnecting".to_owned();
        assert!(drawn(&shown, 120, 4)[0].contains("reconnecting"));
    }
}
