//! The fields of what is selected, and its bytes: a choice in the one shows itself in the other.

use super::scene::Scene;
use crate::bytes::{Row, Sheet};
use crate::draw::{Shape, classed, shape, text};

/// Bytes in a line, and lines that are drawn at most.
const WIDE: usize = 8;
const LINES: usize = 96;

/// A field: of which sheet, and which of its rows.
pub(crate) type Place = (usize, usize);

/// The field that a `data-do` names.
pub(crate) fn place(text: &str) -> Option<Place> {
    let (sheet, row) = text.split_once('/')?;
    Some((sheet.parse().ok()?, row.parse().ok()?))
}

/// The field beside one, or the first; to its sheet's end, and on in the next.
pub(crate) fn beside(sheets: &[Sheet], at: Option<Place>, way: isize) -> Option<Place> {
    let counts = sheets.iter().enumerate().flat_map(|(sheet, it)| (0..it.rows.len()).map(move |row| (sheet, row)));
    let all: Vec<Place> = counts.collect();
    let to = match at.and_then(|at| all.iter().position(|it| *it == at)) {
        Some(index) => index.saturating_add_signed(way).min(all.len().saturating_sub(1)),
        None => 0,
    };
    all.get(to).copied()
}

/// Field by field: what each is called and says; with its place or its type.
pub(crate) fn table(scene: &Scene, with_places: bool) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (number, sheet) in scene.bytes.iter().enumerate() {
        let mut lines = Vec::new();
        for (index, row) in sheet.rows.iter().enumerate() {
            let is_on = scene.field == Some((number, index));
            let name =
                shape("th").set("scope", "row").set("style", format!("--depth:{}", row.depth.min(6))).with([classed(
                    "button", "line",
                )
                .set("tabindex", "-1")
                .set("data-do", format!("field:{number}/{index}"))
                .say(row.name.clone())]);
            let more = if with_places { span(row) } else { row.kind.to_ascii_lowercase().replace('_', " ") };
            let class = match (is_on, row.to > row.from && is_whole(sheet, index)) {
                (true, _) => "on",
                (false, true) => "outer",
                (false, false) => "leaf",
            };
            lines.push(classed("tr", class).set("data-do", format!("field:{number}/{index}")).with([
                name,
                shape("td").say(row.value.clone()),
                classed("td", "place").say(more),
            ]));
        }
        let count = format!("{} bytes, {} fields", sheet.bytes.len(), sheet.rows.len());
        let head = shape("h2").say(format!("{} ", sheet.title)).with([shape("small").say(count)]);
        let fields = classed("table", "bytes").with([shape("tbody").with_all(lines)]);
        shapes.push(
            classed("div", "scroller of-bytes")
                .set("id", if number == 0 { "bytes" } else { "plain-bytes" })
                .set("tabindex", "0")
                .set("role", "group")
                .set("aria-label", format!("{}, field by field: ↑ and ↓ choose one", sheet.title))
                .with([head, fields]),
        );
    }
    shapes
}

/// True for a field that only holds those after it.
fn is_whole(sheet: &Sheet, index: usize) -> bool {
    sheet.rows.get(index + 1).is_some_and(|next| next.depth > sheet.rows[index].depth)
}

/// `21–24`
fn span(row: &Row) -> String {
    match row.to.saturating_sub(row.from) {
        0 => "–".to_owned(),
        1 => row.from.to_string(),
        _ => format!("{}–{}", row.from, row.to - 1),
    }
}

/// The bytes of the sheet that holds the chosen field, how that is read, and the fields.
pub(crate) fn dump(scene: &Scene) -> Vec<Shape> {
    let number = scene.field.map_or(0, |it| it.0).min(scene.bytes.len().saturating_sub(1));
    let Some(sheet) = scene.bytes.get(number) else { return Vec::new() };
    let chosen = scene.field.filter(|it| it.0 == number).map(|it| it.1);
    let mut shapes = vec![hex(number, sheet, chosen)];
    let told = match chosen.and_then(|it| Some((sheet.rows.get(it)?, sheet.how(it)))) {
        Some((row, how)) => {
            let words = format!(": {} {}. ", row.kind.to_ascii_lowercase().replace('_', " "), row.value);
            classed("p", "reason").with([shape("b").say(row.name.clone()), text(words), text(how.unwrap_or_default())])
        }
        None => classed("p", "reason")
            .say("A byte leads to its field, and a field to its bytes. Underlined is a varint, framed a checksum."),
    };
    shapes.push(told.set("id", "how").set("role", "status"));
    shapes.extend(table(scene, true));
    shapes
}

/// The bytes in lines: their place, they, and what of them is text. Those of one field are one thing to choose.
fn hex(number: usize, sheet: &Sheet, chosen: Option<usize>) -> Shape {
    let owners = sheet.owners();
    let on = chosen.and_then(|it| sheet.rows.get(it)).map_or(0..0, |it| it.from..it.to);
    let covered = chosen.and_then(|it| sheet.covered(it)).map_or(0..0, |it| it.0..it.1);
    // What is chosen is in sight.
    let all = sheet.bytes.len().div_ceil(WIDE);
    let first = if on.start / WIDE >= LINES { on.start / WIDE - LINES / 4 } else { 0 };
    let last = all.min(first + LINES);
    let mut shapes = Vec::new();
    for line in first..last {
        let (from, to) = (line * WIDE, sheet.bytes.len().min((line + 1) * WIDE));
        shapes.push(shape("b").say(format!("{from:04} ")));
        let look = |at: usize| {
            let owner = owners[at];
            let row = owner.and_then(|it| sheet.rows.get(it));
            let is_varint = row.is_some_and(|row| at < row.from + sheet.varint(row));
            let is_crc = row.is_some_and(|row| row.name == "Crc");
            (owner, is_varint, is_crc, on.contains(&at), covered.contains(&at))
        };
        let mut at = from;
        while at < to {
            let this = look(at);
            let mut end = at + 1;
            while end < to && look(end) == this {
                end += 1;
            }
            let (owner, is_varint, is_crc, is_on, is_covered) = this;
            let mut class = String::new();
            for (is, word) in [(is_varint, "v "), (is_crc, "crc "), (is_on, "on "), (is_covered, "sum ")] {
                if is {
                    class.push_str(word);
                }
            }
            let mut digits = shape("span").set("class", class).say(digits(&sheet.bytes[at..end]));
            if let Some(owner) = owner {
                digits = digits.set("data-do", format!("field:{number}/{owner}"));
            }
            shapes.push(digits);
            shapes.push(text(" "));
            at = end;
        }
        let mut words = "   ".repeat(from + WIDE - to);
        words.push(' ');
        let plain = |it: &u8| if it.is_ascii_graphic() || *it == b' ' { char::from(*it) } else { '·' };
        words.extend(sheet.bytes[from..to].iter().map(plain));
        words.push('\n');
        shapes.push(text(words));
    }
    if last < all || first > 0 {
        let words = format!(
            "bytes {} to {} of {}: choose a field to see others",
            first * WIDE,
            last * WIDE - 1,
            sheet.bytes.len()
        );
        shapes.push(shape("i").say(words));
    }
    classed("pre", "hex")
        .set("id", "hex")
        .set("tabindex", "0")
        .set("role", "group")
        .set("aria-label", "Bytes")
        .with_all(shapes)
}

/// `00 1f e2`
fn digits(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(3 * WIDE);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_lines_and_a_field_is_one_thing_to_choose() {
        let row = |depth, kind, from, to| Row { depth, name: "x".to_owned(), kind, from, to, ..Row::default() };
        let rows = vec![row(0, "STRUCT", 0, 10), row(1, "INT64", 0, 8), row(1, "COMPACT_STRING", 8, 10)];
        let sheet = Sheet { title: "Its frame", bytes: bytes::Bytes::from_static(b"\0\0\0\0\0\0\0\x07\x02a"), rows };
        let drawn = hex(0, &sheet, Some(2));
        assert_eq!(drawn.words(), "0000 00 00 00 00 00 00 00 07  ········\n0008 02 61                    ·a\n");
        let mut scene = Scene::new(1);
        scene.bytes = vec![sheet];
        let fields: String = table(&scene, true).iter().map(Shape::words).collect();
        assert_eq!(fields, "Its frame 10 bytes, 3 fieldsx0–9x0–7x8–9");
        assert_eq!(beside(&scene.bytes, None, 1), Some((0, 0)));
        assert_eq!(beside(&scene.bytes, Some((0, 2)), 1), Some((0, 2)));
        assert_eq!(beside(&scene.bytes, Some((0, 2)), -1), Some((0, 1)));
        assert_eq!((place("0/12"), place("0"), place("a/1")), (Some((0, 12)), None, None));
    }
}
