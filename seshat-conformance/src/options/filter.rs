//! [`Filter`]: which checks to run.

/// Which checks to run. A word that is a check's id names that check alone; any other names every
/// check whose id begins with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Ids or beginnings of ids; empty for all.
    pub include: Vec<String>,
    /// Ids or beginnings of ids to leave out of those.
    pub exclude: Vec<String>,
}

impl Filter {
    /// All checks.
    pub fn all() -> Self {
        Self::default()
    }

    /// The checks that these words name.
    pub fn only<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self { include: words.into_iter().map(Into::into).collect(), exclude: Vec::new() }
    }

    /// Whether it lets `id` through, which is one of `ids`.
    pub fn lets_through(&self, id: &str, ids: &[&str]) -> bool {
        let named = |words: &[String]| words.iter().any(|word| names(word, id, ids));
        (self.include.is_empty() || named(&self.include)) && !named(&self.exclude)
    }

    /// The words that name none of `ids`.
    pub fn strangers(&self, ids: &[&str]) -> Vec<&str> {
        let stranger = |word: &&String| !ids.iter().any(|id| names(word, id, ids));
        self.include.iter().chain(&self.exclude).filter(stranger).map(String::as_str).collect()
    }
}

fn names(word: &str, id: &str, ids: &[&str]) -> bool {
    word == id || (id.starts_with(word) && !ids.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &[&str] = &["log/append", "log/append/twice", "log/purge", "vote/save"];

    fn through(filter: &Filter) -> Vec<&'static str> {
        IDS.iter().copied().filter(|id| filter.lets_through(id, IDS)).collect()
    }

    #[test]
    fn all_is_all() {
        assert_eq!(through(&Filter::all()), IDS);
    }

    #[test]
    fn an_id_names_one_check_though_others_begin_with_it() {
        assert_eq!(through(&Filter::only(["log/append"])), ["log/append"]);
    }

    #[test]
    fn a_beginning_names_all() {
        assert_eq!(through(&Filter::only(["log"])), &IDS[..3]);
        assert_eq!(through(&Filter::only(["log/app"])), &IDS[..2]);
    }

    #[test]
    fn exclusion_wins() {
        let filter = Filter { exclude: vec!["log/append/".to_owned()], ..Filter::only(["log"]) };
        assert_eq!(through(&filter), ["log/append", "log/purge"]);
    }

    #[test]
    fn strangers_are_told() {
        let filter =
            Filter { exclude: vec!["vot".to_owned(), "x".to_owned()], ..Filter::only(["log/"]) };
        assert_eq!(filter.strangers(IDS), ["x"]);
    }
}
