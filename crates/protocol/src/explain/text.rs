//! An explanation in columns: field, value, bytes from and to, and the bytes.

use std::fmt;

use super::{Explanation, Field};

/// How many bytes a line shows.
const BYTES: usize = 16;

/// The widest first column that others are aligned to.
const WIDEST: usize = 44;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.fields.iter().map(|field| widest(field, 0)).max().unwrap_or(0).min(WIDEST);
        for field in &self.fields {
            line(f, field, 0, width, &self.bytes)?;
        }
        if let Some(error) = &self.error {
            let understood = self.fields.last().map_or(0, |field| field.span.end);
            writeln!(f, "error: {error}")?;
            if understood < self.bytes.len() {
                writeln!(f, "not understood {understood}..{}  {}", self.bytes.len(), hex(&self.bytes[understood..]))?;
            }
        }
        Ok(())
    }
}

fn widest(field: &Field, depth: usize) -> usize {
    let own = 2 * depth + field.name.chars().count();
    field.children.iter().map(|child| widest(child, depth + 1)).max().unwrap_or(0).max(own)
}

fn line(f: &mut fmt::Formatter<'_>, field: &Field, depth: usize, width: usize, bytes: &[u8]) -> fmt::Result {
    let name = format!("{:indent$}{}", "", field.name, indent = 2 * depth);
    let span = format!("{}..{}", field.span.start, field.span.end);
    // What has parts shows no bytes of its own: its parts do.
    let bytes_shown = if field.children.is_empty() { hex(&bytes[field.span.clone()]) } else { String::new() };
    let text = format!("{name:width$}  {:<32}  {span:<12}  {bytes_shown}", field.value);
    writeln!(f, "{}", text.trim_end())?;
    field.children.iter().try_for_each(|child| line(f, child, depth + 1, width, bytes))
}

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > BYTES { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}
