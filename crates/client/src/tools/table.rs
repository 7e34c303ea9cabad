//! Columns of text, as Kafka's tools set them.

/// A column's head and how wide it is at least.
#[derive(Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    width: usize,
    /// It grows with what is in it.
    grows: bool,
    is_shown: bool,
}

impl Column {
    /// As wide as what is in it.
    pub(super) const fn wide(head: &'static str, width: usize) -> Column {
        Column { head, width, grows: true, is_shown: true }
    }

    /// As wide as it is.
    pub(super) const fn fixed(head: &'static str, width: usize) -> Column {
        Column { head, width, grows: false, is_shown: true }
    }
}

/// Rows of cells, one for each column, shown or not.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// What is between cells, and what ends a line.
    pub(super) between: &'static str,
    pub(super) end: &'static str,
}

impl Table {
    pub(super) fn new(columns: &[Column]) -> Table {
        let heads = columns.iter().map(|it| it.head.to_owned()).collect();
        Table { columns: columns.to_vec(), rows: vec![heads], between: " ", end: "" }
    }

    /// Shows these columns only if told to.
    pub(super) fn only_if(&mut self, is_shown: bool, heads: &[&str]) {
        for it in self.columns.iter_mut().filter(|it| heads.contains(&it.head)) {
            it.is_shown &= is_shown;
        }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            if column.grows {
                column.width = column.width.max(cell.chars().count());
            }
        }
        self.rows.push(cells);
    }

    /// An empty line, the heads, the rows.
    pub(super) fn text(&self) -> String {
        "\n".to_owned() + &self.rows()
    }

    /// The heads and the rows.
    pub(super) fn rows(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let mut between = "";
            for (column, cell) in self.columns.iter().zip(row).filter(|(column, _)| column.is_shown) {
                text += &format!("{between}{cell:<0$}", column.width);
                between = self.between;
            }
            text += self.end;
            text.push('\n');
        }
        text
    }
}

/// What is not known, or not there, is a dash.
pub(super) fn missing(value: Option<i64>) -> String {
    value.map_or_else(|| "-".to_owned(), |it| it.to_string())
}
