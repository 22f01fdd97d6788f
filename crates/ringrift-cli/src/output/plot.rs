//! Small plots in one line of text: bars, and lines over time.
//!
//! Unicode's blocks where a terminal shows them, plain ASCII elsewhere, so that a mail or a log
//! keeps its form.

use super::Style;

/// Heights of a column, lowest first; nothing at all is a mark of its own.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BLOCK_NONE: char = '·';
const MARKS: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];
const MARK_NONE: char = '_';

/// Parts of a bar's last column, smallest first.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// One column a value, the highest being `most`; at most `width` columns, each then standing for
/// the highest of several neighbours.
pub(crate) fn spark(style: Style, values: &[u64], most: u64, width: usize) -> String {
    let (heights, none) = if style.unicode {
        (BLOCKS, BLOCK_NONE)
    } else {
        (MARKS, MARK_NONE)
    };
    let most = u128::from(most.max(1));
    squeezed(values, width)
        .into_iter()
        .map(|value| match u128::from(value) * 8 {
            0 => none,
            // Rounded up: whatever is there is seen.
            high => {
                heights[usize::try_from(high.div_ceil(most))
                    .unwrap_or(8)
                    .clamp(1, 8)
                    - 1]
            }
        })
        .collect()
}

/// The highest of each group of neighbours, `width` groups at most.
fn squeezed(values: &[u64], width: usize) -> Vec<u64> {
    let width = width.max(1);
    if values.len() <= width {
        return values.to_vec();
    }
    let mut groups = vec![0; width];
    for (at, value) in values.iter().enumerate() {
        let group = &mut groups[at * width / values.len()];
        *group = (*group).max(*value);
    }
    groups
}

/// A bar as long as `value` is of `most`, `width` columns being the whole.
pub(crate) fn bar(style: Style, value: u64, most: u64, width: usize) -> String {
    let eighths = u128::from(value) * (width as u128) * 8 / u128::from(most.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0).min(width * 8);
    let (whole, part) = (eighths / 8, eighths % 8);
    if !style.unicode {
        let least = usize::from(value > 0);
        return "#".repeat(whole.max(least));
    }
    let mut text = "█".repeat(whole);
    match part {
        0 if whole == 0 && value > 0 => text.push(EIGHTHS[0]),
        0 => {}
        part => text.push(EIGHTHS[part - 1]),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Style = Style {
        unicode: true,
        ..Style::PLAIN
    };

    #[test]
    fn a_line_over_time_shows_every_height_and_nothing() {
        let values: Vec<u64> = (0..=8).collect();
        assert_eq!(spark(UNICODE, &values, 8, 20), "·▁▂▃▄▅▆▇█");
        assert_eq!(spark(Style::PLAIN, &values, 8, 20), "_.:-=+*#@");
        assert_eq!(
            spark(Style::PLAIN, &[1, 0, 1_000_000], 1_000_000, 20),
            "._@"
        );
    }

    #[test]
    fn a_narrow_terminal_keeps_the_peaks() {
        let values = [0, 9, 0, 0, 0, 3];
        assert_eq!(spark(Style::PLAIN, &values, 9, 3), "@_-");
        assert_eq!(spark(Style::PLAIN, &[], 9, 3), "");
        assert_eq!(spark(Style::PLAIN, &[u64::MAX], u64::MAX, 0), "@");
    }

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_invisible() {
        assert_eq!(bar(UNICODE, 50, 100, 10), "█████");
        assert_eq!(bar(UNICODE, 55, 100, 10), "█████▌");
        assert_eq!(bar(UNICODE, 1, 1_000_000, 10), "▏");
        assert_eq!(bar(Style::PLAIN, 1, 1_000_000, 10), "#");
        assert_eq!(bar(Style::PLAIN, 50, 100, 10), "#####");
        assert_eq!(bar(Style::PLAIN, 0, 0, 10), "");
        assert_eq!(bar(Style::PLAIN, 7, 1, 4), "####");
    }
}
