//! What says what is to be drawn on canvases: numbers and words, which web/ink.js reads. It may be somewhere else and a moment later.

/// What a step says, in the order of web/ink.js.
#[derive(Clone, Copy)]
enum Step {
    Look,
    Sheet,
    Place,
    Window,
    Whole,
    Begin,
    Rect,
    Move,
    Line,
    Arc,
    Fill,
    Edge,
    Dashed,
    Put,
    Voice,
    Say,
    Over,
    Flag,
}

/// A colour of the style sheet; those of cells by the epoch of their leader.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Glass,
    Act,
    OnAct,
    Text,
    Dim,
    Line,
    Harm,
    Inside(i32),
    Rim(i32),
}

/// How many colours there are for epochs.
pub(crate) const EPOCHS: usize = 4;

impl Colour {
    fn number(self) -> usize {
        let of = |epoch: i32| epoch.rem_euclid(EPOCHS as i32) as usize;
        match self {
            Colour::Glass => 0,
            Colour::Act => 1,
            Colour::OnAct => 2,
            Colour::Text => 3,
            Colour::Dim => 4,
            Colour::Line => 5,
            Colour::Harm => 6,
            Colour::Inside(epoch) => 7 + of(epoch),
            Colour::Rim(epoch) => 7 + EPOCHS + of(epoch),
        }
    }
}

/// A font of the style sheet: of keys in cells, of small digits there, of labels, of labels that matter, of what is in the cluster, and
/// of what is tiny there.
#[derive(Clone, Copy)]
pub(crate) enum Font {
    Key,
    Digit,
    Label,
    Strong,
    Stage,
    Tiny,
}

/// Which end of words is at their place.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Center,
    Right,
}

/// What draws.
#[derive(Default)]
pub(crate) struct Pen {
    numbers: Vec<f32>,
    words: String,
}

impl Pen {
    fn step(&mut self, step: Step, numbers: &[f64]) {
        self.numbers.push(f32::from(step as u8));
        self.numbers.extend(numbers.iter().map(|it| *it as f32));
    }

    fn words(&mut self, words: &str) {
        // JavaScript's strings are counted in these.
        self.numbers.push(words.encode_utf16().count() as f32);
        self.words.push_str(words);
    }

    /// All that was said, as web/ink.js takes it: how many numbers, these, and the words.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 4 * self.numbers.len() + self.words.len());
        bytes.extend((self.numbers.len() as u32).to_le_bytes());
        for it in &self.numbers {
            bytes.extend(it.to_le_bytes());
        }
        bytes.extend(self.words.as_bytes());
        bytes
    }

    /// From now on these are the colours and the fonts, in the order of their numbers.
    pub(crate) fn look(&mut self, colours: &[String], fonts: &[String]) {
        self.step(Step::Look, &[]);
        for list in [colours, fonts] {
            self.numbers.push(list.len() as f32);
            for it in list {
                self.words(it);
            }
        }
    }

    /// Goes on with a sheet, of so many pixels and blank.
    pub(crate) fn sheet(&mut self, which: usize, (width, height): (f64, f64)) {
        self.step(Step::Sheet, &[which as f64, width, height]);
    }

    /// Where what follows begins on the sheet, and how large its units are, in pixels.
    pub(crate) fn place(&mut self, (x, y): (f64, f64), scale: f64) {
        self.step(Step::Place, &[scale, x, y]);
    }

    /// The same until it is whole again; of what follows only this much is seen.
    pub(crate) fn window(&mut self, (x, y): (f64, f64), scale: f64, (width, height): (f64, f64)) {
        self.step(Step::Window, &[scale, x, y, width, height]);
    }

    /// After a window: all is seen.
    pub(crate) fn whole(&mut self) {
        self.step(Step::Whole, &[]);
    }

    /// A new path.
    pub(crate) fn begin(&mut self) {
        self.step(Step::Begin, &[]);
    }

    /// A rectangle with round corners, into the path.
    pub(crate) fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, radius: f64) {
        self.step(Step::Rect, &[x, y, w, h, radius]);
    }

    /// A line from point to point, into the path.
    pub(crate) fn line(&mut self, points: &[(f64, f64)]) {
        for (index, (x, y)) in points.iter().enumerate() {
            self.step(if index == 0 { Step::Move } else { Step::Line }, &[*x, *y]);
        }
    }

    /// Fills the path.
    pub(crate) fn fill(&mut self, colour: Colour) {
        self.step(Step::Fill, &[colour.number() as f64]);
    }

    /// Draws the path's line.
    pub(crate) fn edge(&mut self, colour: Colour, width: f64) {
        self.step(Step::Edge, &[colour.number() as f64, width]);
    }

    /// Fills the path with nothing and draws its line in dashes: what was.
    pub(crate) fn dashed(&mut self, colour: Colour) {
        self.fill(Colour::Glass);
        self.step(Step::Dashed, &[colour.number() as f64, 1.0]);
    }

    /// Puts down what was drawn on another sheet, its middle at a place.
    pub(crate) fn put(&mut self, sheet: usize, x: f64, y: f64, (w, h): (f64, f64)) {
        self.step(Step::Put, &[sheet as f64, x, y, w, h]);
    }

    /// How what is said next looks: the font, its colour, and which end of it is at its place.
    pub(crate) fn voice(&mut self, font: Font, colour: Colour, align: Align) {
        self.step(Step::Voice, &[f64::from(font as u8), colour.number() as f64, f64::from(align as u8)]);
    }

    /// Says words on a line at `y`, pressed together where they are wider than that.
    pub(crate) fn say(&mut self, words: &str, x: f64, y: f64, widest: f64) {
        self.step(Step::Say, &[]);
        self.words(words);
        self.numbers.extend([x, y, widest].map(|it| it as f32));
    }

    /// As [`Pen::say`], on something that would make it hard to read.
    pub(crate) fn say_over(&mut self, words: &str, x: f64, y: f64) {
        self.step(Step::Over, &[]);
        self.words(words);
        self.numbers.extend([x, y].map(|it| it as f32));
    }

    /// Says words on a ground of their own, which is so high and ends at `x`: the long ones, if they have room from the sheet's left end.
    pub(crate) fn flag(&mut self, ground: Colour, (x, y): (f64, f64), high: f64, long: &str, short: &str) {
        self.step(Step::Flag, &[ground.number() as f64, x, y, high]);
        self.words(long);
        self.words(short);
    }

    /// A ring of which a part is left, 0 to 1.
    pub(crate) fn arc(&mut self, x: f64, y: f64, radius: f64, rest: f64) {
        self.begin();
        self.step(Step::Arc, &[x, y, radius, 1.0]);
        self.fill(Colour::Glass);
        self.edge(Colour::Line, 1.0);
        self.begin();
        self.step(Step::Arc, &[x, y, radius, rest]);
        self.edge(Colour::Act, 2.5);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_numbers_and_then_words() {
        let mut pen = Pen::default();
        pen.rect(1.0, 2.0, 3.5, 4.0, 0.0);
        pen.say("ключ 🗝", 5.0, 6.0, 7.0);
        let bytes = pen.into_bytes();
        let count = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        let (numbers, words) = bytes[4..].split_at(4 * count);
        let numbers: Vec<f32> = numbers.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect();
        let (rect, say) = (f32::from(Step::Rect as u8), f32::from(Step::Say as u8));
        assert_eq!(numbers, [rect, 1.0, 2.0, 3.5, 4.0, 0.0, say, 7.0, 5.0, 6.0, 7.0], "a key is two units of UTF-16");
        assert_eq!(words, "ключ 🗝".as_bytes());
    }

    /// Both sides count steps, colours and fonts by themselves.
    #[test]
    fn the_script_has_a_step_for_each() {
        let script = include_str!("../../ink.js");
        let steps =
            script.split_once("const steps = [").and_then(|it| it.1.split_once("\n  ];")).expect("it has steps").0;
        let first = |it: &&str| it.starts_with("    ") && !it.starts_with("     ") && !it.starts_with("    }");
        assert_eq!(steps.lines().filter(first).count(), Step::Flag as usize + 1);
        let mut numbers: Vec<usize> =
            (0..EPOCHS as i32).flat_map(|it| [Colour::Inside(it).number(), Colour::Rim(it).number()]).collect();
        numbers.extend(
            [Colour::Glass, Colour::Act, Colour::OnAct, Colour::Text, Colour::Dim, Colour::Line, Colour::Harm]
                .map(Colour::number),
        );
        ordered::sort(&mut numbers);
        assert!(numbers.iter().copied().eq(0..numbers.len()), "no two are one: {numbers:?}");
    }
}
