//! Words in lines of a width.

/// Words in lines of `width` characters, beside a mark that stands before the first one only. A
/// word that is longer has a line of its own; without words the mark stands alone.
#[must_use]
pub fn folded(mark: &str, words: &str, width: usize) -> Vec<String> {
    let (mut before, mut lines) = (mark.to_owned(), Vec::new());
    let indent = mark.chars().count();
    let mut line = String::new();
    for word in words.split_whitespace() {
        if !line.is_empty() && width < indent + line.len() + 1 + word.len() {
            lines.push(format!("{before}{line}"));
            before = " ".repeat(indent);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{before}{line}"));
    lines
}
