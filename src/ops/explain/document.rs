//! What `explain` has to say, before it is text or JSON: sections of facts, each with the value for programs and the words
//! for people side by side, so that neither can say more than the other.

use serde_json::{Map, Value};

#[derive(Default)]
pub struct Document {
    pub sections: Vec<Section>,
}

/// One subject. `key` is its name in the JSON, `title` its heading.
pub struct Section {
    pub key: &'static str,
    pub title: String,
    pub body: Body,
    /// Below the section, for people only: what the words in it mean.
    pub legend: Vec<(String, String)>,
}

pub enum Body {
    Facts(Vec<Fact>),
    /// Rows of cells; the JSON has the value instead.
    Table(Vec<Vec<String>>, Value),
}

pub struct Fact {
    key: &'static str,
    pub label: &'static str,
    /// Each begins a new line; none: not worth a line.
    pub lines: Vec<String>,
    value: Value,
}

impl Section {
    pub fn facts(key: &'static str, title: impl Into<String>) -> Section {
        Section { key, title: title.into(), body: Body::Facts(Vec::new()), legend: Vec::new() }
    }

    pub fn table(key: &'static str, title: impl Into<String>, rows: Vec<Vec<String>>, value: Value) -> Section {
        Section { key, title: title.into(), body: Body::Table(rows, value), legend: Vec::new() }
    }

    /// One more fact: its name in the JSON and its value there, its label and its words for people.
    pub fn say(&mut self, key: &'static str, value: impl Into<Value>, label: &'static str, words: impl Into<String>) {
        self.list(key, value, label, vec![words.into()]);
    }

    /// A fact of several lines.
    pub fn list(&mut self, key: &'static str, value: impl Into<Value>, label: &'static str, lines: Vec<String>) {
        if let Body::Facts(facts) = &mut self.body {
            facts.push(Fact { key, label, lines, value: value.into() });
        }
    }

    /// Has it anything to show?
    pub fn is_empty(&self) -> bool {
        match &self.body {
            Body::Facts(facts) => facts.iter().all(|fact| fact.lines.is_empty()),
            Body::Table(rows, _) => rows.is_empty(),
        }
    }
}

impl Document {
    pub fn to_json(&self) -> Map<String, Value> {
        self.sections.iter().map(|section| (section.key.to_owned(), section.to_json())).collect()
    }
}

impl Section {
    fn to_json(&self) -> Value {
        match &self.body {
            Body::Facts(facts) => facts.iter().map(|fact| (fact.key.to_owned(), fact.value.clone())).collect(),
            Body::Table(_, value) => value.clone(),
        }
    }
}
