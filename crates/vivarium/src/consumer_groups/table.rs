//! Columns of text, as Kafka's tool sets them.

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
    pub(super) fn wide(head: &'static str, width: usize) -> Column {
        Column { head, width, grows: true, is_shown: true }
    }

    /// As wide as it is.
    pub(super) fn fixed(head: &'static str, width: usize) -> Column {
        Column { head, width, grows: false, is_shown: true }
    }

    pub(super) fn only_if(self, is_shown: bool) -> Column {
        Column { is_shown, ..self }
    }
}

/// Rows of cells, one for each column, shown or not.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// What ends a line.
    pub(super) end: &'static str,
}

impl Table {
    pub(super) fn new(columns: &[Column]) -> Table {
        let heads = columns.iter().map(|it| it.head.to_owned()).collect();
        Table { columns: columns.to_vec(), rows: vec![heads], end: "" }
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
        let mut text = String::from("\n");
        for row in &self.rows {
            let shown = self.columns.iter().zip(row).filter(|(column, _)| column.is_shown);
            let cells: Vec<String> = shown.map(|(column, cell)| format!("{cell:<0$}", column.width)).collect();
            text += &cells.join(" ");
            text += self.end;
            text.push('\n');
        }
        text
    }
}

/// What is not known, or not there, is a dash.
pub(super) fn missing<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |it| it.to_string())
}
