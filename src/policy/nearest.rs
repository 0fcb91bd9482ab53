//! Which of the words we know somebody meant who wrote another one: the source of every "did you mean".

use std::cmp::Ordering;

/// Longer words are not compared: nobody meant one of ours, and the comparison is quadratic.
const LONGEST: usize = 64;

/// How alike two words must be, from 0 to 1.
const ALIKE: f64 = 0.6;

/// The word among `known` that is most like `word`, when one is like it at all and no other is as like. Upper and lower
/// case are alike.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let (mut best, mut found) = (ALIKE, None);
    for candidate in known.into_iter().filter(|candidate| candidate.len() <= LONGEST) {
        let likeness = strsim::normalized_damerau_levenshtein(&word, &candidate.to_lowercase());
        match likeness.total_cmp(&best) {
            Ordering::Greater => (best, found) = (likeness, Some(candidate)),
            Ordering::Equal => found = None,
            Ordering::Less => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant_and_none_where_nothing_is_like_it() {
        let known = ["adminUserEnabled", "anonymousPullEnabled", "loginServer"];
        for (written, meant) in [
            ("adminUserEnable", Some("adminUserEnabled")),
            ("login_server", Some("loginServer")),
            ("ANONYMOUSPULLENABLED", Some("anonymousPullEnabled")),
            ("replication", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(nearest("HS256", ["RS256", "ES256"]), None);
        assert_eq!(nearest(&"adminUserEnabled".repeat(1000), known), None);
    }
}
