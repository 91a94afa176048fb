//! Carries the comments of `.proto` files around prost.
//!
//! prost writes comments into the code as they are, but rustdoc would read some of them as examples and links. So each comment is
//! replaced by a marker before prost sees it, and each marker by the lines of `markdown.rs` afterwards.

use prost_types::FileDescriptorProto;

use crate::markdown::to_docs;

/// The beginning of a marker; a number follows.
const MARKER: &str = "barewire-comment-";

/// The comments that were replaced by markers, as lines of rustdoc.
#[derive(Default)]
pub(crate) struct Comments(Vec<Vec<String>>);

impl Comments {
    /// Replaces the comments of these files by markers.
    pub(crate) fn take(files: &mut [FileDescriptorProto]) -> Comments {
        let mut comments = Comments::default();
        let infos = files.iter_mut().filter_map(|file| file.source_code_info.as_mut());
        for location in infos.flat_map(|info| &mut info.location) {
            let before = location.leading_comments.take().map(|comment| to_docs(&comment)).unwrap_or_default();
            let behind = location.trailing_comments.take().map(|comment| to_docs(&comment)).unwrap_or_default();
            location.leading_detached_comments.clear();
            let mut lines = before;
            if !lines.is_empty() && !behind.is_empty() {
                lines.push(String::new());
            }
            lines.extend(behind);
            if !lines.is_empty() {
                location.leading_comments = Some(format!("{MARKER}{}", comments.0.len()));
                comments.0.push(lines);
            }
        }
        comments
    }

    /// Replaces each line of code that is a marker by the comment it stands for.
    pub(crate) fn restore(&self, code: &str) -> String {
        let mut restored = String::with_capacity(code.len());
        for line in code.lines() {
            let (indentation, text) = line.split_at(line.len() - line.trim_start().len());
            let number = text.strip_prefix("/// ").and_then(|text| text.strip_prefix(MARKER));
            match number.and_then(|number| self.0.get(number.parse::<usize>().ok()?)) {
                Some(comment) => comment.iter().for_each(|line| {
                    restored.push_str(format!("{indentation}/// {line}").trim_end());
                    restored.push('\n');
                }),
                None => {
                    restored.push_str(line);
                    restored.push('\n');
                }
            }
        }
        restored
    }
}
