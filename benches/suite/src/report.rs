//! Markdown tables and the numbers in them.

use std::time::Duration;

/// A Markdown table.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub(crate) fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(|title| title.to_string()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it with aligned columns, numbers to the right.
    pub(crate) fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let cell = |row: &'_ Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
        let width = |i: usize| {
            self.rows.iter().map(|row| cell(row, i).chars().count()).max().unwrap_or_default().max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = widths.iter().enumerate().map(|(i, width)| match i {
                0 => format!("{:<width$}", cell(row, i)),
                _ => format!("{:>width$}", cell(row, i)),
            });
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
            if number == 0 {
                let rule = widths.iter().enumerate().map(|(i, width)| match i {
                    0 => "-".repeat(*width),
                    _ => format!("{}:", "-".repeat(width - 1)),
                });
                println!("| {} |", rule.collect::<Vec<_>>().join(" | "));
            }
        }
        println!();
    }
}

/// Milliseconds with one digit.
pub(crate) fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".into(), |s| format!("{:.1}", s * 1e3))
}

/// A ratio as `1.25x`; `-` where a side is missing.
pub(crate) fn ratio(numerator: Option<f64>, denominator: Option<f64>) -> String {
    match (numerator, denominator) {
        (Some(n), Some(d)) if d > 0.0 => format!("{:.2}x", n / d),
        _ => "-".into(),
    }
}

/// A count per second, in thousands above ten thousand.
pub(crate) fn rate(count: u64, time: Duration) -> String {
    grouped((count as f64 / time.as_secs_f64()) as u64)
}

/// Digits in groups of three.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes as GiB.
pub(crate) fn gib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".into(), |b| format!("{:.2} GiB", b as f64 / (1u64 << 30) as f64))
}

/// The smallest of some durations.
pub(crate) fn best(times: &[f64]) -> Option<f64> {
    times.iter().copied().reduce(f64::min)
}

/// The middle of some durations.
pub(crate) fn median(times: &[f64]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The geometric mean, if every value is there.
pub(crate) fn geometric_mean(values: &[Option<f64>]) -> Option<f64> {
    let logs: Option<Vec<f64>> = values.iter().map(|value| value.map(f64::ln)).collect();
    let logs = logs.filter(|logs| !logs.is_empty())?;
    Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// The machine, by cores and memory only.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = crate::engine::memory_bytes() as f64 / (1u64 << 30) as f64;
    format!("{cores} cores, {memory:.0} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(grouped(1234567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(geometric_mean(&[Some(2.0), Some(8.0)]).map(|x| x.round()), Some(4.0));
        assert_eq!(geometric_mean(&[Some(2.0), None]), None);
        assert_eq!(ratio(Some(3.0), Some(2.0)), "1.50x");
    }
}
