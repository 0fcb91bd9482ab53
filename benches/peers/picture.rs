//! Bars as SVG, each with a line from its least to its greatest figure.

use std::fmt::Write as _;

use crate::spread::{Spread, grouped};

const LABELS: f64 = 330.0;
const BARS: f64 = 420.0;
const WIDTH: f64 = LABELS + BARS + 110.0;
const TOP: f64 = 44.0;
const STEP: f64 = 26.0;

/// Figures side by side.
pub(crate) struct Chart {
    /// The name of the file, without its ending.
    pub(crate) file: &'static str,
    pub(crate) title: String,
    decimals: usize,
    bars: Vec<(String, Spread)>,
}

impl Chart {
    pub(crate) fn new(file: &'static str, title: &str, decimals: usize) -> Self {
        Self { file, title: title.to_owned(), decimals, bars: Vec::new() }
    }

    pub(crate) fn bar(mut self, name: &str, value: &Spread) -> Self {
        self.bars.push((name.to_owned(), value.clone()));
        self
    }

    pub(crate) fn svg(&self) -> String {
        let most = self.bars.iter().map(|(_, value)| value.most()).fold(f64::MIN_POSITIVE, f64::max);
        let at = |value: f64| LABELS + BARS * value / most;
        let mut shapes = String::new();
        let mut y = TOP;
        for (name, value) in &self.bars {
            let (middle, end) = (y + STEP / 2.0, at(value.median()));
            let colour = if name.starts_with("seawall") { "#1f6f8b" } else { "#a9b4bc" };
            writeln!(
                shapes,
                "<text x=\"{x:.0}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{LABELS}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>\
                 <path d=\"M{least:.1} {middle:.1}H{most:.1}\" stroke=\"#222\" stroke-width=\"1.5\"/>\
                 <text x=\"{after:.1}\" y=\"{text:.1}\">{figure}</text>",
                x = LABELS - 8.0,
                text = middle + 4.0,
                top = y + 4.0,
                width = end - LABELS,
                height = STEP - 8.0,
                least = at(value.least()),
                most = at(value.most()),
                after = at(value.most()) + 8.0,
                figure = grouped(value.median(), self.decimals),
                name = escaped(name),
            )
            .unwrap();
            y += STEP;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
             font-size=\"13\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"12\" y=\"26\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n{shapes}</svg>\n",
            height = y + 12.0,
            title = escaped(&self.title),
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
