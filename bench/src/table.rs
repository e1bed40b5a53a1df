//! Tables in markdown.

use std::fmt::Write as _;

/// A table: the first column reads from the left, the others are figures.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table under these headings.
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The table as text, its columns aligned, an empty line at the end.
    pub(crate) fn render(&self) -> String {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default().max(3)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let _infallible = match column {
                    0 => write!(text, "| {cell:<width$} |"),
                    _ => write!(text, " {cell:>width$} |"),
                };
            }
            text.push('\n');
            if number == 0 {
                for (column, width) in widths.into_iter().enumerate() {
                    text += if column == 0 { "| " } else { " " };
                    text += &"-".repeat(width - 1);
                    text += if column == 0 { "- |" } else { ": |" };
                }
                text.push('\n');
            }
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["what", "ms"]);
        table.row(["crun × 2".to_owned(), "10.0".to_owned()]);
        let expected = "| what     |   ms |\n| -------- | ---: |\n| crun × 2 | 10.0 |\n\n";
        assert_eq!(table.render(), expected);
    }
}
