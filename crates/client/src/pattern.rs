//! Topics by a pattern.

use std::fmt;
use std::sync::Arc;

use protocol::Str;

/// Which topics a consumer subscribes to, if it does not name them. The client has no regular expressions: whoever subscribes
/// brings what decides.
#[derive(Clone)]
pub struct TopicPattern {
    text: Str,
    matches: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl TopicPattern {
    /// A pattern as people write it, and what tells whether the whole name of a topic matches it: always the same of the same name.
    pub fn new(text: impl Into<Str>, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> TopicPattern {
        TopicPattern { text: text.into(), matches: Arc::new(matches) }
    }

    /// As people write it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a topic is meant.
    pub fn matches(&self, topic: &str) -> bool {
        (self.matches)(topic)
    }
}

/// Two are the same if they are written alike.
impl PartialEq for TopicPattern {
    fn eq(&self, other: &TopicPattern) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TopicPattern").field(&self.text).finish()
    }
}
