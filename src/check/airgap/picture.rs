//! The topology as a small SVG picture.

use std::fmt::Write as _;

use crate::facts::airgap::Seen;

/// Networks as columns, with the containers on each.
pub(super) fn picture(containers: &[Seen]) -> String {
    const WIDTH: usize = 210;
    const LINE: usize = 26;
    let mut networks: Vec<&String> = Vec::new();
    for seen in containers {
        networks.extend(seen.networks.keys());
    }
    networks.sort();
    networks.dedup();
    let height = LINE * (containers.len() + 2);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n",
        WIDTH * networks.len().max(1)
    );
    for (column, network) in networks.iter().enumerate() {
        let x = column * WIDTH;
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"2\" width=\"{}\" height=\"{}\" fill=\"#f4f6fa\" \
             stroke=\"#889\"/><text x=\"{}\" y=\"20\" font-weight=\"bold\">{}</text>",
            x + 2,
            WIDTH - 12,
            height - 4,
            x + 10,
            escaped(network)
        );
        let on_it = containers
            .iter()
            .filter(|seen| seen.networks.contains_key(*network));
        for (row, seen) in on_it.enumerate() {
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\">{} {}</text>",
                x + 18,
                LINE * (row + 2),
                escaped(&seen.service),
                escaped(&seen.networks[*network])
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text as it may stand in a page.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
