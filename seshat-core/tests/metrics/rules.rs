//! The alert rules that ship with the crate, understood as far as they go, and evaluated as Prometheus does: whether
//! and when each would fire.

pub(crate) mod expression;
pub(crate) mod history;

use std::collections::BTreeMap;

use self::expression::{Expression, Selector, seconds};
use self::history::{Course, History, Labels, STEP};
use crate::scrape::Scrape;

const RULES: &str = include_str!("../../operations/alerts.yaml");

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) alert: String,
    expression: Expression,
    /// For so many seconds it has to be true.
    pub(crate) held: f64,
    /// What people are told.
    words: String,
}

/// When an alert fired, in scrapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fired {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// All of them. A line that isn't understood here fails.
pub(crate) fn all() -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut lines = RULES.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    assert_eq!([lines.next(), lines.next()], [Some("groups:"), Some("- name: seshat")]);
    assert_eq!(lines.next(), Some("rules:"));
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let mut key = |key: &str| -> Option<&str> {
            let value = lines.peek()?.strip_prefix(key)?.strip_prefix(':')?.trim();
            lines.next();
            Some(value)
        };
        let alert = line.strip_prefix("- alert: ").expect(line).to_owned();
        let expression = Expression::of(key("expr").expect(&alert));
        let held = key("for").map_or(0.0, seconds);
        let severity = key("labels").expect(&alert);
        assert!(matches!(severity, "{severity: page}" | "{severity: ticket}"), "{alert}");
        assert_eq!(key("annotations"), Some(""), "{alert}");
        let words = ["summary", "description"].map(|said| {
            let words = key(said).and_then(|words| words.strip_prefix('"')?.strip_suffix('"'));
            words.filter(|words| !words.is_empty()).unwrap_or_else(|| panic!("{alert}: {said}"))
        });
        assert!(words[0].contains("{{ $labels.instance }}"), "{alert}: where?");
        rules.push(Rule { alert, expression, held, words: words.join("\n") });
    }
    rules
}

pub(crate) fn named(alert: &str) -> Rule {
    all().into_iter().find(|rule| rule.alert == alert).expect(alert)
}

impl Rule {
    /// The metrics that it needs.
    pub(crate) fn selectors(&self) -> Vec<&Selector> {
        self.expression.selectors().into_iter().map(|(selector, _)| selector).collect()
    }

    /// Whether it fires where what came between these two scrapes of one node stays so, or goes on at that pace; if
    /// it has nothing to wait for, by that alone.
    pub(crate) fn fires(&self, before: &Scrape, after: &Scrape) -> bool {
        self.lives(before, after, self.lasts()).is_some()
    }

    /// Whether it fires by what happens once.
    fn at_once(&self) -> bool {
        self.held == 0.0 && self.expression.counts()
    }

    /// A fault that is as long as it takes, and what comes before and behind it.
    fn lasts(&self) -> Course {
        let window = (self.expression.window() / STEP) as usize;
        let (well, held) = (window + 20, (self.held / STEP) as usize);
        // One that waits for nothing has all that it counts at once.
        let ill = if self.at_once() { 1 } else { window + held + 2 };
        Course { well, ill, again: well }
    }

    fn lives(&self, before: &Scrape, after: &Scrape, course: Course) -> Option<Fired> {
        let seconds = (after.at - before.at).as_secs_f64().max(0.001);
        let pace = if self.at_once() || course.ill == 1 { 1.0 } else { STEP / seconds };
        let mut history = History::default();
        for (selector, grows) in self.expression.selectors() {
            history.add(&selector.name, [before, after], grows.then_some(pace), course);
        }
        self.evaluate(&history)
    }

    /// Of a fault for which it [fires](Self::fires): for none that is over by the next scrape, where it says how long;
    /// not before it has lasted so long, and not for ever.
    pub(crate) fn check(&self, before: &Scrape, after: &Scrape) {
        let (alert, lasts) = (&self.alert, self.lasts());
        let once = self.lives(before, after, Course { ill: 1, ..lasts });
        assert_eq!(once.is_some(), self.at_once(), "{alert}, of one scrape with a fault: {once:?}");
        let Fired { first, last } = self.lives(before, after, lasts).expect("it fires");
        let held = (self.held / STEP) as usize;
        assert!(first >= lasts.well + held, "{alert} fires too soon: {first} of {lasts:?}");
        assert!(last + 1 < lasts.len(), "{alert} never ends: {last} of {lasts:?}");
    }

    /// When it fires first and last, of any series.
    pub(crate) fn evaluate(&self, history: &History) -> Option<Fired> {
        let (mut pending, mut fired) = (BTreeMap::<Labels, usize>::new(), None::<Fired>);
        for at in 0..history.len() {
            let before = std::mem::take(&mut pending);
            for labels in self.expression.at(history, at) {
                let since = before.get(&labels).copied().unwrap_or(at);
                if (at - since) as f64 * STEP >= self.held {
                    self.says(&labels);
                    fired = Some(Fired { first: fired.map_or(at, |fired| fired.first), last: at });
                }
                pending.insert(labels, since);
            }
        }
        fired
    }

    /// What it says of a series names only labels that the series has.
    fn says(&self, labels: &Labels) {
        for template in self.words.split("{{ ").skip(1) {
            let (name, _) = template.split_once(" }}").expect(&self.words);
            let known = match name.strip_prefix("$labels.") {
                Some(label) => labels.contains_key(label),
                None => name == "$value",
            };
            assert!(known, "{} says {name}, and has {labels:?}", self.alert);
        }
    }
}
