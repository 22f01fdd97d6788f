//! Comma-separated values as RFC 4180 has them, with line feeds.

/// Rows of text under their headings.
pub(crate) struct Csv(String);

impl Csv {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Csv {
        let mut csv = Csv(String::new());
        csv.row(headings.iter().map(ToString::to_string));
        csv
    }

    /// One row more.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(quoted).collect();
        self.0.push_str(&cells.join(","));
        self.0.push('\n');
    }

    /// The table; its last line ends.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn quoted(cell: String) -> String {
    if !cell.contains([',', '"', '\n', '\r']) {
        return cell;
    }
    format!("\"{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_row_is_quoted() {
        let mut csv = Csv::new(&["name", "events"]);
        csv.row(["a \"b\", c".to_owned(), "1".to_owned()]);
        csv.row(["two\nlines".to_owned(), "2".to_owned()]);
        assert_eq!(
            csv.finish(),
            "name,events\n\"a \"\"b\"\", c\",1\n\"two\nlines\",2\n"
        );
    }
}
