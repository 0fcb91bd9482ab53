//! Figures of several rounds: the median, and how far they spread.

/// The figures of one target, in the order of the rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    pub(crate) fn median(&self) -> f64 {
        let values = self.sorted();
        let middle = values.len() / 2;
        if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] }
    }

    pub(crate) fn least(&self) -> f64 {
        self.sorted()[0]
    }

    pub(crate) fn most(&self) -> f64 {
        self.sorted()[self.0.len() - 1]
    }

    /// How many times `other`, round by round.
    fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| one / two).collect())
    }

    /// The median, and the spread where there was more than one round.
    pub(crate) fn text(&self, decimals: usize) -> String {
        let median = grouped(self.median(), decimals);
        if self.0.len() < 2 {
            return median;
        }
        format!("{median} ({}–{})", grouped(self.least(), decimals), grouped(self.most(), decimals))
    }
}

/// The ratio of two medians, and the least and the greatest ratio that a single round had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Ratio {
    pub(crate) fn of(one: &Spread, two: &Spread) -> Self {
        let each = one.over(two);
        Self { median: one.median() / two.median(), least: each.least(), most: each.most() }
    }

    /// A figure that is no ratio.
    pub(crate) fn just(value: &Spread) -> Self {
        Self { median: value.median(), least: value.least(), most: value.most() }
    }
}

/// A number with commas between thousands.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), String::new()), |(a, b)| (a, format!(".{b}")));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &rest
}
