//! docker_auth's name patterns, as far as a scope map can say the same.
//!
//! A pattern is a glob whose `*` ends at the next `/`, or a regular expression between slashes that may match anywhere
//! in the name. Both become regular expressions, and those are taken apart: what is a name, everything below a prefix, or
//! everything, is said exactly; of all else only a wider pattern is known, which may never be granted.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::policy::RepositoryPattern;

/// More alternatives than this are not told apart.
const MOST_ALTERNATIVES: usize = 100;
/// All that a segment of a repository's name consists of.
const OF_SEGMENTS: &str = "abcdefghijklmnopqrstuvwxyz0123456789._-";

/// One alternative of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Extent {
    /// Covers all names that the alternative matches.
    pub(super) pattern: RepositoryPattern,
    pub(super) accuracy: Accuracy,
}

/// How an alternative compares with the pattern of its [`Extent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Accuracy {
    /// It matches the same names.
    Exact,
    /// It matches the same names as far as the next `/`.
    OneLevel,
    /// It matches fewer names.
    Wider,
}

/// The regular expression that matches what docker_auth's `pattern` matches.
pub(super) fn regular_expression(pattern: &str) -> String {
    let between = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    between.filter(|inner| !inner.is_empty()).map_or_else(|| glob(pattern), str::to_owned)
}

/// As Go's `path.Match` reads it. A class is left as it stands: both languages write ranges, `^` and `\` alike.
fn glob(pattern: &str) -> String {
    let mut expression = String::from("^");
    let (mut class, mut escaped) = (false, false);
    for one in pattern.chars() {
        match one {
            _ if escaped => {
                expression.push_str(&regex_syntax::escape(&one.to_string()));
                escaped = false;
            }
            '\\' => escaped = true,
            ']' if class => {
                expression.push(']');
                class = false;
            }
            '-' if class && expression.ends_with('-') => expression.push_str(r"\-"),
            '^' | '-' if class => expression.push(one),
            '[' if !class => {
                expression.push('[');
                class = true;
            }
            '*' if !class => expression.push_str("[^/]*"),
            '?' if !class => expression.push_str("[^/]"),
            _ => expression.push_str(&regex_syntax::escape(&one.to_string())),
        }
    }
    if escaped {
        // Go refuses a pattern that ends so, and this is refused too.
        return "[".to_owned();
    }
    expression.push('$');
    expression
}

/// What `expression` matches of all possible repository names; empty when it matches none of them.
pub(super) fn extents(expression: &str) -> Vec<Extent> {
    let alternatives = regex_syntax::parse(expression).ok().and_then(|hir| expand(&hir));
    let Some(alternatives) = alternatives else {
        return vec![Extent { pattern: RepositoryPattern::All, accuracy: Accuracy::Wider }];
    };
    let mut extents: Vec<_> = alternatives.into_iter().filter_map(|atoms| extent(&joined(atoms))).collect();
    extents.sort();
    extents.dedup();
    extents
}

/// What an alternative consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Start,
    End,
    Text(String),
    /// Any text.
    Anything,
    /// Any text without `/`.
    Segment,
    Other,
}

/// All alternatives of `hir`; `None` when there are too many.
fn expand(hir: &Hir) -> Option<Vec<Vec<Atom>>> {
    let one = |atom| Some(vec![vec![atom]]);
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => one(text(&literal.0)),
        HirKind::Look(Look::Start) => one(Atom::Start),
        HirKind::Look(Look::End) => one(Atom::End),
        HirKind::Look(_) => one(Atom::Other),
        HirKind::Class(class) => Some(few(class).unwrap_or_else(|| vec![vec![Atom::Other]])),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Concat(parts) => {
            parts.iter().try_fold(vec![Vec::new()], |before, part| product(&before, &expand(part)?))
        }
        HirKind::Alternation(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(expand).collect();
            all.map(|all| all.concat()).filter(|all| all.len() <= MOST_ALTERNATIVES)
        }
    }
}

fn text(bytes: &[u8]) -> Atom {
    std::str::from_utf8(bytes).map_or(Atom::Other, |text| Atom::Text(text.to_owned()))
}

fn product(before: &[Vec<Atom>], after: &[Vec<Atom>]) -> Option<Vec<Vec<Atom>>> {
    let pairs = before.iter().flat_map(|one| after.iter().map(move |other| [one.as_slice(), other].concat()));
    (before.len() * after.len() <= MOST_ALTERNATIVES).then(|| pairs.collect())
}

fn repeated(repetition: &Repetition) -> Option<Vec<Vec<Atom>>> {
    let kind = match (repetition.min, repetition.max, repetition.sub.kind()) {
        (0, Some(1), _) => return Some([vec![Vec::new()], expand(&repetition.sub)?].concat()),
        (0 | 1, None, HirKind::Class(class)) if OF_SEGMENTS.chars().all(|one| contains(class, one)) => {
            if contains(class, '/') { Atom::Anything } else { Atom::Segment }
        }
        _ => Atom::Other,
    };
    Some(vec![vec![kind]])
}

fn contains(class: &Class, wanted: char) -> bool {
    match class {
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&wanted)),
        Class::Bytes(_) => false,
    }
}

/// The members of a small class, such as regular expressions have for `(a|b)`.
fn few(class: &Class) -> Option<Vec<Vec<Atom>>> {
    let Class::Unicode(class) = class else { return None };
    let members: Vec<char> =
        class.iter().flat_map(|range| range.start()..=range.end()).take(MOST_ALTERNATIVES).collect();
    (members.len() < MOST_ALTERNATIVES)
        .then(|| members.into_iter().map(|one| vec![Atom::Text(one.to_string())]).collect())
}

/// Neighbouring texts become one.
fn joined(atoms: Vec<Atom>) -> Vec<Atom> {
    atoms.into_iter().fold(Vec::new(), |mut joined, atom| {
        match (joined.last_mut(), atom) {
            (Some(Atom::Text(before)), Atom::Text(text)) => before.push_str(&text),
            (_, atom) => joined.push(atom),
        }
        joined
    })
}

/// `None`: no repository has such a name.
fn extent(atoms: &[Atom]) -> Option<Extent> {
    use Accuracy::{Exact, OneLevel, Wider};
    let (pattern, accuracy) = match atoms {
        [Atom::Start, Atom::Text(name), Atom::End] => (exact(name)?, Exact),
        [Atom::Start, Atom::End] => return None,
        // Names are not empty, so it makes no difference whether anything may be nothing.
        []
        | [Atom::Start | Atom::End | Atom::Anything]
        | [Atom::Start, Atom::Anything]
        | [Atom::Anything, Atom::End]
        | [Atom::Start, Atom::Anything, Atom::End] => (RepositoryPattern::All, Exact),
        [Atom::Start, Atom::Segment, Atom::End] => (RepositoryPattern::All, OneLevel),
        // Nor do they end in `/`.
        [Atom::Start, Atom::Text(prefix)]
        | [Atom::Start, Atom::Text(prefix), Atom::Anything]
        | [Atom::Start, Atom::Text(prefix), Atom::Anything, Atom::End] => beginning(prefix, Exact)?,
        [Atom::Start, Atom::Text(prefix), Atom::Segment, Atom::End] => beginning(prefix, OneLevel)?,
        [Atom::Start, Atom::Text(prefix), ..] => beginning(prefix, Wider)?,
        _ => (RepositoryPattern::All, Wider),
    };
    Some(Extent { pattern, accuracy })
}

/// The names that begin with `prefix`. Only whole segments make a pattern; otherwise it is the one of the segments before.
fn beginning(prefix: &str, accuracy: Accuracy) -> Option<(RepositoryPattern, Accuracy)> {
    let (whole, rest) = prefix.rsplit_once('/').map_or(("", prefix), |(whole, rest)| (whole, rest));
    let accuracy = if rest.is_empty() { accuracy } else { Accuracy::Wider };
    match whole {
        "" if prefix.starts_with('/') => None,
        "" => Some((RepositoryPattern::All, accuracy)),
        _ => exact(whole).map(|_| (RepositoryPattern::Below(format!("{whole}/").into()), accuracy)),
    }
}

/// The pattern of one repository, if it may be called so.
fn exact(name: &str) -> Option<RepositoryPattern> {
    // The parser folds letters and knows wildcards; names have neither.
    let plain = !name.contains('*') && !name.contains(|one: char| one.is_ascii_uppercase());
    RepositoryPattern::parse(name).ok().filter(|_| plain)
}

/// Whether some repository's name is covered by both.
pub(super) fn overlap(one: &RepositoryPattern, other: &RepositoryPattern) -> bool {
    covers(one, other) || covers(other, one)
}

/// Whether every name that `inner` covers is covered by `outer`.
pub(super) fn covers(outer: &RepositoryPattern, inner: &RepositoryPattern) -> bool {
    match (outer, inner) {
        (RepositoryPattern::All, _) => true,
        (RepositoryPattern::Below(prefix), RepositoryPattern::Below(other)) => other.starts_with(&**prefix),
        (pattern, RepositoryPattern::Exact(name)) => pattern.covers(name),
        (_, RepositoryPattern::All | RepositoryPattern::Below(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn pattern(text: &str) -> RepositoryPattern {
        RepositoryPattern::parse(text).unwrap()
    }

    #[test]
    fn patterns_are_as_exact_as_a_scope_map_can_be() {
        use Accuracy::{Exact, OneLevel, Wider};
        let table: &[(&str, &[(&str, Accuracy)])] = &[
            ("hello-world", &[("hello-world", Exact)]),
            ("library/debian", &[("library/debian", Exact)]),
            ("Upper", &[]),
            ("", &[]),
            ("*", &[("*", OneLevel)]),
            ("team/*", &[("team/*", OneLevel)]),
            ("team/a/*", &[("team/a/*", OneLevel)]),
            ("team-*", &[("*", Wider)]),
            ("team/a-*", &[("team/*", Wider)]),
            ("team/?", &[("team/*", Wider)]),
            ("team/*/app", &[("team/*", Wider)]),
            ("*/app", &[("*", Wider)]),
            ("team[ab]", &[("teama", Exact), ("teamb", Exact)]),
            (r"a\.b", &[("a.b", Exact)]),
            (r"jane\.doe/*", &[("jane.doe/*", OneLevel)]),
            ("/.*/", &[("*", Exact)]),
            ("/.+/", &[("*", Exact)]),
            ("/^.+$/", &[("*", Exact)]),
            ("/^team/", &[("*", Wider)]),
            ("/^team\\//", &[("team/*", Exact)]),
            ("/^team/.*$/", &[("team/*", Exact)]),
            ("/^team/.+/", &[("team/*", Exact)]),
            ("/^team/[^/]+$/", &[("team/*", OneLevel)]),
            ("/^(a|b)$/", &[("a", Exact), ("b", Exact)]),
            ("/^(team|guild)/.*$/", &[("team/*", Exact), ("guild/*", Exact)]),
            ("/^team(/.*)?$/", &[("team", Exact), ("team/*", Exact)]),
            ("/(foo|bar)/", &[("*", Wider)]),
            ("/secret/", &[("*", Wider)]),
            ("/^(?i)Team$/", &[("team", Exact)]),
            ("/^/", &[("*", Exact)]),
            ("/^a{3}$/", &[("*", Wider)]),
            (r"/^\w+$/", &[("*", Wider)]),
            ("/[/", &[("*", Wider)]),
            ("[", &[("*", Wider)]),
            ("//", &[]),
            (r"trailing\", &[("*", Wider)]),
            ("[a--b]", &[("*", Wider)]),
        ];
        for (text, expected) in table {
            let found = extents(&regular_expression(text));
            let expected: Vec<_> = expected
                .iter()
                .map(|(text, accuracy)| Extent { pattern: pattern(text), accuracy: *accuracy })
                .collect();
            let mut expected = expected;
            expected.sort();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn patterns_cover_and_overlap() {
        assert!(covers(&pattern("*"), &pattern("a/*")) && !covers(&pattern("a/*"), &pattern("*")));
        assert!(covers(&pattern("a/*"), &pattern("a/b/*")) && !covers(&pattern("a/b/*"), &pattern("a/*")));
        assert!(covers(&pattern("a/*"), &pattern("a/b")) && !covers(&pattern("a/*"), &pattern("a")));
        assert!(overlap(&pattern("a/b/*"), &pattern("a/*")) && overlap(&pattern("a"), &pattern("*")));
        assert!(!overlap(&pattern("a/*"), &pattern("ab/*")) && !overlap(&pattern("a"), &pattern("a/*")));
    }

    proptest! {
        /// What is granted never covers a name that docker_auth's pattern does not match, and what is known to be
        /// matched covers every name that it does match.
        #[test]
        fn an_extent_is_never_too_small_and_an_exact_one_never_too_large(
            text in "(/\\^?)?[a-b/.*?|()+]{1,8}(\\$?/)?",
            name in "[ab]{1,3}(/[ab]{1,3}){0,2}",
        ) {
            let expression = regular_expression(&text);
            let Ok(matcher) = Regex::new(&expression) else { return Ok(()) };
            let (text_of_name, name) = (name.clone(), pattern(&name));
            let extents = extents(&expression);
            let matched = matcher.is_match(&text_of_name);
            if matched {
                prop_assert!(extents.iter().any(|extent| covers(&extent.pattern, &name)), "{text} {name}");
            }
            let exact = |extent: &&Extent| extent.accuracy == Accuracy::Exact;
            if extents.iter().filter(exact).any(|extent| covers(&extent.pattern, &name)) {
                prop_assert!(matched, "{text} {name}");
            }
        }
    }
}
