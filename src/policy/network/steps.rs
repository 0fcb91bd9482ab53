//! A function from 128-bit numbers to values that changes at known places only, laid out to be read fast.
//!
//! Separate because it is the one part of the network rules that is about memory, not about networks. A binary search
//! over 200,000 places misses the cache at most of its 18 steps; here the upper halves of the places stand in a tree
//! whose nodes are one cache line each and eight wide, so that six steps find one. Places that share their upper half
//! (addresses in one IPv6 /64) stand together in a group, searched by the lower half. No memory is touched that the
//! answer does not need.

use std::collections::BTreeMap;

/// Numbers in a node: eight of 64 bits fill a cache line.
const WIDTH: usize = 8;

/// One value, or none, from each place up to the next.
#[derive(Debug, Clone)]
pub(super) struct Steps<T> {
    /// The distinct upper halves of the places.
    uppers: Tree,
    /// The places of each upper half; and, one more, the end.
    groups: Vec<Group<T>>,
    /// The lower half of each place, and what holds from there on, of the groups that need them.
    places: Vec<(u64, Option<T>)>,
}

/// Those of one upper half. A group whose only place has the lower half 0 needs no places: what holds is the same everywhere.
#[derive(Debug, Clone, Copy)]
struct Group<T> {
    /// The position of its first place.
    start: usize,
    /// What holds behind its last place.
    last: Option<T>,
}

impl<T: Copy> Steps<T> {
    /// The function with these steps; below the first of them there is no value.
    pub(super) fn new(mut steps: BTreeMap<u128, Option<T>>) -> Self {
        steps.entry(0).or_insert(None);
        let (mut uppers, mut groups, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut steps = steps.into_iter().map(|(place, value)| (halves(place), value)).peekable();
        while let Some(((upper, lower), mut last)) = steps.next() {
            uppers.push(upper);
            let start = places.len();
            let mut more = steps.next_if(|((next, _), _)| *next == upper);
            if lower > 0 || more.is_some() {
                places.push((lower, last));
            }
            while let Some(((_, lower), value)) = more {
                places.push((lower, value));
                last = value;
                more = steps.next_if(|((next, _), _)| *next == upper);
            }
            groups.push(Group { start, last });
        }
        groups.push(Group { start: places.len(), last: None });
        Self { uppers: Tree::new(&uppers), groups, places }
    }

    /// The value at `number`.
    #[expect(clippy::indexing_slicing, reason = "positions are our own; a wrong one must stop, not skip a rule")]
    pub(super) fn at(&self, number: u128) -> Option<T> {
        let (upper, lower) = halves(number);
        let (group, found) = self.uppers.last_up_to(upper);
        let (Group { start, last }, Group { start: end, .. }) = (self.groups[group], self.groups[group + 1]);
        if found < upper || start == end {
            return last;
        }
        let places = &self.places[start..end];
        match places.partition_point(|(place, _)| *place <= lower) {
            // Before its first place the group before it holds; the first of all begins at 0.
            0 => self.groups[group - 1].last,
            behind => places[behind - 1].1,
        }
    }

    /// The number of steps.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let whole =
            self.groups.windows(2).filter(|pair| matches!(pair, [one, next] if one.start == next.start)).count();
        self.places.len() + whole
    }
}

#[expect(clippy::cast_possible_truncation, reason = "cutting the number in two is the point")]
fn halves(number: u128) -> (u64, u64) {
    ((number >> 64) as u64, number as u64)
}

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Node([u64; WIDTH]);

/// Ascending numbers, the first of them 0, as a tree: every number of an upper level begins a node of the next.
#[derive(Debug, Clone)]
struct Tree {
    /// The root's level first.
    levels: Vec<Vec<Node>>,
    len: usize,
}

impl Tree {
    fn new(numbers: &[u64]) -> Self {
        let mut levels = vec![nodes(numbers)];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let firsts: Vec<_> = below.iter().map(|Node([first, ..])| *first).collect();
            levels.push(nodes(&firsts));
        }
        levels.reverse();
        Self { levels, len: numbers.len() }
    }

    /// The position and the value of the last number that is not above `limit`.
    #[expect(clippy::indexing_slicing, reason = "positions are our own; a wrong one must stop, not skip a rule")]
    fn last_up_to(&self, limit: u64) -> (usize, u64) {
        let (mut position, mut number) = (0, 0);
        for level in &self.levels {
            // A limit past the last number counts the filling too; it belongs to the last node.
            let node = position.min(level.len() - 1);
            let Node(numbers) = &level[node];
            let within = numbers.iter().filter(|number| **number <= limit).count() - 1;
            position = node * WIDTH + within;
            number = numbers[within];
        }
        (position.min(self.len - 1), number)
    }
}

/// `numbers` in nodes, the last one filled up with the last number, which then counts as itself.
fn nodes(numbers: &[u64]) -> Vec<Node> {
    let fill = numbers.last().copied().unwrap_or_default();
    let mut nodes = Vec::with_capacity(numbers.len().div_ceil(WIDTH));
    for chunk in numbers.chunks(WIDTH) {
        let mut node = [fill; WIDTH];
        node.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        nodes.push(Node(node));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_steps_there_is_no_value() {
        let steps = Steps::<u8>::new(BTreeMap::new());
        assert_eq!((steps.at(0), steps.at(u128::MAX)), (None, None));
    }

    #[test]
    fn a_value_holds_from_its_step_to_the_next() {
        let middle = 1 << 64;
        let steps = Steps::new(BTreeMap::from([(5, Some(1)), (middle + 7, None), (middle + 9, Some(2))]));
        for (number, expected) in [
            (4, None),
            (5, Some(1)),
            (middle - 1, Some(1)),
            (middle, Some(1)),
            (middle + 6, Some(1)),
            (middle + 7, None),
            (middle + 8, None),
            (middle + 9, Some(2)),
            (u128::MAX, Some(2)),
        ] {
            assert_eq!(steps.at(number), expected, "{number}");
        }
    }

    /// Six levels of eight are 262,144 numbers; one node is read on each.
    #[test]
    fn two_hundred_thousand_numbers_are_six_levels_deep() {
        let numbers: Vec<u64> = (0..200_001).map(|n| n * 3).collect();
        let tree = Tree::new(&numbers);
        assert_eq!(tree.levels.len(), 6);
        assert_eq!(tree.last_up_to(150_000), (50_000, 150_000));
        assert_eq!(tree.last_up_to(150_002), (50_000, 150_000));
        assert_eq!(tree.last_up_to(u64::MAX), (200_000, 600_000));
        assert_eq!(size_of::<Node>(), 64);
    }

    /// Numbers whose halves are few, so that groups form, or at the ends.
    fn number() -> impl Strategy<Value = u128> {
        let half = || prop_oneof![0..4_u64, u64::MAX - 3..=u64::MAX, any::<u64>()];
        (half(), half()).prop_map(|(upper, lower)| u128::from(upper) << 64 | u128::from(lower))
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(
            places in prop::collection::btree_map(number(), any::<Option<u8>>(), 0..200),
            mut numbers in prop::collection::vec(number(), 1..40),
        ) {
            let steps = Steps::new(places.clone());
            numbers.extend(places.keys().flat_map(|place| [place.saturating_sub(1), *place, place.saturating_add(1)]));
            for number in numbers {
                let expected = places.range(..=number).next_back().and_then(|(_, value)| *value);
                prop_assert_eq!(steps.at(number), expected, "{}", number);
            }
        }
    }
}
