//! Lines for people: words folded to the width of the terminal.

use collector::report::folded;

/// A text that grows line by line.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    width: usize,
}

impl Page {
    pub(crate) fn new(width: usize) -> Self {
        let text = String::new();
        Self { text, width }
    }

    /// One line as it is; white space at its end is left out.
    pub(crate) fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// A heading, with an empty line above it.
    pub(crate) fn heading(&mut self, text: &str) {
        self.line("");
        self.line(text);
    }

    /// Words beside a mark, which stands before their first line only.
    pub(crate) fn words(&mut self, mark: &str, words: &str) {
        for line in folded(mark, words, self.width) {
            self.line(&line);
        }
    }

    /// The whole text.
    pub(crate) fn text(self) -> String {
        self.text
    }
}
