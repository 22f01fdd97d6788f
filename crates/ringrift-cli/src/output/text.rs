//! Text for people: lines, named values, tables.

use comfy_table::{Attribute, Color, ContentArrangement, Table, presets};

use super::style::{Paint, Style};
use super::{Moment, Zone, one_line, visible};
use ringrift_events::clock::Time;

/// Most characters of a cell: every row of a table is as wide as its widest cell.
const CELL_CHARS_MAX: usize = 250;

/// A page of text that grows downwards.
pub(crate) struct Text {
    style: Style,
    zone: Zone,
    page: String,
}

impl Text {
    /// An empty page.
    pub(crate) fn new(style: Style, zone: Zone) -> Text {
        Text {
            style,
            zone,
            page: String::new(),
        }
    }

    /// The page as it stands.
    pub(crate) fn finish(self) -> String {
        self.page
    }

    /// How it is dressed.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// A moment in the zone of this page.
    pub(crate) fn moment(&self, time: Time) -> Moment {
        self.zone.show(time)
    }

    /// A sentence of the library with its times in the zone of this page.
    pub(crate) fn told(&self, sentence: &str) -> String {
        self.zone.told(sentence)
    }

    /// The text in the colour of `paint`, where colour is wanted.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        self.style.paint(paint, text)
    }

    /// One line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.page.push_str(text.as_ref());
        self.page.push('\n');
    }

    /// A heading, after a blank line unless it opens the page.
    pub(crate) fn title(&mut self, text: &str) {
        if !self.page.is_empty() {
            self.page.push('\n');
        }
        let painted = self.paint(Paint::Title, text);
        self.line(painted);
    }

    /// Values with their names, one a line, the values aligned. Empty values are left out.
    pub(crate) fn fields(&mut self, fields: &[(&str, String)]) {
        let shown = || fields.iter().filter(|(_, value)| !value.is_empty());
        let width = shown().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in shown() {
            let padded = format!("{name:width$}");
            let line = format!("{}  {}", self.paint(Paint::Faint, &padded), visible(value));
            self.line(line);
        }
    }

    /// A table; says `none` when it has no rows.
    ///
    /// On a terminal cells wrap to its width; elsewhere every row is one line, so that `grep` and
    /// `awk` see whole rows.
    pub(crate) fn table(&mut self, headings: &[&str], rows: Vec<Vec<Cell>>) {
        if rows.is_empty() {
            let none = self.paint(Paint::Faint, "none");
            self.line(none);
            return;
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.force_no_tty();
        if let Some(width) = self.style.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        if self.style.color {
            table.enforce_styling();
        }
        table.set_header(
            headings
                .iter()
                .map(|heading| comfy_table::Cell::new(heading).add_attribute(Attribute::Bold)),
        );
        for row in rows {
            table.add_row(row.into_iter().map(Cell::dressed));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            let line = line.trim_end().to_owned();
            self.line(line);
        }
    }
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// A cell in the colour of `paint`, where colour is wanted.
    pub(crate) fn painted(paint: Paint, text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            paint: Some(paint),
        }
    }

    /// A cell never breaks a line by itself, never commands a terminal, and widens no column beyond
    /// its bound: JSON has the whole.
    fn dressed(self) -> comfy_table::Cell {
        let text = visible(&self.text).replace(['\n', '\t'], " ");
        let text = one_line(&text, CELL_CHARS_MAX);
        let cell = comfy_table::Cell::new(text);
        match self.paint {
            None => cell,
            Some(Paint::Title) => cell.add_attribute(Attribute::Bold),
            Some(Paint::Good) => cell.fg(Color::Green),
            Some(Paint::Odd) => cell.fg(Color::Yellow),
            Some(Paint::Bad) => cell.fg(Color::Red),
            Some(Paint::Faint) => cell.add_attribute(Attribute::Dim),
        }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Cell {
        Cell {
            text: value.to_string(),
            paint: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_no_terminal_reads_has_one_line_a_row() {
        let mut text = Text::new(Style::PLAIN, Zone::utc());
        text.table(
            &["name", "what"],
            vec![
                vec!["a".into(), "x ".repeat(120).into()],
                vec!["long name".into(), "two\nlines".into()],
            ],
        );
        let page = text.finish();
        assert_eq!(page.lines().count(), 3);
        assert!(page.starts_with("name       what\na          x x x"));
        assert!(page.ends_with("long name  two lines\n"));
    }

    #[test]
    fn one_long_cell_pads_the_others_to_its_bound_at_most() {
        let mut text = Text::new(Style::PLAIN, Zone::utc());
        let rows = vec![
            vec!["k".repeat(60_000).into(), "x".into()],
            vec!["a".into(), "y".into()],
        ];
        text.table(&["key", "what"], rows);
        let page = text.finish();
        assert!(page.contains("… (+58.3 KiB)"), "{page}");
        assert!(page.lines().all(|line| line.chars().count() < 300));
    }

    #[test]
    fn a_table_fits_the_terminal_that_reads_it() {
        let mut text = Text::new(
            Style {
                width: Some(60),
                ..Style::PLAIN
            },
            Zone::utc(),
        );
        text.table(
            &["name", "what"],
            vec![vec!["a".into(), "several words ".repeat(10).into()]],
        );
        let page = text.finish();
        assert!(
            page.lines().all(|line| line.chars().count() <= 60),
            "{page}"
        );
        assert!(page.lines().count() > 2);
    }

    #[test]
    fn colour_reaches_cells_and_never_fields_of_others() {
        let mut text = Text::new(
            Style {
                color: true,
                ..Style::PLAIN
            },
            Zone::utc(),
        );
        text.table(&["state"], vec![vec![Cell::painted(Paint::Bad, "dead")]]);
        text.fields(&[("error", "\u{1b}[31mred".into())]);
        let page = text.finish();
        assert!(page.contains("\u{1b}["), "{page:?}");
        assert!(page.contains("\u{fffd}[31mred"), "{page:?}");
    }

    #[test]
    fn fields_are_aligned_and_empty_ones_left_out() {
        let mut text = Text::new(Style::PLAIN, Zone::utc());
        text.fields(&[
            ("id", "1".into()),
            ("parent", String::new()),
            ("source", "trainer\u{1b}[2J".into()),
        ]);
        assert_eq!(text.finish(), "id      1\nsource  trainer\u{fffd}[2J\n");
    }
}
