//! What a part of the measurement found, and how it is told: tables, targets and the page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::picture::Chart;
use crate::spread::{Ratio, Spread};

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// A table in Markdown.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { head: head.iter().map(|&one| one.to_owned()).collect(), rows }
    }

    fn text(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = line(&self.head);
        text.push_str(&line(&vec!["---".to_owned(); self.head.len()]));
        for row in &self.rows {
            text.push_str(&line(row));
        }
        text
    }
}

/// Which side of a bound is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    AtMost,
    AtLeast,
}

/// A figure with what it must be and what it should be.
pub(crate) struct Verdict {
    work: String,
    measured: Ratio,
    wanted: Wanted,
    must: f64,
    goal: f64,
    unit: &'static str,
}

impl Verdict {
    /// `one` is to be at most so many times `two`.
    pub(crate) fn at_most(work: &str, one: &Spread, two: &Spread, must: f64, goal: f64) -> Self {
        let measured = Ratio::of(one, two);
        Self { work: work.to_owned(), measured, wanted: Wanted::AtMost, must, goal, unit: "×" }
    }

    /// `one` is to be at least so many times `two`.
    pub(crate) fn at_least(work: &str, one: &Spread, two: &Spread, must: f64, goal: f64) -> Self {
        Self { wanted: Wanted::AtLeast, ..Self::at_most(work, one, two, must, goal) }
    }

    /// A figure that is to be at most so much.
    pub(crate) fn figure(work: &str, value: &Spread, unit: &'static str, must: f64, goal: f64) -> Self {
        let measured = Ratio::just(value);
        Self { work: work.to_owned(), measured, wanted: Wanted::AtMost, must, goal, unit }
    }

    fn keeps(&self, bound: f64) -> bool {
        match self.wanted {
            Wanted::AtMost => self.measured.median <= bound,
            Wanted::AtLeast => self.measured.median >= bound,
        }
    }

    /// Whether what must be is.
    pub(crate) fn held(&self) -> bool {
        self.keeps(self.must)
    }

    pub(crate) const HEAD: [&str; 5] = ["work", "measured", "must", "goal", "held"];

    pub(crate) fn cells(&self) -> Vec<String> {
        let Self { work, measured: Ratio { median, least, most }, unit, .. } = self;
        let sign = if self.wanted == Wanted::AtMost { '≤' } else { '≥' };
        let decimals = match *unit {
            "failed" => 0,
            _ if *median < 20.0 => 2,
            _ => 1,
        };
        let held = match (self.held(), self.keeps(self.goal)) {
            (false, _) => "**no**",
            (true, false) => "yes",
            (true, true) => "yes, and the goal",
        };
        vec![
            work.clone(),
            format!("{median:.decimals$} {unit} ({least:.decimals$}–{most:.decimals$})"),
            format!("{sign} {}", self.must),
            format!("{sign} {}", self.goal),
            held.to_owned(),
        ]
    }
}

/// What one part found.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) title: &'static str,
    /// What was done; in Markdown.
    pub(crate) text: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) charts: Vec<Chart>,
}

impl Part {
    fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n{}\n\n", self.title, self.text.trim());
        for table in &self.tables {
            writeln!(text, "{}", table.text()).unwrap();
        }
        for chart in &self.charts {
            writeln!(text, "![{}](pictures/{}.svg)\n", chart.title, chart.file).unwrap();
        }
        text
    }
}

/// What stands between the markers of the page.
pub(crate) fn markdown(machine: &str, parts: &[Part]) -> String {
    let verdicts =
        Table::new(&Verdict::HEAD, parts.iter().flat_map(|part| &part.verdicts).map(Verdict::cells).collect());
    let mut text = format!("{machine}\n\n## Targets\n\n{}\n## Figures\n\n", verdicts.text());
    for part in parts {
        text.push_str(&part.markdown());
    }
    text
}

/// Puts the figures into the page and the pictures beside it.
///
/// # Panics
///
/// When the page has no place for them.
pub(crate) fn write(docs: &Path, text: &str, parts: &[Part]) {
    let file = docs.join("performance.md");
    let page = fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap_or_else(|| panic!("{} has no {BEGIN}", file.display()));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{} has no {END}", file.display()));
    fs::write(&file, format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim())).unwrap();
    draw(&docs.join("pictures"), parts);
}

/// Keeps what is no whole measurement where nobody takes it for one.
pub(crate) fn keep(directory: &Path, text: &str, parts: &[Part]) {
    draw(&directory.join("pictures"), parts);
    fs::write(directory.join("performance.md"), text).unwrap();
}

fn draw(directory: &Path, parts: &[Part]) {
    fs::create_dir_all(directory).unwrap();
    for chart in parts.iter().flat_map(|part| &part.charts) {
        fs::write(directory.join(format!("{}.svg", chart.file)), chart.svg()).unwrap();
    }
}
