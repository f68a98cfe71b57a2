//! What a person reads is bounded: here everything that a store can make long is shortened, in the
//! middle and with a count, so that no line of any format exceeds 2,000 characters.
//!
//! The data of a report stay whole; [`keep`](super::keep) writes what is left out here to files.

use crate::failure::{Failure, Wreck};

/// What a text may cost where it is written on a line of its own, as JSON does with all of it. The
/// rest of a line is for labels and indentation.
const LINE: usize = 1_800;
/// A headline's.
const HEADLINE: usize = 300;
/// A step's.
const STEP: usize = 500;
/// So many steps are shown, of the first and of the last.
const STEPS: (usize, usize) = (10, 30);

/// What a character comes to in the format that makes most of it: JSON, XML, or a terminal's.
fn cost(c: char) -> usize {
    match c {
        '"' | '\'' | '&' => 6,
        '<' | '>' => 4,
        '\n' => 5,
        '\\' => 2,
        _ if c.is_control() => 10,
        _ => 1,
    }
}

fn cost_of(text: &str) -> usize {
    text.chars().map(cost).sum()
}

/// At most `limit` of a text from its start, by cost.
fn head(text: &str, limit: usize) -> &str {
    let mut spent = 0;
    let end = text.char_indices().find(|(_, c)| {
        spent += cost(*c);
        spent > limit
    });
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// At most `limit` of a text to its end.
fn tail(text: &str, limit: usize) -> &str {
    let mut spent = 0;
    let start = text.char_indices().rev().find(|(_, c)| {
        spent += cost(*c);
        spent > limit
    });
    start.and_then(|(at, c)| text.get(at + c.len_utf8()..)).unwrap_or(text)
}

fn within(text: &str, limit: usize) -> String {
    if head(text, limit).len() == text.len() {
        return text.to_owned();
    }
    let part = limit.saturating_sub(60) / 2;
    let (first, last) = (head(text, part), tail(text, part));
    let left_out = text.chars().count() - first.chars().count() - last.chars().count();
    format!("{first} ... {left_out} characters are left out ... {last}")
}

/// A sentence of which a store made a part.
pub(super) fn sentence(text: &str) -> String {
    within(text, LINE)
}

/// Steps, those in the middle left out. What says so is no step, so that nobody replays a history
/// with a hole.
fn steps(steps: &[String]) -> Vec<String> {
    lines(steps, STEPS, "steps")
}

/// The first and the last of them.
fn lines(lines: &[String], (first, last): (usize, usize), what: &str) -> Vec<String> {
    let short = |lines: &[String]| lines.iter().map(|line| within(line, STEP)).collect::<Vec<_>>();
    let left_out = lines.len().saturating_sub(first + last);
    if left_out == 0 {
        return short(lines);
    }
    let mut shown = short(lines.get(..first).unwrap_or_default());
    shown.push(format!("... {left_out} {what} are left out"));
    shown.extend(short(lines.get(first + left_out..).unwrap_or_default()));
    shown
}

/// A history; like [`steps`], and all of it within a line.
fn history(text: &str) -> String {
    if head(text, LINE).len() == text.len() {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    let fit = |lines: &mut dyn Iterator<Item = &&str>| {
        let mut left = LINE / 2 - 60;
        let spend = |line: &&&str| {
            let rest = left.checked_sub(cost_of(line) + cost('\n'));
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        lines.take_while(spend).count()
    };
    let (first, last) = (fit(&mut lines.iter()), fit(&mut lines.iter().rev()));
    let mut shown = lines.get(..first).unwrap_or_default().to_vec();
    let left_out = format!("... {} steps are left out", lines.len() - first - last);
    shown.push(&left_out);
    shown.extend(lines.get(lines.len() - last..).unwrap_or_default());
    shown.join("\n")
}

/// A failure as every format shows it.
pub(super) fn failure(whole: &Failure) -> Failure {
    Failure {
        what: within(&whole.what, HEADLINE),
        expected: within(&whole.expected, LINE),
        got: within(&whole.got, LINE),
        steps: steps(&whole.steps),
        history: whole.history.as_deref().map(history),
        kind: whole.kind,
        asked: whole.asked.as_deref().map(|asked| within(asked, HEADLINE)),
        wreck: whole.wreck.as_deref().map(|wreck| Box::new(shortened(wreck))),
        whole: whole.whole.clone(),
    }
}

fn shortened(whole: &Wreck) -> Wreck {
    Wreck {
        cut: whole.cut.as_deref().map(|cut| within(cut, HEADLINE)),
        missing: lines(&whole.missing, (8, 4), "things"),
        calls: lines(&whole.calls, (6, 18), "calls"),
        image: whole.image.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    #[test]
    fn what_is_short_stays_as_it_is() {
        let steps = vec!["vote t1.n1 committed".to_owned(), "restart".to_owned()];
        let history = Some(steps.join("\n"));
        let whole = Failure { steps, history, ..Failure::new(Kind::Broken, "w", "e", "g\nh") };
        assert_eq!(failure(&whole), whole);
    }

    #[test]
    fn what_is_long_keeps_both_ends_and_counts_the_rest() {
        let text = format!("begin {} end", "x".repeat(100_000));
        let short = sentence(&text);
        assert!(short.starts_with("begin xx") && short.ends_with("xx end"), "{short}");
        assert!(short.len() < LINE && short.contains("characters are left out"), "{short}");
        let controls = "\u{1b}\"é".repeat(10_000);
        assert!(cost_of(&sentence(&controls)) <= LINE);
    }

    #[test]
    fn steps_are_left_out_in_the_middle_and_can_not_be_replayed() {
        let all: Vec<String> = (1..=100).map(|n| format!("truncate {n}")).collect();
        let shown = steps(&all);
        assert_eq!(shown.len(), 41);
        assert_eq!((&shown[0], &shown[40]), (&all[0], &all[99]));
        assert_eq!(shown[10], "... 60 steps are left out");
        assert!(crate::model::Step::parse_history(&shown.join("\n")).is_err());
        let long = history(&all.join("\n").repeat(20));
        assert!(cost_of(&long) <= LINE && long.contains("steps are left out"), "{long}");
        assert!(crate::model::Step::parse_history(&long).is_err());
    }
}
