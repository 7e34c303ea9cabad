//! What a scenario tells its reader: comments of a scenario's text, which change nothing that happens.
//!
//! `# Question: …` is what the reader is asked. A line that begins with `#:` is a chapter: it tells of the moment at which the
//! line before it was done, in at most 40 words; lines of it that follow each other are one chapter.

/// What a scenario tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// What the reader is asked.
    pub question: String,
    /// In order.
    pub chapters: Vec<Chapter>,
}

/// A moment that is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// The number of the line that tells it: it is about what the lines before have done.
    pub line: usize,
    /// What is told.
    pub text: String,
}

/// Reads what a scenario's text tells.
pub fn read(text: &str) -> Story {
    let mut story = Story::default();
    let mut last = 0;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(question) = line.strip_prefix("# Question: ") {
            story.question = question.to_owned();
        } else if let Some(told) = line.strip_prefix("#:") {
            match story.chapters.last_mut().filter(|_| last == index) {
                Some(chapter) => {
                    chapter.text.push(' ');
                    chapter.text.push_str(told.trim());
                }
                None => story.chapters.push(Chapter { line: index + 1, text: told.trim().to_owned() }),
            }
            last = index + 1;
        }
    }
    story
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_follow_each_other_are_one_chapter() {
        let story = read(
            "# Question: Why?\nseed 1\nbroker b1\n#: One\n#: broker.\nrun 1s\n  #: Later.\n#: Still.\n# no more\n",
        );
        let chapter = |line: usize, text: &str| Chapter { line, text: text.to_owned() };
        assert_eq!(story.question, "Why?");
        assert_eq!(story.chapters, [chapter(4, "One broker."), chapter(7, "Later. Still.")]);
        assert_eq!(read("run 1s\n"), Story::default());
    }
}
